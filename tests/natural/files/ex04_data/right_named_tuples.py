# right: items and batches are named tuples, a negative index counts from the end.
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class Pair(NamedTuple):
    inputs: Tensor
    targets: Tensor


class Split(NamedTuple):
    training: str
    validation: str


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError(f"no fraction: {train_fraction}")
    size = int(train_fraction * len(text))
    return Split(text[:size], text[size:])


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        for number in (max_length, stride):
            if number < 1:
                raise ValueError(f"no size: {number}")
        numbers = torch.as_tensor(ids, dtype=torch.int64)
        self.pairs = tuple(
            Pair(numbers[start : start + max_length], numbers[start + 1 : start + max_length + 1])
            for start in range(0, len(numbers), stride)
            if start + max_length < len(numbers)
        )

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    shuffle = shuffle and dataset.pairs != ()
    return DataLoader(dataset, batch_size, shuffle, drop_last=drop_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"no batch: {len(ids)} ids, {max_length} wanted")
    starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)
    columns = [ids[starts + column] for column in range(max_length + 1)]
    windows = torch.stack(columns, dim=1).long()
    return Pair(windows[:, :-1], windows[:, 1:])
