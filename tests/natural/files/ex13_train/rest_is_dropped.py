# wrong: leftover-dropped
# What is left at the end of an epoch makes no step.

import math
from dataclasses import dataclass, field

import torch

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


def steps_per_epoch(num_batches, accumulate):
    return math.ceil(num_batches / accumulate)


def seed_loader(loader, seed):
    gen = getattr(loader, "generator", None)
    if gen is None:
        return
    gen.manual_seed(seed)


def update(model, batches, optimizer, learning_rate, max_norm, device):
    model.train()
    optimizer.zero_grad()
    tokens_seen = 0
    for input_batch, target_batch in batches:
        loss = calc_loss_batch(input_batch, target_batch, model, device)
        loss = loss / len(batches)
        loss.backward()
        tokens_seen += input_batch.numel()
    clip_grad_norm(model.parameters(), max_norm)
    for param_group in optimizer.param_groups:
        param_group["lr"] = learning_rate
    optimizer.step()
    return tokens_seen


def train_epoch(model, train_loader, optimizer, config, history, epoch, device="cpu", after_step=None):
    n_steps = steps_per_epoch(len(train_loader), config.accumulate)
    first_step = (epoch - 1) * n_steps
    if history.step >= epoch * n_steps:
        return
    seed_loader(train_loader, config.seed + epoch)
    to_skip = (history.step - first_step) * config.accumulate
    total = n_steps * config.num_epochs
    group = []
    for i, batch in enumerate(train_loader):
        if i < to_skip:
            continue
        group.append(batch)
        if (i + 1) % config.accumulate == 0:
            lr = lr_at(history.step, config.max_lr, config.min_lr, config.warmup_steps, total)
            history.tokens_seen += update(model, group, optimizer, lr, config.max_norm, device)
            history.step += 1
            group = []
            if after_step is not None:
                after_step(lr)


def train_model(model, train_loader, val_loader, optimizer, config, device="cpu", sample=None, on_step=None, history=None):
    if history is None:
        history = History()
    n_steps = steps_per_epoch(len(train_loader), config.accumulate)
    for epoch in range(config.num_epochs):

        def after(lr):
            if history.step % config.eval_every == 0:
                seed_loader(train_loader, config.seed)
                train_loss, val_loss = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
                history.evaluations.append(Evaluation(history.step, history.tokens_seen, train_loss, val_loss, lr))
                print(f"Ep {epoch + 1} (Step {history.step:06d}): train {train_loss:.3f}, val {val_loss:.3f}")
            if history.step == (epoch + 1) * n_steps and sample is not None:
                history.samples.append(sample(model))
            if on_step is not None:
                on_step(history)

        train_epoch(model, train_loader, optimizer, config, history, epoch + 1, device, after)
    return history
