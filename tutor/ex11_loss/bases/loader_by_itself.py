import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .ex00_tensors import cross_entropy

Batch = tuple[Tensor, Tensor]


def calc_loss_batch(
    input_batch: Tensor, target_batch: Tensor, model: nn.Module, device: torch.device | str
) -> Tensor:
    logits = model(input_batch.to(device))
    return cross_entropy(logits.flatten(0, 1), target_batch.to(device).flatten())


def calc_loss_loader(
    data_loader: Iterable[Batch], model: nn.Module, device: torch.device | str, num_batches: int | None = None
) -> float:
    losses, tokens = 0.0, 0
    with torch.no_grad():
        for number, (inputs, targets) in enumerate(data_loader):
            if num_batches is not None and number >= num_batches:
                break
            rows = model(inputs.to(device)).flatten(0, 1)
            answers = targets.to(device).flatten()
            losses += nn.functional.cross_entropy(rows, answers, reduction="sum").item()
            tokens += int((answers != -100).sum())
    if tokens == 0:
        return math.nan
    return losses / tokens


def perplexity(loss: float) -> float:
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(
    model: nn.Module,
    train_loader: Iterable[Batch],
    val_loader: Iterable[Batch],
    device: torch.device | str,
    eval_batches: int | None = None,
) -> tuple[float, float]:
    mode = model.training
    model.eval()
    try:
        first = calc_loss_loader(train_loader, model, device, num_batches=eval_batches)
        second = calc_loss_loader(val_loader, model, device, num_batches=eval_batches)
    finally:
        model.train(mode)
    return first, second
