# wrong: last-window-dropped, drop-last-inverted
# The book's loop with one start too few, and a `not` in the loader.
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError(f"the fraction {train_fraction} is out of range")
    at = int(train_fraction * len(text))
    return text[:at], text[at:]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError(f"the length {max_length} is out of range")
        if stride < 1:
            raise ValueError(f"the stride {stride} is out of range")
        token_ids = torch.as_tensor(ids, dtype=torch.int64)
        self.input_ids, self.target_ids = [], []
        i = 0
        while i + max_length + 1 < len(token_ids):
            self.input_ids.append(token_ids[i : i + max_length])
            self.target_ids.append(token_ids[i + 1 : i + 1 + max_length])
            i += stride

    def __len__(self):
        return len(self.input_ids)

    def __getitem__(self, idx):
        return self.input_ids[idx], self.target_ids[idx]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    keep_last = not drop_last
    return DataLoader(dataset, batch_size, shuffle and len(dataset) > 0, drop_last=keep_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"{len(ids)} ids are too few for {max_length}")
    starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)
    positions = torch.stack([torch.arange(s, s + max_length) for s in starts])
    return ids[positions].long(), ids[positions + 1].long()
