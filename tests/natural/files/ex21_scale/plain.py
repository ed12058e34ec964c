# right: the lesson line by line, with plain loops, and prints on rank 0 left in.
import torch

from .ex00_tensors import cross_entropy
from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, seed_loader, steps_per_epoch
from .ex15_classify import training_steps


def flops_per_token(num_parameters, n_layers, emb_dim, context_length):
    matmuls = 6 * num_parameters
    attention = 12 * n_layers * emb_dim * context_length
    return matmuls + attention


def share_of_peak(tokens_per_second, flops_per_token, peak_flops):
    flops_per_second = tokens_per_second * flops_per_token
    return flops_per_second / peak_flops


def mixed_precision_loss(inputs, targets, model, device, dtype):
    if dtype is None or dtype == torch.float32:
        return calc_loss_batch(inputs, targets, model, device)
    inputs, targets = inputs.to(device), targets.to(device)
    device_type = torch.device(device).type
    with torch.autocast(device_type=device_type, dtype=dtype):
        logits = model(inputs)
    logits = logits.float()
    batch, length, vocab = logits.shape
    return cross_entropy(logits.view(batch * length, vocab), targets.reshape(batch * length))


def shard(tensor, rank, world_size):
    n = tensor.shape[0]
    if n % world_size != 0:
        raise ValueError(f"cannot share {n} rows between {world_size} processes")
    per_rank = n // world_size
    start = rank * per_rank
    return tensor[start : start + per_rank]


def broadcast_parameters(model, group):
    for p in model.parameters():
        group.broadcast(p.data, 0)
    for b in model.buffers():
        group.broadcast(b.data, 0)


def average_gradients(model, group):
    for p in model.parameters():
        if not p.requires_grad:
            continue
        if p.grad is None:
            p.grad = torch.zeros_like(p)
        group.all_reduce(p.grad)
        p.grad.div_(group.world_size)


def update_distributed(model, batches, optimizer, learning_rate, max_norm, device, group, dtype=None):
    model.train()
    for param_group in optimizer.param_groups:
        param_group["lr"] = learning_rate
    optimizer.zero_grad()
    num_tokens = 0
    for inputs, targets in batches:
        num_tokens += inputs.numel()
        my_inputs = shard(inputs, group.rank, group.world_size)
        my_targets = shard(targets, group.rank, group.world_size)
        loss = mixed_precision_loss(my_inputs, my_targets, model, device, dtype) / len(batches)
        loss.backward()
    average_gradients(model, group)
    clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return num_tokens


def state_dict_to_save(model):
    state = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("module."):
            name = name[len("module.") :]
        state[name] = tensor
    return state


def train_ddp(
    model, train_loader, val_loader, optimizer, config, group, device="cpu", dtype=None, sample=None, on_step=None, history=None
):  # fmt: skip
    if history is None:
        history = History()
    broadcast_parameters(model, group)
    steps_in_epoch = steps_per_epoch(len(train_loader), config.accumulate)
    for batches, lr in training_steps(train_loader, config, history):
        n = update_distributed(model, batches, optimizer, lr, config.max_norm, device, group, dtype)
        history.step += 1
        history.tokens_seen += n
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            train_loss, val_loss = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
            if group.rank == 0:
                print(f"step {history.step}: {train_loss:.3f} {val_loss:.3f}")
            history.evaluations.append(Evaluation(history.step, history.tokens_seen, train_loss, val_loss, lr))
        if group.rank == 0:
            if sample is not None and history.step % steps_in_epoch == 0:
                history.samples.append(sample(model))
            if on_step is not None:
                on_step(history)
    return history
