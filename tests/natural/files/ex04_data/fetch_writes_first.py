# wrong: written-in-place
# Everything else is right; fetch_text writes into the cache itself.
import hashlib
import os
import urllib.request
from http.client import HTTPException

import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError(f"train_fraction {train_fraction}")
    split = int(train_fraction * len(text))
    return text[:split], text[split:]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError(f"max_length {max_length}")
        if stride < 1:
            raise ValueError(f"stride {stride}")
        self.ids = torch.as_tensor(ids).long()
        self.max_length = max_length
        self.stride = stride

    def __len__(self):
        return len(range(0, len(self.ids) - self.max_length, self.stride))

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(i)
        x = self.ids[i * self.stride :][: self.max_length]
        y = self.ids[i * self.stride + 1 :][: self.max_length]
        return x, y


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    return DataLoader(dataset, batch_size, shuffle and len(dataset) > 0, drop_last=drop_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"{len(ids)} ids, {max_length} wanted")
    starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)
    x = torch.stack([ids[s : s + max_length] for s in starts]).long()
    y = torch.stack([ids[s + 1 : s + 1 + max_length] for s in starts]).long()
    return x, y


def _sha(raw):
    h = hashlib.sha256()
    h.update(raw)
    return h.hexdigest()


def fetch_text(url, cache, sha256=None, timeout=10.0):
    if os.path.exists(cache):
        with open(cache, "rb") as file:
            raw = file.read()
        if sha256 is None or _sha(raw) == sha256:
            return raw.decode("utf-8")
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            raw = response.read()
    except (OSError, HTTPException) as e:
        raise OSError(f"cannot get {url}") from e
    if sha256 is not None and _sha(raw) != sha256:
        raise ValueError(f"{url} gave something else")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise ValueError(f"{url} gave no text") from e
    os.makedirs(os.path.dirname(cache) or ".", exist_ok=True)
    with open(cache, "wb") as file:
        file.write(raw)
    return text
