import math

import torch
from torch import nn


class LoRALayer(nn.Module):
    def __init__(self, in_dim, out_dim, rank, alpha):
        super().__init__()
        if rank < 1:
            raise ValueError(f"the rank should be 1 or more, not {rank}")
        self.A = nn.Parameter(torch.empty(in_dim, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.B = nn.Parameter(torch.zeros(rank, out_dim))
        self.rank, self.alpha = rank, alpha

    def forward(self, x):
        return (self.alpha / self.rank) * (x @ self.A @ self.B)


class LinearWithLoRA(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear
        self.lora = LoRALayer(linear.in_features, linear.out_features, rank, alpha)
        self.lora.to(linear.weight.device, linear.weight.dtype)

    def forward(self, x):
        return self.linear(x) + self.lora(x)


def replace_linear_with_lora(model, rank, alpha):
    if isinstance(model, nn.Linear):
        raise ValueError("a bare Linear: wrap it in a LinearWithLoRA")
    if rank < 1:
        raise ValueError(f"the rank should be 1 or more, not {rank}")
    places = {}
    for _, parameter in model.named_parameters(remove_duplicate=False):
        places[id(parameter)] = places.get(id(parameter), 0) + 1
    for parameter in model.parameters():
        parameter.requires_grad = False
    count = wrap_children(model, rank, alpha, places)
    for module in model.modules():
        if isinstance(module, LoRALayer):
            module.A.requires_grad = module.B.requires_grad = True
    return count


def wrap_children(parent, rank, alpha, places):
    if isinstance(parent, LinearWithLoRA):
        return 0
    count = 0
    for name, child in parent.named_children():
        if isinstance(child, nn.Linear):
            if places[id(child.weight)] == 1:
                setattr(parent, name, LinearWithLoRA(child, rank, alpha))
                count += 1
        else:
            count += wrap_children(child, rank, alpha, places)
    return count


def lora_state_dict(model):
    state = {}
    for place, module in model.named_modules():
        if isinstance(module, LoRALayer):
            for name, parameter in module.named_parameters():
                state[f"{place}.{name}" if place else name] = parameter.detach().clone()
    return state


def load_lora(model, state):
    own = {}
    for place, module in model.named_modules():
        if isinstance(module, LoRALayer):
            for name, parameter in module.named_parameters(prefix=place):
                own[name] = parameter
    problems = []
    for name in own:
        if name not in state:
            problems.append(f"{name} is missing")
    for name, tensor in state.items():
        if name not in own:
            problems.append(f"{name} has no place here")
        elif tensor.shape != own[name].shape:
            problems.append(f"{name}: {tuple(tensor.shape)} for {tuple(own[name].shape)}")
    if problems:
        raise ValueError(", ".join(problems))
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])


def merge_lora(model):
    if isinstance(model, LinearWithLoRA):
        raise ValueError("a bare LinearWithLoRA: nothing holds it")
    return merge_children(model)


def merge_children(parent):
    count = 0
    for name, child in parent.named_children():
        if isinstance(child, LinearWithLoRA):
            lora, weight = child.lora, child.linear.weight
            with torch.no_grad():
                weight.add_((lora.alpha / lora.rank) * (lora.A @ lora.B).T)
            setattr(parent, name, child.linear)
            count += 1
        else:
            count += merge_children(child)
    return count


def count_trainable(model):
    total = sum(parameter.numel() for parameter in model.parameters())
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return trainable, total
