import hashlib
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text: str, train_fraction: float = 0.9) -> tuple[str, str]:
    if not 0 < train_fraction < 1:
        raise ValueError(f"train_fraction is {train_fraction}; it has to lie between 0 and 1")
    split = int(train_fraction * len(text))
    return text[:split], text[split:]


class GPTDataset(Dataset):
    def __init__(self, ids: Sequence[int] | Tensor, max_length: int, stride: int) -> None:
        for name, number in (("max_length", max_length), ("stride", stride)):
            if number < 1:
                raise ValueError(f"{name} is {number}; it has to be at least 1")
        self.ids = torch.as_tensor(ids, dtype=torch.int64)
        self.max_length = max_length
        self.stride = stride

    def __len__(self) -> int:
        room = len(self.ids) - self.max_length
        return max(0, -(-room // self.stride))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index >= len(self):
            raise IndexError(f"there are only {len(self)} windows")
        start = index * self.stride
        window = self.ids[start : start + self.max_length + 1]
        return window[:-1], window[1:]


def create_dataloader(
    ids: Sequence[int] | Tensor,
    batch_size: int = 4,
    max_length: int = 256,
    stride: int = 128,
    shuffle: bool = True,
    drop_last: bool = True,
    generator: torch.Generator | None = None,
) -> DataLoader:
    dataset = GPTDataset(ids, max_length, stride)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle and len(dataset) > 0,
        drop_last=drop_last,
        generator=generator,
    )


def get_batch(
    ids: Tensor, batch_size: int, max_length: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    if len(ids) <= max_length:
        raise ValueError(f"{len(ids)} ids are too few for a window of {max_length} and its target")
    starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)
    both = ids[starts[:, None] + torch.arange(max_length + 1)].to(torch.int64)
    return both[:, :-1], both[:, 1:]


def fetch_text(url: str, cache: str | Path, sha256: str | None = None, timeout: float = 10.0) -> str:  # optional
    cache = Path(cache)
    if cache.exists():
        content = cache.read_bytes()
        if sha256 is None or hashlib.sha256(content).hexdigest() == sha256:
            return content.decode("utf-8")
    try:
        with urlopen(url, timeout=timeout) as response:
            content = response.read()
    except (OSError, HTTPException) as error:
        raise OSError(f"{url} could not be downloaded: {error}") from error
    checksum = hashlib.sha256(content).hexdigest()
    if sha256 is not None and checksum != sha256:
        raise ValueError(f"{url} has the checksum {checksum}; expected was {sha256}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{url} is not UTF-8 text: {error}") from error
    cache.parent.mkdir(parents=True, exist_ok=True)
    part = cache.with_name(cache.name + ".part")
    part.write_bytes(content)
    part.replace(cache)
    return text
