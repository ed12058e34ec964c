"""Data: from one long text to small batches that a model can learn from.

You need: slices, classes with `__len__` and `__getitem__`, and ids, as a tokenizer of exercise 1 or 3 gives them.

WHY
A GPT learns one thing: given some tokens, which one comes next? Nobody has to write the answers down. Every
text holds them already, because the right answer at each position is simply the token that follows. What is
left to do is to put a part of the text aside, and to cut the rest into pieces of equal length.

HOW
    text ── split_text_train_val ──► training text, validation text
    each ── your tokenizer ──► ids ── GPTDataset ──► windows ── DataLoader ──► batches

A *window* is T ids in a row; T is max_length. Its *target* is the window of the same length that begins one id
later. So each position of the input has its answer at the same position of the target, and one window teaches T
things at once. With T = 3:

    input    5  2  9          after 5           comes 2
    target   2  9  4          after 5, 2        comes 9
                              after 5, 2, 9     comes 4

The *stride* says how far it is from the start of one window to the start of the next.

    stride = T    the windows lie side by side, and each id is an input once
    stride < T    they overlap: more windows out of the same text, but they resemble each other
    stride > T    some ids are left out

Window i begins at i · stride, and it counts only if its target fits too. So for n ids there are
⌈(n − T) / stride⌉ windows, rounded up, and none if n is T or less.

A SMALL EXAMPLE
Eight ids, T = 3, stride = 2: ⌈5 / 2⌉ = 3 windows.

    ids           5    2    9    4    4    1    7    3
                ┌──────────────┐
    input 0     │ 5    2    9  │
                └────┬─────────┴────┐
    target 0         │ 2    9    4  │
                     └────┬─────────┴────┐
    input 1               │ 9    4    4  │
                          └────┬─────────┴────┐
    target 1                   │ 4    4    1  │
                               └────┬─────────┴────┐
    input 2                         │ 4    1    7  │
                                    └────┬─────────┴────┐
    target 2                             │ 1    7    3  │
                                         └──────────────┘

A fourth window, at 6, would run over the end. If the last id were missing, input 2 would have no whole target.

SPLIT FIRST, THEN CUT
A model can *memorize* its training text, word for word, and be useless for any other: it *overfits*. Only text
that it has never seen shows this, the validation text. So the *text* is divided before windows are cut.
Overlapping windows share most of their ids. If you divided the windows instead, nearly every window of the
validation set would have a twin in the training set, and a model that only memorized would look clever.

MINI-BATCHES
Several windows are stacked and computed at once: inputs (B, T) and targets (B, T). This is a *mini-batch*, or
just a batch. Going through all windows once is an *epoch*. torch's DataLoader makes batches of any object that has
a length and can be indexed, and it shuffles, so that neighbours in the text do not always share a batch.

nanoGPT has no data set: it draws B starting positions at random for each batch. That is less code, but there
are no epochs: some windows come twice before others come once.

FETCHING A TEXT (optional)
Downloads fail, and the worst way is to fail unnoticed: half a text is stored, and every later run trains on it.
So what came is checked first, and then stored in one step. `fetch_text`, at the end of this file, does that.
The exercise passes without it; only `--url` of `scripts.train` needs it.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", section 2.6, and 5.1.3 for the split. There the data set
tokenizes the text itself. Here it is given ids, so any tokenizer will do. `get_batch` is not from the book but from
nanoGPT. And the book downloads its text in two lines, which store a broken download as well.

TWO QUESTIONS (the answers are at the end of this file)
1. A text has 100 ids, and T = 10. How many windows are there with stride 10, and how many with stride 1?
2. The targets are, by mistake, the inputs themselves. What happens to the training loss, and what does the
   model learn?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex04` cuts a story into windows and shows one batch. Predict first:
at which position of its target is the answer to the first token of a window? And with windows of 64 tokens
and a stride of 16, in how many windows is a token from the middle of the story?

Shapes: B batch, T = max_length ids, n ids in all.
Read on: Karpathy, nanoGPT, `get_batch` in train.py. torch's documentation of `torch.utils.data`.
"""

import hashlib
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


def split_text_train_val(text: str, train_fraction: float = 0.9) -> tuple[str, str]:
    """Divide a text into a part to learn from and a part to be tested on.

    Arguments
        text            any text, also empty
        train_fraction  the share to learn from, between 0 and 1
    Returns
        (training text, validation text), both str: the first int(train_fraction * len(text)) characters, and
        all the rest

    Example: split_text_train_val("abcdefg", 0.5) is ("abc", "defg"), because int(3.5) is 3.

    Fine print
        ValueError: train_fraction is not above 0 and below 1. The message should name it.

    Source: Raschka, section 5.1.3.
    """
    if not 0 < train_fraction < 1:
        raise ValueError(f"train_fraction is {train_fraction}; it has to lie between 0 and 1")
    split = int(train_fraction * len(text))
    return text[:split], text[split:]


