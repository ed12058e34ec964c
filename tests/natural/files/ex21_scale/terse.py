# right: as short as it goes; chunk, removeprefix, conditional expressions.
import torch

from .ex00_tensors import cross_entropy
from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, seed_loader, steps_per_epoch
from .ex15_classify import training_steps


def flops_per_token(num_parameters, n_layers, emb_dim, context_length):
    return (num_parameters + 2 * n_layers * emb_dim * context_length) * 6


def share_of_peak(tokens_per_second, flops_per_token, peak_flops):
    return tokens_per_second / (peak_flops / flops_per_token)


def mixed_precision_loss(inputs, targets, model, device, dtype):
    if (dtype or torch.float32) == torch.float32:
        return calc_loss_batch(inputs, targets, model, device)
    with torch.autocast(torch.device(device).type, dtype=dtype):
        z = model(inputs.to(device))
    return cross_entropy(z.float().flatten(end_dim=-2), targets.to(device).flatten())


def shard(tensor, rank, world_size):
    if (b := len(tensor)) % world_size:
        raise ValueError(f"{b} % {world_size}")
    return tensor.chunk(world_size)[rank]


def broadcast_parameters(model, group):
    [group.broadcast(t, 0) for t in [*model.parameters(), *model.buffers()]]


def average_gradients(model, group):
    for p in filter(lambda p: p.requires_grad, model.parameters()):
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad / group.world_size
        group.all_reduce(p.grad)


def update_distributed(model, batches, optimizer, learning_rate, max_norm, device, group, dtype=None):
    model.train(), optimizer.zero_grad()
    [g.update(lr=learning_rate) for g in optimizer.param_groups]
    me = lambda t: shard(t, group.rank, group.world_size)  # noqa: E731
    for x, y in batches:
        (mixed_precision_loss(me(x), me(y), model, device, dtype) / len(batches)).backward()
    average_gradients(model, group), clip_grad_norm(model.parameters(), max_norm), optimizer.step()
    return sum(x.numel() for x, _ in batches)


def state_dict_to_save(model):
    return dict((k.removeprefix("module."), v) for k, v in model.state_dict().items())


def train_ddp(
    model, train_loader, val_loader, optimizer, config, group, device="cpu", dtype=None, sample=None, on_step=None, history=None
):  # fmt: skip
    h, c = History() if history is None else history, config
    broadcast_parameters(model, group)
    n = steps_per_epoch(len(train_loader), c.accumulate)
    for b, lr in training_steps(train_loader, c, h):
        h.tokens_seen += update_distributed(model, b, optimizer, lr, c.max_norm, device, group, dtype)
        h.step += 1
        if h.step % c.eval_every == 0:
            seed_loader(train_loader, c.seed)
            e = evaluate_model(model, train_loader, val_loader, device, c.eval_batches)
            h.evaluations.append(Evaluation(h.step, h.tokens_seen, *e, lr))
        if group.rank == 0:
            sample and h.step % n == 0 and h.samples.append(sample(model))
            on_step and on_step(h)
    return h
