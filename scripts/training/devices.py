"""Which device to compute on, and with how many threads."""

from __future__ import annotations

import os

import torch

from grader.errors import UsageError


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else Apple's MPS, else the CPU. Raises `UsageError` for one not here."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"There is no device {name!r} here. Choose auto, cpu, cuda or mps.") from error
    return device


def use_threads(number: int) -> None:
    """Compute with so many threads, but no more than there are processors.

    One is the scripts' default. Where other programs keep the processors busy, each operation of several threads
    waits for the slowest of them.
    """
    torch.set_num_threads(min(number, os.cpu_count() or 1))