class GPTDataset(Dataset):
    """All the windows of a text, each with its target.

    Arguments
        ids         list of int, or a tensor (n,) of whole numbers
        max_length  T, ids in a window
        stride      from the start of one window to that of the next

    It should act like the list `windows`, with int64 tensors in it:

        windows, start = [], 0
        while start + max_length < len(ids):
            end = start + max_length
            windows.append((ids[start:end], ids[start + 1 : end + 1]))
            start += stride

    Example: the one of the lesson is `GPTDataset([5, 2, 9, 4, 4, 1, 7, 3], max_length=3, stride=2)`.

    Source: Raschka, section 2.6.
    """

    def __init__(self, ids: Sequence[int] | Tensor, max_length: int, stride: int) -> None:
        """Keep what the other two methods need.

        Fine print
            ValueError: max_length or stride is below 1. The message should name the number.
        """
        for name, number in (("max_length", max_length), ("stride", stride)):
            if number < 1:
                raise ValueError(f"{name} is {number}; it has to be at least 1")
        self.ids = torch.as_tensor(ids, dtype=torch.int64)
        self.max_length = max_length
        self.starts = range(0, len(self.ids) - max_length, stride)

    def __len__(self) -> int:
        """The number of windows, 0 if there are too few ids.

        Example: 3 for the data set of the lesson.
        """
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One window and its target.

        Arguments
            index  0 … len − 1, in any order
        Returns
            (input, target), both int64 (T,), whatever the dtype of ids

        Example: item 1 of the lesson's data set is ([9, 4, 4], [4, 4, 1]), as tensors.

        Fine print
            IndexError: index is len or above. A `for` loop over the data set ends by this error.
        """
        start = self.starts[index]
        end = start + self.max_length
        return self.ids[start:end], self.ids[start + 1 : end + 1]


def create_dataloader(
    ids: Sequence[int] | Tensor,
    batch_size: int = 4,
    max_length: int = 256,
    stride: int = 128,
    shuffle: bool = True,
    drop_last: bool = True,
    generator: torch.Generator | None = None,
) -> DataLoader:
    """The windows of a text in mini-batches.

    Arguments
        ids, max_length, stride  as for GPTDataset
        batch_size               B, windows in a batch
        shuffle                  True: in a new random order in each epoch
        drop_last                True: a last batch that is not full is left out
        generator                decides the order; None means torch's own
    Returns
        a DataLoader of your GPTDataset. It yields inputs (B, T) and targets (B, T), int64.

    Example: with the ids of the lesson, batch_size=2, max_length=3, stride=2 and shuffle=False there is one
    batch, with inputs [[5, 2, 9], [9, 4, 4]]. With drop_last=False there is a second, [[4, 1, 7]].

    Fine print
        With no window at all the loader should be empty, also with shuffle=True, which torch refuses then.

    Source: Raschka, section 2.6.
    """
    dataset = GPTDataset(ids, max_length, stride)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle and len(dataset) > 0,
        drop_last=drop_last,
        generator=generator,
    )


def get_batch(
    ids: Tensor, batch_size: int, max_length: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """One batch of windows from random positions, without a data set.

    Arguments
        ids         tensor (n,) of whole numbers
        batch_size  B, windows in the batch
        max_length  T, ids in a window
        generator   decides the positions; None means torch's own
    Returns
        (inputs, targets), both int64 (B, T)

    Row i of the inputs begins at starts[i], and row i of the targets one id later, where

        starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator)

    is the only draw.

    Example: with the ids of the lesson and T = 3, starts may be [4, 0]. Then the inputs are
    [[4, 1, 7], [5, 2, 9]] and the targets [[1, 7, 3], [2, 9, 4]].

    Fine print
        ValueError: there are T ids or fewer. The message should name how many there are, and T.

    Source: Karpathy, nanoGPT, train.py.
    """
    if len(ids) <= max_length:
        raise ValueError(f"{len(ids)} ids are too few for a window of {max_length} and its target")
    starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator).tolist()
    inputs = torch.stack([ids[start : start + max_length] for start in starts])
    targets = torch.stack([ids[start + 1 : start + 1 + max_length] for start in starts])
    return inputs.long(), targets.long()


def fetch_text(url: str, cache: str | Path, sha256: str | None = None, timeout: float = 10.0) -> str:  # optional
    """The text behind a URL, downloaded once and kept in a file.

    Arguments
        url      where the text is
        cache    the file; missing folders are made
        sha256   the checksum of its bytes, as `hexdigest()` gives it; None accepts any
        timeout  seconds, for `urlopen`
    Returns
        str: the bytes, decoded as UTF-8

    If `cache` exists and its checksum fits, it is read. Otherwise the download should be checked, then stored
    whole: in a second file beside `cache`, which `Path.replace` moves over it.

    Example: fetch_text("https://example.com/story.txt", "data/story.txt") downloads; a second call reads the file.

    Fine print
        OSError: the download failed or ended early. Only a `read()` without a size notices the latter.
        ValueError: the download has another checksum, or is not UTF-8.
        Each message should name the URL, and `cache` should stay as it was.

    Source: Python's documentation of `urllib.request`, `http.client` and `os.replace`.
    """
    cache = Path(cache)
    if cache.exists():
        content = cache.read_bytes()
        if sha256 is None or hashlib.sha256(content).hexdigest() == sha256:
            return content.decode("utf-8")
    try:
        with urlopen(url, timeout=timeout) as response:
            content = response.read()
    except (OSError, HTTPException) as error:
        raise OSError(f"{url} could not be downloaded: {error}") from error
    checksum = hashlib.sha256(content).hexdigest()
    if sha256 is not None and checksum != sha256:
        raise ValueError(f"{url} has the checksum {checksum}; expected was {sha256}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{url} is not UTF-8 text: {error}") from error
    cache.parent.mkdir(parents=True, exist_ok=True)
    part = cache.with_name(cache.name + ".part")
    part.write_bytes(content)
    part.replace(cache)
    return text


# ANSWERS
# 1. Stride 10: ⌈90 / 10⌉ = 9, because the last ten ids would be an input without a whole target. Stride 1: 90.
# 2. It falls towards 0, because every answer can be copied from the input. The model learns to repeat the token
#    that it sees, and nothing about what comes next.
