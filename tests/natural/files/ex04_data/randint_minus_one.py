# wrong: last-place-never-comes
# randint's bound is one too small in get_batch.
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    assert isinstance(text, str)
    if not 0 < train_fraction < 1:
        raise ValueError("train_fraction: %r" % train_fraction)
    k = int(len(text) * train_fraction)
    return "".join(text[i] for i in range(k)), "".join(text[i] for i in range(k, len(text)))


def windows_of(ids, T, S):
    ids = [int(i) for i in ids]
    for begin in range(0, len(ids), S):
        if begin + T >= len(ids):
            return
        yield torch.tensor(ids[begin : begin + T]), torch.tensor(ids[begin + 1 : begin + T + 1])


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        for n in (max_length, stride):
            if n < 1:
                raise ValueError("below 1: %r" % n)
        self.items = list(windows_of(ids, max_length, stride))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    order = shuffle if dataset.items else None
    return DataLoader(dataset, batch_size, shuffle=order, drop_last=drop_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError("%d ids, T = %d" % (len(ids), max_length))
    high = max(1, len(ids) - max_length - 1)
    starts = torch.randint(0, high, (batch_size,), generator=generator)
    x = torch.stack([ids[s : s + max_length] for s in starts])
    y = torch.stack([ids[s + 1 : s + max_length + 1] for s in starts])
    return x.long(), y.long()
