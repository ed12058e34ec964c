# right: get_batch asks a data set of stride 1, recursion for the windows, fetch_text in another style.
import hashlib
import os
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError(f"{train_fraction} is no share")
    n = int(train_fraction * len(text))
    first, second = text[:n], text[n:]
    assert first + second == text
    return first, second


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError(f"{max_length} is no length")
        if stride < 1:
            raise ValueError(f"{stride} is no stride")
        self.ids = torch.as_tensor(ids).long().clone()
        self.max_length = max_length
        self.windows = self._cut(0, stride)

    def _cut(self, start, stride):
        if start + self.max_length >= len(self.ids):
            return []
        end = start + self.max_length
        return [(self.ids[start:end], self.ids[start + 1 : end + 1]), *self._cut(start + stride, stride)]

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, index):
        return self.windows[index]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    options = {"batch_size": batch_size, "drop_last": drop_last, "generator": generator}
    return DataLoader(dataset, shuffle=shuffle if len(dataset) > 0 else False, **options)


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"{len(ids)} ids do not make a window of {max_length}")
    every = GPTDataset(ids, max_length, 1)
    drawn = torch.randint(len(every), (batch_size,), generator=generator).tolist()
    inputs, targets = zip(*[every[index] for index in drawn])
    return torch.stack(inputs), torch.stack(targets)


def fetch_text(url, cache, sha256=None, timeout=10.0):
    def fits(raw):
        return sha256 is None or hashlib.new("sha256", raw).hexdigest() == sha256

    target = Path(cache)
    if target.is_file() and fits(target.read_bytes()):
        return str(target.read_bytes(), "utf-8")
    try:
        response = urllib.request.urlopen(url, timeout=timeout)
        try:
            raw = response.read()
        finally:
            response.close()
    except (OSError, HTTPException) as problem:
        raise OSError(f"download of {url} failed") from problem
    if not fits(raw):
        raise ValueError(f"what {url} sent has another checksum")
    try:
        text = str(raw, "utf-8")
    except UnicodeError:
        raise ValueError(f"what {url} sent is not UTF-8") from None
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
    return text
