# wrong: input-and-target-swapped, batch-targets-one-short
# The data set gives (target, input); get_batch cuts the targets one short.
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError("Fraction out of range: " + repr(train_fraction))
    split_at = int(train_fraction * len(text))
    return text[:split_at], text[split_at:]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        for number in (max_length, stride):
            if number < 1:
                raise ValueError("Out of range: " + repr(number))
        self.ids, self.length = torch.as_tensor(ids).long(), max_length
        self.offsets = [o for o in range(0, len(self.ids), stride) if o + max_length < len(self.ids)]

    def __len__(self):
        return len(self.offsets)

    def __getitem__(self, index):
        offset = self.offsets[index]
        window = self.ids[offset : offset + self.length + 1]
        x, y = window[1:], window[:-1]
        return x, y


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    return DataLoader(
        dataset, batch_size=batch_size, shuffle=shuffle and len(dataset) > 0, drop_last=drop_last, generator=generator
    )


def get_batch(ids, batch_size, max_length, generator=None):
    T = max_length
    if len(ids) <= T:
        raise ValueError(f"Too few: {len(ids)} for {T}")
    ix = torch.randint(len(ids) - T, (batch_size,), generator=generator)
    x = torch.stack([ids[i : i + T] for i in ix])
    y = torch.stack([ids[i + 1 : i + T] for i in ix])
    return x.long(), y.long()
