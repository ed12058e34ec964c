# wrong: epochs-seeded-from-zero, on-step-before-the-sample
# The epochs' seeds count from 0; and on_step comes before the sample.

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, List, Optional, Tuple

import torch
from torch import Tensor, nn

from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm, lr_at


@dataclass(frozen=True)
class TrainConfig:
    num_epochs: int
    max_lr: float = 1e-3
    min_lr: float = 1e-4
    warmup_steps: int = 0
    max_norm: float = 1.0
    accumulate: int = 1
    eval_every: int = 10
    eval_batches: int | None = None
    seed: int = 123


@dataclass(frozen=True)
class Evaluation:
    step: int
    tokens_seen: int
    train_loss: float
    val_loss: float
    learning_rate: float


@dataclass
class History:
    step: int = 0
    tokens_seen: int = 0
    evaluations: list[Evaluation] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)


def steps_per_epoch(num_batches: int, accumulate: int) -> int:
    number_of_full_groups = num_batches // accumulate
    has_rest = num_batches % accumulate != 0
    if has_rest:
        return number_of_full_groups + 1
    return number_of_full_groups


def seed_loader(loader: Iterable[Any], seed: int) -> None:
    has_generator = hasattr(loader, "generator") and loader.generator is not None
    if has_generator:
        loader.generator.manual_seed(seed)


def _set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def _accumulate_gradient(model: nn.Module, batch: Tuple[Tensor, Tensor], share: float, device: Any) -> int:
    inputs, targets = batch
    loss = calc_loss_batch(inputs, targets, model, device)
    scaled_loss = loss * share
    scaled_loss.backward()
    return inputs.shape[0] * inputs.shape[1]


def update(model: nn.Module, batches: List[Tuple[Tensor, Tensor]], optimizer: torch.optim.Optimizer, learning_rate: float, max_norm: float, device: Any) -> int:
    model.train(True)
    optimizer.zero_grad()
    number_of_tokens = 0
    share = 1.0 / len(batches)
    for batch in batches:
        number_of_tokens = number_of_tokens + _accumulate_gradient(model, batch, share, device)
    clip_grad_norm(model.parameters(), max_norm)
    _set_learning_rate(optimizer, learning_rate)
    optimizer.step()
    return number_of_tokens


class _Grouper:
    """Gives the batches of a loader in groups."""

    def __init__(self, loader: Iterable[Any], size: int) -> None:
        self.iterator = iter(loader)
        self.size = size

    def next_group(self) -> List[Any]:
        group: List[Any] = []
        while len(group) < self.size:
            try:
                group.append(next(self.iterator))
            except StopIteration:
                break
        return group


def train_epoch(model, train_loader, optimizer, config: TrainConfig, history: History, epoch: int, device: Any = "cpu", after_step: Optional[Callable[[float], None]] = None) -> None:
    steps_in_epoch = steps_per_epoch(len(train_loader), config.accumulate)
    total_steps = steps_in_epoch * config.num_epochs
    steps_already_made = history.step - (epoch - 1) * steps_in_epoch
    if steps_already_made >= steps_in_epoch:
        return
    seed_loader(train_loader, config.seed + epoch - 1)
    grouper = _Grouper(train_loader, config.accumulate)
    for _ in range(steps_already_made):
        grouper.next_group()
    group = grouper.next_group()
    while len(group) > 0:
        learning_rate = lr_at(history.step, config.max_lr, config.min_lr, config.warmup_steps, total_steps)
        tokens = update(model, group, optimizer, learning_rate, config.max_norm, device)
        history.tokens_seen = history.tokens_seen + tokens
        history.step = history.step + 1
        if after_step is not None:
            after_step(learning_rate)
        group = grouper.next_group()


class _Trainer:
    def __init__(self, model, train_loader, val_loader, config, device, sample, on_step, history):
        self.model = model
        self.train_loader = train_loader
        self.val_loader = val_loader
        self.config = config
        self.device = device
        self.sample = sample
        self.on_step = on_step
        self.history = history
        self.steps_in_epoch = steps_per_epoch(len(train_loader), config.accumulate)

    def after_step(self, learning_rate: float) -> None:
        if self.history.step % self.config.eval_every == 0:
            self.evaluate(learning_rate)
        if self.on_step is not None:
            self.on_step(self.history)
        is_end_of_epoch = self.history.step % self.steps_in_epoch == 0
        if is_end_of_epoch and self.sample is not None:
            self.history.samples.append(self.sample(self.model))

    def evaluate(self, learning_rate: float) -> None:
        seed_loader(self.train_loader, self.config.seed)
        train_loss, val_loss = evaluate_model(
            self.model, self.train_loader, self.val_loader, self.device, self.config.eval_batches
        )
        self.history.evaluations.append(
            Evaluation(
                step=self.history.step,
                tokens_seen=self.history.tokens_seen,
                train_loss=train_loss,
                val_loss=val_loss,
                learning_rate=learning_rate,
            )
        )


def train_model(model, train_loader, val_loader, optimizer, config: TrainConfig, device: Any = "cpu", sample=None, on_step=None, history: Optional[History] = None) -> History:
    if history is None:
        history = History()
    trainer = _Trainer(model, train_loader, val_loader, config, device, sample, on_step, history)
    for epoch_index in range(config.num_epochs):
        train_epoch(model, train_loader, optimizer, config, history, epoch_index + 1, device, trainer.after_step)
    return history
