"""Seeing, at each step, whether a training still computes with finite numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class NotFinite(Exception):
    """A loss, a gradient or a weight is infinite or not a number."""


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether every number is finite; tensors of whole numbers are passed over."""
    # A sum is the quickest way to look at all of them. Finite numbers whose sum overflows are no better.
    sums = [tensor.detach().sum(dtype=torch.float32) for tensor in tensors if _counts(tensor)]
    return not sums or bool(torch.stack(sums).isfinite().all())


@contextmanager
def watched(network: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Within the block, `NotFinite` is raised as soon as the network's logits give no finite loss, in training, in
    an evaluation or while it writes; and before the optimizer makes a step along gradients that are not finite.

    So no step changes a weight by what is not a number.
    """

    def look_at_logits(network: nn.Module, inputs: Any, logits: Any) -> None:
        if isinstance(logits, Tensor) and _counts(logits):
            low, high = torch.aminmax(logits.detach())
            spread = high - low  # the loss lies between 0 and this, give or take the log of their number
            if not spread.isfinite():
                raise NotFinite

    def look_at_gradients(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
        if not all_finite(parameter.grad for parameter in parameters if parameter.grad is not None):
            raise NotFinite

    handles = [
        network.register_forward_hook(look_at_logits),
        optimizer.register_step_pre_hook(look_at_gradients),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _counts(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.numel() > 0
