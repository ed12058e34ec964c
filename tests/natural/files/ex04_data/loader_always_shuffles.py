# wrong: always-shuffled
# Long and typed; the loader is told to shuffle whatever was asked for.
from __future__ import annotations

from typing import Optional, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class Window:
    def __init__(self, start: int, length: int) -> None:
        self.start = start
        self.length = length

    def input_of(self, ids: Tensor) -> Tensor:
        return ids[self.start : self.start + self.length]

    def target_of(self, ids: Tensor) -> Tensor:
        return ids[self.start + 1 : self.start + 1 + self.length]


def _require_positive(name: str, number: int) -> None:
    if number < 1:
        raise ValueError("The argument " + name + " must be positive but is " + str(number))


def split_text_train_val(text: str, train_fraction: float = 0.9) -> tuple[str, str]:
    is_valid: bool = 0 < train_fraction and train_fraction < 1
    if not is_valid:
        raise ValueError("The fraction must lie strictly between 0 and 1 but is " + str(train_fraction))
    number_of_training_characters: int = int(train_fraction * len(text))
    training_text: str = text[:number_of_training_characters]
    validation_text: str = text[number_of_training_characters:]
    return training_text, validation_text


class GPTDataset(Dataset):
    def __init__(self, ids: Sequence[int] | Tensor, max_length: int, stride: int) -> None:
        _require_positive("max_length", max_length)
        _require_positive("stride", stride)
        self.ids: Tensor = torch.as_tensor(ids).to(torch.int64)
        self.windows: list[Window] = []
        start: int = 0
        while start < len(self.ids) - max_length:
            self.windows.append(Window(start, max_length))
            start = start + stride

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        window: Window = self.windows[index]
        return window.input_of(self.ids), window.target_of(self.ids)


def create_dataloader(
    ids: Sequence[int] | Tensor,
    batch_size: int = 4,
    max_length: int = 256,
    stride: int = 128,
    shuffle: bool = True,
    drop_last: bool = True,
    generator: Optional[torch.Generator] = None,
) -> DataLoader:
    dataset = GPTDataset(ids, max_length, stride)
    has_windows: bool = len(dataset) > 0
    if has_windows:
        return DataLoader(
            dataset=dataset, batch_size=batch_size, shuffle=True, drop_last=drop_last, generator=generator
        )
    return DataLoader(dataset=dataset, batch_size=batch_size, drop_last=drop_last)


def get_batch(
    ids: Tensor, batch_size: int, max_length: int, generator: Optional[torch.Generator] = None
) -> tuple[Tensor, Tensor]:
    number_of_ids: int = ids.shape[0]
    if number_of_ids <= max_length:
        raise ValueError("There are " + str(number_of_ids) + " ids; a window has " + str(max_length))
    starts: Tensor = torch.randint(number_of_ids - max_length, (batch_size,), generator=generator)
    windows: list[Window] = [Window(int(start), max_length) for start in starts]
    inputs: Tensor = torch.stack([window.input_of(ids) for window in windows])
    targets: Tensor = torch.stack([window.target_of(ids) for window in windows])
    return inputs.to(torch.int64), targets.to(torch.int64)
