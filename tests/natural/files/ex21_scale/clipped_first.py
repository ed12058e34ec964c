# wrong: averaged-after-clipping
# Each process clips its own gradient before they are averaged.
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from .ex00_tensors import cross_entropy
from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, seed_loader, steps_per_epoch
from .ex15_classify import training_steps


def flops_per_token(num_parameters: int, n_layers: int, emb_dim: int, context_length: int) -> int:
    return 3 * (2 * num_parameters + 4 * n_layers * emb_dim * context_length)


def share_of_peak(tokens_per_second: float, flops_per_token: float, peak_flops: float) -> float:
    return flops_per_token / peak_flops * tokens_per_second


def mixed_precision_loss(inputs, targets, model, device, dtype) -> Tensor:
    if dtype in {None, torch.float32}:
        return calc_loss_batch(inputs, targets, model, device)
    context = torch.autocast(torch.device(device).type, dtype)
    with context:
        low = model(inputs.to(device))
    rows = low.to(torch.float32).reshape(-1, low.size(-1))
    return nn.functional.cross_entropy(rows, targets.to(device).reshape(-1), ignore_index=-100)


def shard(tensor: Tensor, rank: int, world_size: int) -> Tensor:
    rows, rest = divmod(tensor.size(0), world_size)
    if rest:
        raise ValueError(f"{tensor.size(0)} / {world_size} leaves {rest} rows")
    return tensor.narrow(0, rank * rows, rows)


def broadcast_parameters(model: nn.Module, group) -> None:
    with torch.no_grad():
        long = parameters_to_vector(model.parameters())
        group.broadcast(long, 0)
        place = 0
        for p in model.parameters():
            p.copy_(long[place : place + p.numel()].view_as(p))
            place += p.numel()
        for b in model.buffers():
            group.broadcast(b, source=0)


def average_gradients(model: nn.Module, group) -> None:
    learning = [p for p in model.parameters() if p.requires_grad]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in learning])
    group.all_reduce(flat)
    flat /= group.world_size
    pieces = flat.split([p.numel() for p in learning])
    for p, piece in zip(learning, pieces, strict=True):
        p.grad = piece.view(p.shape).clone()


def update_distributed(model, batches, optimizer, learning_rate, max_norm, device, group, dtype=None) -> int:
    model.train()
    optimizer.zero_grad()
    for g in optimizer.param_groups:
        g["lr"] = learning_rate
    for batch in batches:
        x, y = (shard(part, group.rank, group.world_size) for part in batch)
        mixed_precision_loss(x, y, model, device, dtype).div(len(batches)).backward()
    clip_grad_norm(model.parameters(), max_norm)
    average_gradients(model, group)
    optimizer.step()
    return sum(x.numel() for x, _ in batches)


def state_dict_to_save(model: nn.Module) -> dict[str, Tensor]:
    prefix = "module."
    return {k[len(prefix) * k.startswith(prefix) :]: v for k, v in model.state_dict().items()}


def train_ddp(
    model, train_loader, val_loader, optimizer, config, group, device="cpu", dtype=None, sample=None, on_step=None, history=None
):  # fmt: skip
    log = History() if history is None else history
    first = group.rank == 0
    broadcast_parameters(model, group)
    epoch = steps_per_epoch(len(train_loader), config.accumulate)
    for batches, rate in training_steps(train_loader, config, log):
        log.tokens_seen += update_distributed(
            model, batches, optimizer, rate, config.max_norm, device, group, dtype
        )
        log.step += 1
        if log.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            pair = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
            log.evaluations.append(Evaluation(log.step, log.tokens_seen, *pair, rate))
        if first and sample and log.step % epoch == 0:
            log.samples.append(sample(model))
        if first and on_step:
            on_step(log)
    return log
