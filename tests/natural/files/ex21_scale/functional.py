# right: small pure helpers, generators, a decorator-like context for the dtype, gradients weighted instead of losses.
from contextlib import nullcontext

import torch

from .ex00_tensors import cross_entropy
from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, seed_loader, steps_per_epoch
from .ex15_classify import training_steps

FULL = (None, torch.float32)


def flops_per_token(num_parameters, n_layers, emb_dim, context_length):
    per_layer = 12 * emb_dim * context_length
    return sum([per_layer] * n_layers, 6 * num_parameters)


def share_of_peak(tokens_per_second, flops_per_token, peak_flops):
    return (tokens_per_second * flops_per_token) / peak_flops


def casting(device, dtype):
    return nullcontext() if dtype in FULL else torch.autocast(torch.device(device).type, dtype=dtype)


def mixed_precision_loss(inputs, targets, model, device, dtype):
    with casting(device, dtype):
        logits = model(inputs.to(device))
    if dtype not in FULL:
        logits = logits.type(torch.float32)
    vocabulary = logits.shape[-1]
    return cross_entropy(logits.reshape(-1, vocabulary), targets.to(device).reshape(-1))


def shard(tensor, rank, world_size):
    if tensor.shape[0] // world_size * world_size != tensor.shape[0]:
        raise ValueError(f"rows: {tensor.shape[0]}, processes: {world_size}")
    return tensor.unflatten(0, (world_size, -1))[rank]


def state_of(model):
    yield from model.parameters()
    yield from model.buffers()


def broadcast_parameters(model, group):
    for tensor in state_of(model):
        fresh = tensor.detach().clone()
        group.broadcast(fresh, 0)
        with torch.no_grad():
            tensor.copy_(fresh)


def learning(model):
    return (p for p in model.parameters() if p.requires_grad)


def average_gradients(model, group):
    for p in learning(model):
        total = torch.zeros_like(p) if p.grad is None else p.grad.clone()
        group.all_reduce(total)
        p.grad = total / group.world_size


def divide_gradients(model, by):
    for p in learning(model):
        if p.grad is not None:
            p.grad /= by


def update_distributed(model, batches, optimizer, learning_rate, max_norm, device, group, dtype=None):
    def own(pair):
        return [shard(part, group.rank, group.world_size) for part in pair]

    model.train()
    optimizer.zero_grad()
    for x, y in map(own, batches):
        mixed_precision_loss(x, y, model, device, dtype).backward()
    divide_gradients(model, len(batches))
    average_gradients(model, group)
    clip_grad_norm(model.parameters(), max_norm)
    for g in optimizer.param_groups:
        g["lr"] = learning_rate
    optimizer.step()
    return sum(x.shape[0] * x.shape[1] for x, _ in batches)


def without_wrapper(name):
    head, dot, tail = name.partition(".")
    return tail if (head, dot) == ("module", ".") else name


def state_dict_to_save(model):
    state = model.state_dict()
    return dict(zip(map(without_wrapper, state), state.values(), strict=True))


def train_ddp(
    model, train_loader, val_loader, optimizer, config, group, device="cpu", dtype=None, sample=None, on_step=None, history=None
):  # fmt: skip
    history = History() if history is None else history
    is_first = group.rank == 0
    broadcast_parameters(model, group)
    per_epoch = steps_per_epoch(len(train_loader), config.accumulate)

    def evaluated(rate):
        seed_loader(train_loader, config.seed)
        losses = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
        return Evaluation(history.step, history.tokens_seen, *losses, rate)

    for batches, rate in training_steps(train_loader, config, history):
        seen = update_distributed(model, batches, optimizer, rate, config.max_norm, device, group, dtype)
        history.step, history.tokens_seen = history.step + 1, history.tokens_seen + seen
        if history.step % config.eval_every == 0:
            history.evaluations.append(evaluated(rate))
        if is_first and sample is not None and history.step % per_epoch == 0:
            history.samples.append(sample(model))
        if is_first and on_step is not None:
            on_step(history)
    return history
