"""One training in several processes, as `torchrun` starts them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed

from grader.errors import UsageError
from scripts.parts import Parts


class Alone:
    """The group of a process that trains by itself."""

    rank = 0
    world_size = 1

    def all_reduce(self, tensor: torch.Tensor) -> None:
        """The sum over one process is what it has."""

    def broadcast(self, tensor: torch.Tensor, source: int) -> None:
        """All processes have it."""


def started() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process, from 0 on."""
    return int(os.environ.get("RANK", "0")) if started() > 1 else 0


@contextmanager
def together(parts: Parts, device: torch.device) -> Iterator[Any]:
    """Within the block the processes can communicate; it gives your `TorchGroup`, or one for a process alone."""
    if started() == 1:
        yield Alone()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield parts.module("ex21_scale").TorchGroup()
    finally:
        distributed.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """With several CUDA devices, the one of this process."""
    if device.type == "cuda" and started() > 1:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


def check_batch(batch_size: int) -> None:
    """Raises `UsageError` where the processes cannot share a batch equally."""
    if batch_size % started():
        raise UsageError(f"{started()} processes cannot share a batch of {batch_size} equally: see --batch-size.")


@contextmanager
def led(optimizer: Any, last_step: int | None, done: int) -> Iterator[None]:
    """Within the block, a process other than the first goes along with it, and ends when it ends.

    Signals are the first one's to hear: it saves. `last_step` is where all stop, `done` how many steps were made.
    """
    steps = done

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == last_step:
            raise _Ended

    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    handle = optimizer.register_step_post_hook(count)
    try:
        yield
    except _Ended:
        pass
    except RuntimeError as error:
        if "gloo" not in str(error).lower() and "nccl" not in str(error).lower():
            raise
    finally:
        handle.remove()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Ended(Exception):
    """As many steps were made as were asked for."""
