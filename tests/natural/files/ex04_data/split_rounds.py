# wrong: split-rounded
# round() where int() is asked for.
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError(f"train_fraction = {train_fraction} is outside (0, 1)")
    n_train = round(len(text) * train_fraction)
    return text[:n_train], text[n_train:]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1 or stride < 1:
            raise ValueError(f"max_length = {max_length}, stride = {stride}")
        self.ids = torch.tensor([int(i) for i in ids], dtype=torch.long)
        self.T = max_length
        self.positions = list(range(len(self.ids)))[: -self.T or None : stride] if len(self.ids) > self.T else []

    def __len__(self):
        return len(self.positions)

    def __getitem__(self, i):
        p = self.positions[i]
        return self.ids[p : p + self.T], self.ids[p + 1 : p + 1 + self.T]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    ds = GPTDataset(ids, max_length, stride)
    kw = dict(batch_size=batch_size, drop_last=drop_last, generator=generator)
    if len(ds) > 0:
        kw["shuffle"] = shuffle
    return DataLoader(ds, **kw)


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) < max_length + 1:
        raise ValueError(f"{len(ids)} ids and max_length = {max_length}")
    ix = torch.randint(len(ids) - max_length, (batch_size,), generator=generator).tolist()
    windows = torch.stack([ids[i : i + max_length + 1] for i in ix]).long()
    return windows[:, :max_length], windows[:, 1:]
