# wrong: stride-ignored
# A window at every id, in a comprehension.
import torch
from torch.utils.data import DataLoader, Dataset

INT = torch.int64


def split_text_train_val(text, train_fraction=0.9):
    ok = 0 < train_fraction < 1
    if not ok:
        raise ValueError(f"got {train_fraction}")
    return text[: (n := int(train_fraction * len(text)))], text[n:]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if min(max_length, stride) < 1:
            raise ValueError(f"got {max_length} and {stride}")
        ids = torch.as_tensor(ids, dtype=INT)
        self.windows = [
            (ids[i : i + max_length], ids[i + 1 : i + 1 + max_length]) for i in range(len(ids) - max_length)
        ]

    __len__ = lambda self: len(self.windows)

    def __getitem__(self, index):
        return self.windows[index]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    d = GPTDataset(ids, max_length, stride)
    return DataLoader(d, batch_size, len(d) > 0 and shuffle, drop_last=drop_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"got {len(ids)} ids, T is {max_length}")
    s = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)
    grid = s[:, None] + torch.arange(max_length)
    return ids[grid].to(INT), ids[grid + 1].to(INT)
