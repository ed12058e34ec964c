from dataclasses import dataclass, field

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
    return (num_batches + accumulate - 1) // accumulate


def seed_loader(loader, seed):
    if getattr(loader, "generator", None) is not None:
        loader.generator.manual_seed(seed)


def update(model, batches, optimizer, learning_rate, max_norm, device):
    model.train()
    model.zero_grad()
    for x, y in batches:
        calc_loss_batch(x, y, model, device).div(len(batches)).backward()
    clip_grad_norm(list(model.parameters()), max_norm)
    for param_group in optimizer.param_groups:
        param_group.update(lr=learning_rate)
    optimizer.step()
    return sum(x.numel() for x, _ in batches)


def train_epoch(model, train_loader, optimizer, config, history, epoch, device="cpu", after_step=None):
    size = config.accumulate
    in_epoch = steps_per_epoch(len(train_loader), size)
    made = history.step - (epoch - 1) * in_epoch
    if made >= in_epoch:
        return
    seed_loader(train_loader, epoch + config.seed)
    every = list(train_loader)
    for start in range(made * size, len(every), size):
        group = every[start : start + size]
        rates = (config.max_lr, config.min_lr, config.warmup_steps)
        lr = lr_at(history.step, *rates, config.num_epochs * in_epoch)
        model.train()
        optimizer.zero_grad()
        for x, y in group:
            loss = calc_loss_batch(x, y, model, device) / len(group)
            loss.backward()
            history.tokens_seen += x.numel()
        clip_grad_norm(model.parameters(), config.max_norm)
        for param_group in optimizer.param_groups:
            param_group["lr"] = lr
        optimizer.step()
        history.step = history.step + 1
        if after_step:
            after_step(lr)


def train_model(
    model, train_loader, val_loader, optimizer, config, device="cpu", sample=None, on_step=None, history=None
):
    if history is None:
        history = History()
    in_epoch = steps_per_epoch(len(train_loader), config.accumulate)

    def then(lr):
        if not history.step % config.eval_every:
            seed_loader(train_loader, seed=config.seed)
            loaders = (train_loader, val_loader)
            train_loss, val_loss = evaluate_model(model, *loaders, device, eval_batches=config.eval_batches)
            history.evaluations.append(Evaluation(history.step, history.tokens_seen, train_loss, val_loss, lr))
        if sample and not history.step % in_epoch:
            history.samples += [sample(model)]
        if on_step is None:
            return
        on_step(history)

    for number in range(config.num_epochs):
        train_epoch(model, train_loader, optimizer, config, history, number + 1, device, then)
    return history
