# wrong: no-attention, none-passed-over
# The work of attention is left out, and a process without a gradient takes no part.
import torch

from .ex00_tensors import cross_entropy
from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, seed_loader, steps_per_epoch
from .ex15_classify import training_steps


def flops_per_token(num_parameters, n_layers, emb_dim, context_length):
    operations = num_parameters * 2
    forward, backward = operations, operations * 2
    return forward + backward


def share_of_peak(tokens_per_second, flops_per_token, peak_flops):
    seconds_for_a_token = 1 / tokens_per_second
    return flops_per_token / seconds_for_a_token / peak_flops


def mixed_precision_loss(inputs, targets, model, device, dtype):
    lower = dtype is not None and dtype != torch.float32
    if not lower:
        return calc_loss_batch(inputs, targets, model, device)
    x, y = inputs.to(device), targets.to(device)
    with torch.autocast(str(torch.device(device)).split(":")[0], dtype=dtype):
        logits = model(x)
    return cross_entropy(logits.float().reshape(y.numel(), -1), y.reshape(y.numel()))


def shard(tensor, rank, world_size):
    rows = tensor.shape[0]
    if rows % world_size:
        raise ValueError("%d rows for %d processes" % (rows, world_size))
    mine = torch.arange(rows) // (rows // world_size) == rank
    return tensor[mine]


def broadcast_parameters(model, group):
    done = set()
    for _, tensor in list(model.named_parameters()) + list(model.named_buffers()):
        if id(tensor) not in done:
            done.add(id(tensor))
            group.broadcast(tensor.detach(), 0)


def average_gradients(model, group):
    parameters = list(model.parameters())
    i = 0
    while i < len(parameters):
        p = parameters[i]
        i += 1
        if p.requires_grad:
            gradient = p.grad
            if gradient is None:
                continue
            group.all_reduce(gradient)
            gradient.mul_(1 / group.world_size)
            p.grad = gradient


def update_distributed(model, batches, optimizer, learning_rate, max_norm, device, group, dtype=None):
    model.train(True)
    for number in range(len(optimizer.param_groups)):
        optimizer.param_groups[number]["lr"] = learning_rate
    for p in model.parameters():
        p.grad = None
    tokens, share = 0, 1 / len(batches)
    for inputs, targets in batches:
        own = [shard(tensor, group.rank, group.world_size) for tensor in (inputs, targets)]
        (share * mixed_precision_loss(own[0], own[1], model, device, dtype)).backward()
        tokens += inputs.numel()
    average_gradients(model, group)
    clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return tokens


def state_dict_to_save(model):
    state = model.state_dict()
    names = list(state)
    return {name[7:] if name[:7] == "module." else name: state[name] for name in names}


def train_ddp(
    model, train_loader, val_loader, optimizer, config, group, device="cpu", dtype=None, sample=None, on_step=None, history=None
):  # fmt: skip
    if history is None:
        history = History()
    broadcast_parameters(model, group)
    steps = iter(training_steps(train_loader, config, history))
    last = steps_per_epoch(len(train_loader), config.accumulate)
    while (step := next(steps, None)) is not None:
        batches, rate = step
        history.tokens_seen += update_distributed(
            model, batches, optimizer, rate, config.max_norm, device, group, dtype
        )
        history.step += 1
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            a, b = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
            history.evaluations.append(Evaluation(history.step, history.tokens_seen, a, b, rate))
        if group.rank == 0 and sample is not None and history.step % last == 0:
            history.samples.append(sample(model))
        if group.rank == 0 and on_step is not None:
            on_step(history)
    return history
