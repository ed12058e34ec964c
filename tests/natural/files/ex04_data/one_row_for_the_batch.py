# wrong: one-place-for-all-rows
# get_batch draws as it should and then uses the first start for every row.
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not (train_fraction > 0 and train_fraction < 1):
        raise ValueError(f"fraction {train_fraction}")
    i = int(train_fraction * len(text))
    return text[:i], text[i:]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError(f"length {max_length}")
        if stride < 1:
            raise ValueError(f"stride {stride}")
        ids = torch.as_tensor(ids).long()
        if len(ids) > max_length:
            both = ids.unfold(0, max_length + 1, stride)
            self.x, self.y = both[:, :-1], both[:, 1:]
        else:
            self.x = self.y = ids.new_empty(0, max_length)

    def __len__(self):
        return self.x.shape[0]

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    return DataLoader(
        dataset, batch_size, shuffle=shuffle and len(dataset) > 0, drop_last=drop_last, generator=generator
    )


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"length {len(ids)}, T {max_length}")
    start = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)[0].item()
    x = ids[start : start + max_length]
    y = ids[start + 1 : start + max_length + 1]
    return x.long().repeat(batch_size, 1), y.long().repeat(batch_size, 1)
