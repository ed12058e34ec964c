# right: the book's lists, with range checks, and fetch_text left a stub.
import torch
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text, train_fraction=0.9):
    if not 0 < train_fraction < 1:
        raise ValueError(f"train_ratio {train_fraction} not in (0, 1)")
    split_idx = int(train_fraction * len(text))
    return text[:split_idx], text[split_idx:]


class GPTDataset(Dataset):
    def __init__(self, ids, max_length, stride):
        if max_length < 1 or stride < 1:
            raise ValueError(f"max_length {max_length}, stride {stride}")
        self.input_ids = []
        self.target_ids = []
        token_ids = ids.tolist() if torch.is_tensor(ids) else ids
        for i in range(0, len(token_ids) - max_length, stride):
            input_chunk = token_ids[i : i + max_length]
            target_chunk = token_ids[i + 1 : i + max_length + 1]
            self.input_ids.append(torch.tensor(input_chunk, dtype=torch.long))
            self.target_ids.append(torch.tensor(target_chunk, dtype=torch.long))

    def __len__(self):
        return len(self.input_ids)

    def __getitem__(self, idx):
        return self.input_ids[idx], self.target_ids[idx]


def create_dataloader(ids, batch_size=4, max_length=256, stride=128, shuffle=True, drop_last=True, generator=None):
    dataset = GPTDataset(ids, max_length, stride)
    dataloader = DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle and len(dataset) > 0,
        drop_last=drop_last,
        num_workers=0,
        generator=generator,
    )
    return dataloader


def get_batch(ids, batch_size, max_length, generator=None):
    if len(ids) <= max_length:
        raise ValueError(f"{len(ids)} ids <= {max_length}")
    ix = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)
    x = torch.stack([(ids[i : i + max_length]).to(torch.int64) for i in ix])
    y = torch.stack([(ids[i + 1 : i + 1 + max_length]).to(torch.int64) for i in ix])
    return x, y


def fetch_text(url, cache, sha256=None, timeout=10.0):
    raise NotImplementedError
