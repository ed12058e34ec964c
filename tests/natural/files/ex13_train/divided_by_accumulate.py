# wrong: epoch-divides-by-another-number
# Each loss is divided by config.accumulate, the smaller group's at the end of the epoch too.

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
    count = 0
    while num_batches > 0:
        num_batches -= accumulate
        count += 1
    return count


def seed_loader(loader, seed):
    try:
        generator = loader.generator
    except AttributeError:
        return None
    return generator.manual_seed(seed) and None if generator is not None else None


def update(model, batches, optimizer, learning_rate, max_norm, device):
    model.train()
    for pg in optimizer.param_groups:
        pg.update(lr=learning_rate)
    for p in model.parameters():
        p.grad = None
    tokens = [0]
    for x, y in batches:
        tokens.append(x.nelement())
        calc_loss_batch(x, y, model, device).div(len(batches)).backward()
    clip_grad_norm(list(model.parameters()), max_norm)
    optimizer.step()
    return sum(tokens)


def train_epoch(model, train_loader, optimizer, config, history, epoch, device="cpu", after_step=None):
    size = config.accumulate
    per_epoch = (len(train_loader) + size - 1) // size
    start, end = (epoch - 1) * per_epoch, epoch * per_epoch
    if history.step >= end:
        return
    seed_loader(train_loader, config.seed + epoch)
    batches = list(train_loader)
    for k in range(history.step - start, per_epoch):
        chunk = batches[k * size : (k + 1) * size]
        lr = lr_at(history.step, config.max_lr, config.min_lr, config.warmup_steps, config.num_epochs * per_epoch)
        model.train()
        optimizer.zero_grad()
        for x, y in chunk:
            loss = calc_loss_batch(x, y, model, device)
            (loss / config.accumulate).backward()
            history.tokens_seen += x.numel()
        clip_grad_norm(model.parameters(), config.max_norm)
        for pg in optimizer.param_groups:
            pg["lr"] = lr
        optimizer.step()
        history.step += 1
        if after_step is not None:
            after_step(lr)


def train_model(model, train_loader, val_loader, optimizer, config, device="cpu", sample=None, on_step=None, history=None):
    history = History() if history is None else history
    per_epoch = steps_per_epoch(len(train_loader), config.accumulate)

    def evaluate(lr):
        seed_loader(train_loader, config.seed)
        train_loss, val_loss = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
        history.evaluations.append(Evaluation(history.step, history.tokens_seen, train_loss, val_loss, lr))

    def tell(lr):
        history.step % config.eval_every == 0 and evaluate(lr)
        sample is not None and history.step % per_epoch == 0 and history.samples.append(sample(model))
        on_step is not None and on_step(history)

    epoch = 0
    while epoch < config.num_epochs:
        epoch += 1
        train_epoch(model, train_loader, optimizer, config, history, epoch, device, tell)
    return history
