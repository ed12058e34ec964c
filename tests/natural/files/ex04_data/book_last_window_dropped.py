# wrong: last-window-dropped
# Lists of windows as in the book; the loop ends one start too early.
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if train_fraction <= 0 or train_fraction >= 1 or train_fraction != train_fraction:
        raise ValueError(f"train_fraction must be in (0, 1), got {train_fraction}")
    split_idx = int(train_fraction * len(text))
    train_data = text[:split_idx]
    val_data = text[split_idx:]
    return train_data, val_data


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError(f"max_length must be positive, got {max_length}")
        if stride < 1:
            raise ValueError(f"stride must be positive, got {stride}")
        self.input_ids = []
        self.target_ids = []
        for i in range(0, len(ids) - max_length - 1, stride):
            input_chunk = ids[i : i + max_length]
            target_chunk = ids[i + 1 : i + max_length + 1]
            self.input_ids.append(torch.as_tensor(input_chunk).long())
            self.target_ids.append(torch.as_tensor(target_chunk).long())

    def __len__(self):
        return len(self.input_ids)

    def __getitem__(self, idx):
        return self.input_ids[idx], self.target_ids[idx]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    if len(dataset) == 0:
        shuffle = False
    dataloader = DataLoader(dataset, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last, generator=generator)
    return dataloader


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"need more than {max_length} ids, got {len(ids)}")
    starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)
    x = torch.stack([ids[i : i + max_length] for i in starts])
    y = torch.stack([ids[i + 1 : i + max_length + 1] for i in starts])
    return x.long(), y.long()


def fetch_text(url, cache, sha256=None, timeout=10.0):
    raise NotImplementedError
