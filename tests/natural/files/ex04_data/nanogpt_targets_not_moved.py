# wrong: batch-targets-not-moved
# get_batch gives the inputs again as the targets.
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not (0.0 < train_fraction < 1.0):
        raise ValueError("bad train_fraction: " + str(train_fraction))
    n = len(text)
    return text[: int(n * train_fraction)], text[int(n * train_fraction) :]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        for value in (max_length, stride):
            if value <= 0:
                raise ValueError("should be positive: " + str(value))
        self.data = torch.from_numpy(np.array([int(i) for i in ids], dtype=np.int64))
        self.block_size = max_length
        self.stride = stride

    def __len__(self):
        usable = len(self.data) - self.block_size
        return 0 if usable <= 0 else (usable + self.stride - 1) // self.stride

    def __getitem__(self, idx):
        if idx >= len(self):
            raise IndexError(idx)
        i = idx * self.stride
        chunk = self.data[i : i + self.block_size + 1]
        x = chunk[:-1]
        y = chunk[1:]
        return x, y


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    ds = GPTDataset(ids, max_length, stride)
    shuffle = shuffle if len(ds) else False
    return DataLoader(ds, batch_size, shuffle=shuffle, drop_last=drop_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    block_size, data = max_length, ids
    if len(data) - block_size < 1:
        raise ValueError(f"{len(data)} ids, block size {block_size}")
    ix = torch.randint(len(data) - block_size, (batch_size,), generator=generator)
    x = torch.stack([data[i : i + block_size].to(torch.int64) for i in ix])
    y = torch.stack([data[i : i + block_size].to(torch.int64) for i in ix])
    return x, y


def fetch_text(url, cache, sha256=None, timeout=10.0):
    raise NotImplementedError
