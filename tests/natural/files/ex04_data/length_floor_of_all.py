# wrong: length-by-division
# len is (n - T) // stride; everything is computed from numbers that are kept.
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if 0 < train_fraction < 1:
        cut = int(train_fraction * len(text))
        return text[:cut], text[cut:]
    raise ValueError(f"a train_fraction of {train_fraction} makes no sense")


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError(f"a max_length of {max_length} makes no sense")
        if stride < 1:
            raise ValueError(f"a stride of {stride} makes no sense")
        self.ids = torch.as_tensor(ids, dtype=torch.long)
        self.max_length, self.stride = max_length, stride
        self.n = max(0, (len(self.ids) - max_length) // stride)

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i >= self.n:
            raise IndexError(f"{i} of {self.n}")
        a = i * self.stride
        b = a + self.max_length
        return self.ids[a:b], self.ids[a + 1 : b + 1]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    return DataLoader(dataset, batch_size, shuffle and len(dataset) > 0, drop_last=drop_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    places = len(ids) - max_length
    if places <= 0:
        raise ValueError(f"{len(ids)} ids for windows of {max_length}")
    starts = torch.randint(places, (batch_size,), generator=generator)
    return tuple(torch.stack([ids[s + k : s + k + max_length].long() for s in starts]) for k in (0, 1))
