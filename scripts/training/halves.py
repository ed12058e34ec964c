"""Entries that fit, in two halves: most of them to learn from, a few to look at."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from grader.errors import UsageError

Entry = dict[str, str]
# The share of the entries to look at, and not to learn from.
HELD_OUT = 0.1


def fitting(entries: Sequence[Entry], lengths: Sequence[int], max_length: int) -> list[Entry]:
    """Those that fit whole: of an answer that is cut, the model would learn never to stop.

    Raises `UsageError` where too few are left to learn from and to look at.
    """
    short = [entry for entry, length in zip(entries, lengths, strict=True) if length <= max_length]
    if len(short) < 1 / HELD_OUT:
        raise UsageError(
            f"Of {len(entries)} entries {len(short)} fit into the model's context of {max_length} tokens: too few."
            " Begin --from a model with a longer context, or take shorter entries."
        )
    return short


def split(entries: list[Entry], seed: int) -> tuple[list[Entry], list[Entry]]:
    """Those to learn from, and those that are held out."""
    mixed = random.Random(seed).sample(entries, len(entries))
    count = round(len(mixed) * HELD_OUT)
    return mixed[count:], mixed[:count]


def loaders(
    halves: tuple[list[Entry], list[Entry]],
    dataset: Callable[[list[Entry]], Any],
    batch_size: int,
    collate: Callable[[list[Any]], Any],
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Batches of both halves; those to learn from are shuffled."""
    learned, held_out = (
        DataLoader(dataset(half), batch_size, half is halves[0], collate_fn=collate, generator=torch.Generator())
        for half in halves
    )
    return learned, held_out


def counted(entries: Sequence[Entry], short: Sequence[Entry], halves: tuple[list[Entry], list[Entry]]) -> str:
    """How many there are, in words."""
    lost = len(entries) - len(short)
    left_out = f", {lost} of them too long for the context" if lost else ""
    return f"{len(entries)} entries{left_out}: {len(halves[0])} to learn from, {len(halves[1])} held out."
