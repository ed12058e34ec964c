# right: a TensorDataset underneath, unfold, collate_fn of its own, a lambda here and there.
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

valid = lambda f: f > 0 and f < 1


def split_text_train_val(text, train_fraction=0.9):
    if not valid(train_fraction): raise ValueError(f"{train_fraction}?")
    p = int(len(text) * train_fraction)
    return text[:p], text[p:]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if any(n < 1 for n in (max_length, stride)): raise ValueError(f"{max_length}? {stride}?")
        t = torch.as_tensor(ids, dtype=torch.int64)
        if t.numel() > max_length:
            w = t.unfold(0, max_length + 1, stride)
        else:
            w = torch.zeros(0, max_length + 1, dtype=torch.int64)
        self.inner = TensorDataset(w[:, :-1], w[:, 1:])

    def __len__(self): return len(self.inner)

    def __getitem__(self, i):
        if i >= len(self): raise IndexError
        return self.inner[i]


def stack(pairs):
    x, y = zip(*pairs)
    return torch.stack(x), torch.stack(y)


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    d = GPTDataset(ids, max_length, stride)
    return DataLoader(d, batch_size, shuffle and len(d) != 0, drop_last=drop_last, generator=generator, collate_fn=stack)


def get_batch(ids, batch_size, max_length, generator=None):
    if (n := len(ids)) <= max_length: raise ValueError(f"{n} <= {max_length}")
    r = torch.arange(max_length + 1)
    w = ids[torch.randint(n - max_length, (batch_size,), generator=generator).view(-1, 1) + r].long()
    return w[:, :max_length], w[:, -max_length:]
