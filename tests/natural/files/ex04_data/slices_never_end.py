# wrong: no-index-error
# Items are slices, and slices never fail.
import torch as th
from torch.utils import data


def split_text_train_val(text, train_fraction=0.9):
    share = float(train_fraction)
    if not 0.0 < share < 1.0:
        raise ValueError(f"no share: {train_fraction}")
    where = int(share * len(text))
    return (text[:where], text[where:])


class GPTDataset(data.Dataset):
    def __init__(self, ids, max_length, stride):
        super().__init__()
        bad = [n for n in (max_length, stride) if n < 1]
        if bad:
            raise ValueError(f"not a size: {bad[0]}")
        self.tokens = ids.clone().long() if isinstance(ids, th.Tensor) else th.tensor(ids, dtype=th.long)
        self.size, self.step = max_length, stride

    def __len__(self):
        room = self.tokens.numel() - self.size
        return max(0, -(-room // self.step))

    def __getitem__(self, k):
        begin = k * self.step
        return self.tokens[begin : begin + self.size], self.tokens[begin + 1 : begin + self.size + 1]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    windows = GPTDataset(ids, max_length, stride)
    if not len(windows):
        return data.DataLoader(windows, batch_size)
    return data.DataLoader(windows, batch_size, shuffle, drop_last=drop_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    if ids.numel() <= max_length:
        raise ValueError(f"{ids.numel()} tokens, window {max_length}")
    k = th.randint(len(ids) - max_length, (batch_size,), generator=generator)
    w = ids.long().unfold(0, max_length + 1, 1)[k]
    return w[:, :-1], w[:, 1:]
