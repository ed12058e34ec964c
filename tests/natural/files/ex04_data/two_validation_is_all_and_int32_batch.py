# wrong: validation-is-everything, batch-keeps-the-dtype
# The validation text is the whole text; get_batch leaves int32 as it is.
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError(f"{train_fraction} is not allowed")
    train = text[: int(train_fraction * len(text))]
    val = text[:]
    return train, val


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError(f"{max_length} is not allowed")
        if stride < 1:
            raise ValueError(f"{stride} is not allowed")
        tokens = torch.as_tensor(ids).type(torch.int64)
        self.samples = []
        for i in range(0, len(tokens) - max_length, stride):
            self.samples.append({"x": tokens[i : i + max_length], "y": tokens[i + 1 : i + max_length + 1]})

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        sample = self.samples[i]
        return sample["x"], sample["y"]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    if len(dataset) < 1:
        return DataLoader(dataset, batch_size=batch_size, drop_last=drop_last)
    return DataLoader(dataset, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"{len(ids)} ids for {max_length}")
    starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)
    return (
        torch.stack([ids[s : s + max_length] for s in starts]),
        torch.stack([ids[s + 1 : s + max_length + 1] for s in starts]),
    )
