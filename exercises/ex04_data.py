"""Data: from one long text to small batches that a model can learn from.

WHY
A GPT learns one thing: given some tokens, which one comes next? Nobody has to write the answers down. Every
text holds them already, because the right answer at each place is simply the token that follows there. What
is left to do is to fetch a text, put a part of it aside, and cut the rest into pieces of equal length.

HOW
    URL ──fetch_text──► text ──split_text_train_val──► training text and validation text
    text ──your tokenizer──► ids ──GPTDataset──► windows ──DataLoader──► batches

FETCHING
Downloads fail in many ways, and the worst way is to fail unnoticed: half a text is stored as if it were the
whole, and every later run trains on it. So three rules hold. What came is checked before it is stored. The
file changes in one step, from what it was to the whole new text. And an error says which URL it is about.

SPLIT FIRST, THEN CUT
The validation text tells how well the model does on text it has never seen. So the *text* is divided before
windows are cut. Overlapping windows share most of their tokens. Divided later, nearly every window of the
validation would have a twin in the training, and a model that learned by heart would look clever.

WINDOWS
A window is max_length ids in a row (T for short). Its target is the window of the same length that begins
one id later. So each place in the input has its answer at the same place in the target. One window teaches T
things at once. Here T = 3:

    input    5  2  9          after 5           comes 2
    target   2  9  4          after 5, 2        comes 9
                              after 5, 2, 9     comes 4

The stride says how far it is from the start of one window to the start of the next. With stride = T the
windows lie side by side, and no id is learned twice. With less they overlap. With more, some ids are left out.
The last window that fits stays, and it fits only if its target does too. Window i begins at i · stride, and

    number of windows = ⌈(n − T) / stride⌉ for n ids, or 0 if n is T or less

⌈ ⌉ rounds up.

A SMALL EXAMPLE
Eight ids, T = 3, stride = 2: ⌈(8 − 3) / 2⌉ = 3 windows, at 0, 2 and 4.

    ids      5  2  9  4  4  1  7  3
    inputs   [5, 2, 9]    [9, 4, 4]    [4, 1, 7]
    targets  [2, 9, 4]    [4, 4, 1]    [1, 7, 3]

A fourth window, at 6, would run over the end. Without the final 3 even the third would have to go: its target
would be one id short.

BATCHES
Several windows are stacked and computed at once: inputs (B, T) and targets (B, T). torch's DataLoader does
that for any object that has a length and can be indexed. It also shuffles, so that neighbours in the text do
not always meet in the same batch. There is a second way, which nanoGPT takes: choose B starting places at
random for each batch, and have no data set at all. It needs less code. But some windows come twice before
others come once, so there is no such thing as having seen everything once, an epoch.

WHAT IS NOT HERE
No tokenizer: the ids come from exercise 1 or 3. No padding: every window is full. Nothing that streams a
corpus larger than memory.

Shapes: B batch, T = max_length tokens, n ids in all.
Read on: Raschka, "Build a Large Language Model (From Scratch)", chapter 2. Karpathy, nanoGPT, `get_batch` in
train.py. Python's documentation of `urllib.request`, `http.client` and `os.replace`.
"""

import hashlib
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


def fetch_text(url: str, cache: str | Path, sha256: str | None = None, timeout: float = 10.0) -> str:
    r"""The text behind a URL, downloaded once and kept in a file.

    Arguments
        url      where the text is
        cache    the file that keeps it, a str or a Path. Folders that are missing above it are made.
        sha256   the checksum that the bytes must have, 64 hexadecimal digits in lower case, as
                 `hashlib.sha256(content).hexdigest()` gives it. None: any bytes will do.
        timeout  how many seconds the server may be silent; handed on to `urlopen`
    Returns
        str, all the bytes decoded as UTF-8, whatever the server says about them. Nothing else is done to the
        text, now or when it comes from the file: \r\n stays \r\n, a byte order mark at the start stays.

    If `cache` exists, its content is the text, also when it is empty, and nobody is asked. With a sha256 that
    holds only if the file has this checksum. If it has another, the file counts as missing.

    Otherwise the server is asked, by one call of `urlopen(url, timeout=timeout)`, with no second try if that
    fails. Use `urlopen` and nothing else: the tests answer in the server's place. It follows redirections by
    itself. What came is checked first and stored after that, byte for byte: written whole to a second file in
    the same folder, which `Path.replace` then moves over `cache`. For the operating system that is one step,
    so whoever opens `cache` finds the old text or the new one, and never half of it.

    Raises
        OSError: the download failed. The message names the URL. This covers a server that cannot be reached, a
            status such as 404, silence, an answer that is not HTTP, and an answer that ends before the length
            that it announced. `urlopen` and `read` notice all of these, but some of their errors are an
            `HTTPException`, which is no OSError, and their messages lack the URL. `read()` raises for missing
            bytes only if you call it without a number: `read(1000)` and `shutil.copyfileobj` stop silently.
            (An answer that announces no length may be cut off unnoticed. That is what sha256 is for.)
        ValueError: what came has another checksum than sha256. The message names the URL and both checksums.
        ValueError: what came is not UTF-8. The message names the URL.
        ValueError: the file is to be used and is not UTF-8. The message names the file.

    When it raises one of these, or the disk becomes full while you write, `cache` is as it was before: the same
    bytes, or still missing. And no other file is left, with an error or without. The OSError of a full disk may
    go on as it is. Folders that were made may stay.

    Example: `fetch_text("https://example.com/story.txt", "data/story.txt")` downloads. The same call once more
    reads the file.

    Source: Python's documentation of `urllib.request` and `os.replace`.
    """
    raise NotImplementedError


