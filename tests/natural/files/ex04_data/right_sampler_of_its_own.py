# right: a sampler of its own that draws as torch's does, iterators, and no length stored anywhere.
import itertools

import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError("train_fraction is %s" % train_fraction)
    characters = iter(text)
    train = "".join(itertools.islice(characters, int(train_fraction * len(text))))
    return train, "".join(characters)


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError("max_length is %s" % max_length)
        if stride < 1:
            raise ValueError("stride is %s" % stride)
        self.ids = [int(number) for number in ids]
        self.T, self.S = max_length, stride

    def starts(self):
        return itertools.takewhile(lambda s: s + self.T < len(self.ids), itertools.count(0, self.S))

    def __len__(self):
        return sum(1 for _ in self.starts())

    def __getitem__(self, index):
        for place, start in enumerate(self.starts()):
            if place == index:
                window = torch.tensor(self.ids[start : start + self.T + 1])
                return window[: self.T], window[-self.T :]
        raise IndexError("there is no window %s" % index)


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    if shuffle and len(dataset):
        sampler = RandomSampler(dataset, generator=generator)
    else:
        sampler = SequentialSampler(dataset)
    batches = BatchSampler(sampler, batch_size, drop_last)
    return DataLoader(dataset, batch_sampler=batches, generator=generator)


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError("%s ids, T is %s" % (len(ids), max_length))
    starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)
    inputs = torch.empty(batch_size, max_length, dtype=torch.long)
    targets = torch.empty_like(inputs)
    for row, start in enumerate(starts.tolist()):
        inputs[row] = ids[start : start + max_length]
        targets[row] = ids[start + 1 : start + 1 + max_length]
    return inputs, targets
