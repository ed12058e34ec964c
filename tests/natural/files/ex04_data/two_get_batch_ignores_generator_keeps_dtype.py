# wrong: batch-ignores-the-generator, batch-keeps-the-dtype
# Both in get_batch: torch's own generator, and no .long().
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError(f"train fraction: {train_fraction}")
    n = int(train_fraction * len(text))
    return text[:n], text[n:]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length <= 0:
            raise ValueError(f"max length: {max_length}")
        if stride <= 0:
            raise ValueError(f"stride: {stride}")
        self.tokens = torch.as_tensor(ids).to(dtype=torch.int64)
        self.max_length = max_length
        self.first = torch.arange(0, max(0, len(self.tokens) - max_length), stride).tolist()

    def __len__(self):
        return len(self.first)

    def __getitem__(self, i):
        first = self.first[i]
        last = first + self.max_length
        return self.tokens[first:last], self.tokens[first + 1 : last + 1]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    if not dataset.first:
        shuffle = False
    return DataLoader(dataset, batch_size, shuffle, drop_last=drop_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    n = len(ids)
    if n <= max_length:
        raise ValueError(f"{n} ids, {max_length} in a window")
    starts = torch.randint(n - max_length, (batch_size,))
    inputs, targets = [], []
    for start in starts:
        inputs.append(ids[start : start + max_length])
        targets.append(ids[start + 1 : start + max_length + 1])
    return torch.stack(inputs), torch.stack(targets)