def split_text_train_val(text: str, train_fraction: float = 0.9) -> tuple[str, str]:
    """Divide a text into a part to learn from and a part to be tested on.

    Arguments
        text            any text, also empty
        train_fraction  the share that is learned from, above 0 and below 1
    Returns
        (training text, validation text), both str: the first int(train_fraction * len(text)) characters, and
        all the rest. Joined they are the text again. A short text may leave one of them empty.
    Raises
        ValueError: train_fraction is not above 0 and below 1; 0, 1 and nan are not. The message names it.

    Example: split_text_train_val("abcdefg", 0.5) is ("abc", "defg"), because int(3.5) is 3.

    Source: Raschka, chapter 5.
    """
    raise NotImplementedError


class GPTDataset(Dataset):
    """All the windows of a text, each with its target: what torch calls a data set.

    Arguments
        ids         list[int], or a tensor (n,): the ids of the whole text
        max_length  T, how many ids a window has, at least 1
        stride      from the start of one window to the start of the next, at least 1
    Raises
        ValueError: max_length or stride is below 1. The message names the number that is.

    Window i begins at i · stride, and its target one id later. The last window that fits with its whole target
    is kept. With T ids or fewer there is none: the data set is empty, which is no error.

    Its items are always int64, also where ids is a tensor of another dtype that holds whole numbers, such as
    int32 or float32: torch's embedding and loss ask for int64. `ids` itself is not changed. What you keep, and
    under which names, is up to you.

    Example: the one of the lesson above is `GPTDataset([5, 2, 9, 4, 4, 1, 7, 3], max_length=3, stride=2)`.

    Source: Raschka, chapter 2.
    """

    def __init__(self, ids: Sequence[int] | Tensor, max_length: int, stride: int) -> None:
        """Check the two numbers and keep what the other two methods need."""
        raise NotImplementedError

    def __len__(self) -> int:
        """The number of windows.

        Returns
            int, 0 for an empty data set and never below. `len(dataset)` calls this.

        Example: 3 for the data set of the lesson.
        """
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One window and its target.

        Arguments
            index  0 … len − 1, the same window each time it is asked for, in whatever order. No negative ones.
        Returns
            (input, target), both int64 (T,). They may share memory with ids or with each other.
        Raises
            IndexError: index is len or above. A `for` loop over the data set ends by this error.

        Example: `dataset[1]` of the lesson's data set is ([9, 4, 4], [4, 4, 1]), as tensors.
        """
        raise NotImplementedError


def create_dataloader(
    ids: Sequence[int] | Tensor,
    batch_size: int = 4,
    max_length: int = 256,
    stride: int = 128,
    shuffle: bool = True,
    drop_last: bool = True,
    generator: torch.Generator | None = None,
) -> DataLoader:
    """The windows of a text in batches.

    Arguments
        ids         as for GPTDataset
        batch_size  B, windows in a batch
        max_length  T, ids in a window
        stride      from one window to the next
        shuffle     True: in a new random order each time the loader is gone through, every window once.
                    False: in the order of the text.
        drop_last   what becomes of the windows that are left over at the end and do not fill a batch.
                    True: they are left out. False: they come as a last, smaller batch.
        generator   decides the random order; None means torch's own, which `torch.manual_seed` sets
    Returns
        torch's DataLoader, also where it is empty. It yields pairs of inputs (B, T) and targets (B, T), int64.
    Raises
        ValueError: as GPTDataset does.

    batch_size, shuffle, drop_last and generator are handed to the DataLoader as they are, with one exception:
    torch refuses to shuffle a data set of length 0 and raises a ValueError. Here too few ids are no error.
    The loader is empty then, its length 0, and a loop over it ends at once, whatever `shuffle` is. All other
    settings of the DataLoader stay as torch has them.

    For training, shuffle and drop the last batch: a small batch has a noisy gradient. For validation do
    neither: every window counts, and a short text may have fewer windows than one batch.

    Example: with the ids of the lesson, batch_size=2, max_length=3, stride=2 and shuffle=False there is one
    batch, with inputs [[5, 2, 9], [9, 4, 4]]. With drop_last=False there is a second, [[4, 1, 7]].

    Source: Raschka, chapter 2. torch's documentation of `torch.utils.data`.
    """
    raise NotImplementedError


def get_batch(
    ids: Tensor, batch_size: int, max_length: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """One batch of windows from random places, without a data set.

    Arguments
        ids         tensor (n,) of whole numbers, int64 or int32
        batch_size  B, windows in the batch
        max_length  T, ids in a window
        generator   decides the places; None means torch's own, which `torch.manual_seed` sets
    Returns
        (inputs, targets), both int64 (B, T). Changing them does not change ids.
    Raises
        ValueError: there are T ids or fewer. The message names both numbers, how many ids there are and T.

    The starting places come from exactly one call, and nothing else is drawn:

        torch.randint(len(ids) - max_length, (batch_size,), generator=generator)

    It gives B numbers from 0 to n − T − 1. Row i of the inputs begins at the i-th of them, row i of the targets
    one id later. A place may come twice.

    Example: with the ids of the lesson and T = 3, n − T is 5. If the call gives [4, 0], the inputs are
    [[4, 1, 7], [5, 2, 9]] and the targets [[1, 7, 3], [2, 9, 4]].

    Source: Karpathy, nanoGPT, train.py.
    """
    raise NotImplementedError
