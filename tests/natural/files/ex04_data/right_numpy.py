# right: numpy within, windows by stride tricks, copies handed out.
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if np.isnan(train_fraction) or train_fraction <= 0 or train_fraction >= 1:
        raise ValueError(f"train_fraction={train_fraction}")
    cut = int(np.floor(train_fraction * len(text)))
    return text[:cut], text[cut:]


def cut_windows(ids, size, step):
    array = np.asarray([int(i) for i in ids], dtype=np.int64)
    if array.size < size:
        return np.zeros((0, size), dtype=np.int64)
    return np.lib.stride_tricks.sliding_window_view(array, size)[::step].copy()


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1:
            raise ValueError(f"max_length={max_length}")
        if stride < 1:
            raise ValueError(f"stride={stride}")
        self.windows = cut_windows(ids, max_length + 1, stride)

    def __len__(self):
        return int(self.windows.shape[0])

    def __getitem__(self, index):
        window = torch.from_numpy(self.windows[index])
        return window[:-1].clone(), window[1:].clone()


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    return DataLoader(
        dataset=dataset,
        batch_size=batch_size,
        shuffle=bool(shuffle and len(dataset)),
        drop_last=drop_last,
        generator=generator,
    )


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"len(ids)={len(ids)}, max_length={max_length}")
    starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator).numpy()
    array = ids.numpy().astype(np.int64)
    both = np.stack([array[start : start + max_length + 1] for start in starts])
    return torch.tensor(both[:, :-1]), torch.tensor(both[:, 1:])
