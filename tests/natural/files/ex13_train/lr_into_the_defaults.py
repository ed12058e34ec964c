# wrong: learning-rate-not-set
# The rate is written into optimizer.defaults["lr"], where nobody reads it.

from dataclasses import dataclass, field
from itertools import islice

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
    q, r = divmod(num_batches, accumulate)
    return q + (r > 0)


def seed_loader(loader, seed):
    if (g := getattr(loader, "generator", None)) is not None: g.manual_seed(seed)


def update(model, batches, optimizer, learning_rate, max_norm, device):
    model.train()
    optimizer.defaults["lr"] = learning_rate
    model.zero_grad(set_to_none=True)
    n = len(batches)
    for X, Y in batches:
        (calc_loss_batch(X, Y, model, device) / n).backward()
    clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return sum(X.numel() for X, _ in batches)


def train_epoch(model, train_loader, optimizer, config, history, epoch, device="cpu", after_step=None):
    c, n = config, steps_per_epoch(len(train_loader), config.accumulate)
    done = history.step - (epoch - 1) * n
    if done >= n: return
    seed_loader(train_loader, c.seed + epoch)
    it = iter(train_loader)
    for _ in islice(it, done * c.accumulate): pass
    for _ in range(n - done):
        lr = lr_at(history.step, c.max_lr, c.min_lr, c.warmup_steps, n * c.num_epochs)
        history.tokens_seen += update(model, list(islice(it, c.accumulate)), optimizer, lr, c.max_norm, device)
        history.step += 1
        if after_step: after_step(lr)


def train_model(model, train_loader, val_loader, optimizer, config, device="cpu", sample=None, on_step=None, history=None):
    h = history if history is not None else History()
    n = steps_per_epoch(len(train_loader), config.accumulate)

    def after_step(lr):
        if not h.step % config.eval_every:
            seed_loader(train_loader, config.seed)
            h.evaluations.append(Evaluation(h.step, h.tokens_seen, *evaluate_model(model, train_loader, val_loader, device, config.eval_batches), lr))
        if sample and not h.step % n: h.samples.append(sample(model))
        if on_step: on_step(h)

    for e in range(1, config.num_epochs + 1): train_epoch(model, train_loader, optimizer, config, h, e, device, after_step)
    return h
