# wrong: windows-are-floats
# torch.Tensor makes floats of the ids.
import math

import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not train_fraction > 0 or not train_fraction < 1:
        raise ValueError(f"{train_fraction=}")
    border = math.floor(len(text) * train_fraction)
    return text[0:border], text[border : len(text)]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError(f"{max_length=}")
        if stride < 1:
            raise ValueError(f"{stride=}")
        numbers = list(map(int, ids))
        self.pairs = []
        start = 0
        while start + max_length < len(numbers):
            window = numbers[start : start + max_length + 1]
            self.pairs.append((torch.Tensor(window[:-1]), torch.Tensor(window[1:])))
            start += stride

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    windows = GPTDataset(ids, max_length=max_length, stride=stride)
    return DataLoader(
        windows,
        batch_size=batch_size,
        shuffle=shuffle and bool(len(windows)),
        drop_last=drop_last,
        generator=generator,
    )


def get_batch(ids, batch_size, max_length, generator=None):
    n = len(ids)
    if n <= max_length:
        raise ValueError(f"{n=}, {max_length=}")
    rows = torch.randint(n - max_length, (batch_size,), generator=generator)
    index = rows.unsqueeze(1) + torch.arange(max_length + 1)
    chosen = ids[index].long()
    return chosen[:, :-1], chosen[:, 1:]
