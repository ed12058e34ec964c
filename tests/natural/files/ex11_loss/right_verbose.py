# right: classes for the accumulator and the evaluator, type hints, the loss by gather.
from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

IGNORE_INDEX: int = -100


class TokenLossCalculator:
    def __init__(self, logits: Tensor, targets: Tensor) -> None:
        self.logits = logits
        self.targets = targets
        self.mask: Tensor = targets != IGNORE_INDEX

    def mean(self) -> Tensor:
        log_probabilities: Tensor = torch.log_softmax(self.logits, dim=-1)
        safe_targets: Tensor = torch.where(self.mask, self.targets, torch.zeros_like(self.targets))
        gathered: Tensor = log_probabilities.gather(dim=2, index=safe_targets.unsqueeze(dim=2)).squeeze(dim=2)
        return -gathered.masked_fill(~self.mask, 0.0).sum() / self.mask.sum()


class BatchLimiter:
    def __init__(self, batches: Iterable[tuple[Tensor, Tensor]], limit: int | None) -> None:
        self.batches = batches
        self.limit = limit

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        taken: int = 0
        if self.limit == 0:
            return
        for batch in self.batches:
            yield batch
            taken += 1
            if taken == self.limit:
                return


def calc_loss_batch(input_batch: Tensor, target_batch: Tensor, model: nn.Module, device: torch.device | str) -> Tensor:
    logits: Tensor = model(input_batch.to(device))
    return TokenLossCalculator(logits, target_batch.to(device)).mean()


def calc_loss_loader(
    data_loader: Iterable[tuple[Tensor, Tensor]], model: nn.Module, device: torch.device | str, num_batches: int | None = None
) -> float:
    sum_of_losses: float = 0.0
    number_of_tokens: int = 0
    with torch.no_grad():
        for input_batch, target_batch in BatchLimiter(data_loader, num_batches):
            tokens_in_batch: int = int((target_batch != IGNORE_INDEX).sum().item())
            if tokens_in_batch == 0:
                continue
            mean_loss: float = float(calc_loss_batch(input_batch, target_batch, model, device))
            sum_of_losses += mean_loss * tokens_in_batch
            number_of_tokens += tokens_in_batch
    try:
        return sum_of_losses / number_of_tokens
    except ZeroDivisionError:
        return math.nan


def perplexity(loss: float) -> float:
    if math.isnan(loss):
        return math.nan
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


class Evaluator:
    def __init__(self, model: nn.Module, device: torch.device | str) -> None:
        self.model = model
        self.device = device
        self.was_training: bool = model.training

    def __enter__(self) -> Evaluator:
        self.model.eval()
        return self

    def __exit__(self, *_: object) -> None:
        self.model.train(self.was_training)

    def loss(self, loader: Iterable[tuple[Tensor, Tensor]], limit: int | None) -> float:
        return calc_loss_loader(loader, self.model, self.device, limit)


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None) -> tuple[float, float]:
    with Evaluator(model, device) as evaluator:
        return evaluator.loss(train_loader, eval_batches), evaluator.loss(val_loader, eval_batches)
