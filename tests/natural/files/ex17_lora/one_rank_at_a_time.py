# right: outer products summed over the ranks, a stack in place of recursion, a merge by feeding unit vectors.
import math

import torch
from torch import nn


class LoRALayer(nn.Module):
    def __init__(self, in_dim, out_dim, rank, alpha):
        if rank < 1:
            raise ValueError("rank = " + repr(rank) + " < 1")
        super().__init__()
        A = torch.empty(in_dim, rank)
        nn.init.kaiming_uniform_(A, math.sqrt(5))
        self.A = nn.Parameter(A)
        self.B = nn.Parameter(torch.zeros(rank, out_dim))
        self.alpha_over_rank = alpha / rank

    def forward(self, x):
        total = 0
        for r in range(self.A.shape[1]):
            how_much = x @ self.A[:, r]
            total = total + how_much.unsqueeze(-1) * self.B[r]
        return self.alpha_over_rank * total


class LinearWithLoRA(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear
        self.lora = LoRALayer(linear.in_features, linear.out_features, rank, alpha)
        self.lora.to(linear.weight.device).to(linear.weight.dtype)

    def forward(self, x):
        return self.lora(x) + self.linear(x)


def all_modules(model):
    """Every module once, with what holds it and its name there."""
    stack, done = [(None, None, model)], []
    while stack:
        parent, name, module = stack.pop()
        if any(module is other for _, _, other in done):
            continue
        done.append((parent, name, module))
        stack.extend((module, child_name, child) for child_name, child in module.named_children())
    return done


def times_in(model, weight):
    times = 0
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is weight:
                times += 1
    return times


def in_how_many_places(model, linear):
    """Names under which this layer, or a part that holds it, is found."""
    return sum(module is linear for _, module in model.named_modules(remove_duplicate=False))


def replace_linear_with_lora(model, rank, alpha):
    if isinstance(model, nn.Linear):
        raise ValueError("nothing holds this Linear: use LinearWithLoRA")
    LoRALayer(1, 1, rank, alpha)  # complains about the rank before anything is changed
    count = 0
    free = []
    for parent, name, module in all_modules(model):
        if isinstance(module, nn.Linear) and not isinstance(parent, LinearWithLoRA):
            if times_in(model, module.weight) == 1 and in_how_many_places(model, module) == 1:
                free.append((parent, name, module))
    for parameter in model.parameters():
        parameter.requires_grad = False
    for parent, name, module in free:
        setattr(parent, name, LinearWithLoRA(module, rank, alpha))
        count += 1
    for _, _, module in all_modules(model):
        if isinstance(module, LoRALayer):
            module.A.requires_grad = module.B.requires_grad = True
    return count


def lora_state_dict(model):
    names = []
    for name, module in model.named_modules():
        if isinstance(module, LoRALayer):
            names += [f"{name}.A", f"{name}.B"] if name else ["A", "B"]
    with torch.no_grad():
        return {name: model.state_dict()[name] + 0 for name in names}


def load_lora(model, state):
    mine = lora_state_dict(model)
    text = ""
    for name in mine:
        if name not in state:
            text += f"\n{name} is missing"
    for name in state:
        if name not in mine:
            text += f"\n{name} is not LoRA's"
        elif list(mine[name].shape) != list(state[name].shape):
            text += f"\n{name}: {list(state[name].shape)}, and here {list(mine[name].shape)}"
    if text:
        raise ValueError("does not fit:" + text)
    whole = model.state_dict()
    whole.update({name: tensor.detach() for name, tensor in state.items()})
    model.load_state_dict(whole)


def merge_lora(model):
    if isinstance(model, LinearWithLoRA):
        raise ValueError("this needs a model around it")
    count = 0
    for parent, name, module in all_modules(model):
        if isinstance(module, LinearWithLoRA):
            weight = module.linear.weight
            with torch.no_grad():
                unit_vectors = torch.eye(weight.shape[1], device=weight.device, dtype=weight.dtype)
                weight.copy_(weight + module.lora(unit_vectors).T)
            setattr(parent, name, module.linear)
            count += 1
    return count


def count_trainable(model):
    seen, trainable, total = set(), 0, 0
    for parameter in model.parameters():
        if id(parameter) not in seen:
            seen.add(id(parameter))
            total += parameter.numel()
            trainable += parameter.numel() if parameter.requires_grad else 0
    return trainable, total
