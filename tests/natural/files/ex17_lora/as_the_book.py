# right: the book's way, a function that calls itself for each child; ids of shared Parameters in a dict.
import math

import torch


class LoRALayer(torch.nn.Module):
    def __init__(self, in_dim, out_dim, rank, alpha):
        super().__init__()
        if rank <= 0:
            raise ValueError(f"rank must be 1 or more, got {rank}")
        self.A = torch.nn.Parameter(torch.empty(in_dim, rank))
        torch.nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.B = torch.nn.Parameter(torch.zeros(rank, out_dim))
        self.alpha = alpha
        self.rank = rank

    def forward(self, x):
        x = (self.alpha / self.rank) * (x @ self.A @ self.B)
        return x


class LinearWithLoRA(torch.nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear
        self.lora = LoRALayer(linear.in_features, linear.out_features, rank, alpha)
        self.lora = self.lora.to(device=linear.weight.device, dtype=linear.weight.dtype)

    def forward(self, x):
        return self.linear(x) + self.lora(x)


def count_places(model):
    places = {}
    for _, param in model.named_parameters(remove_duplicate=False):
        places[id(param)] = places.get(id(param), 0) + 1
    return places


def replace_children(model, rank, alpha, places):
    count = 0
    for name, module in model.named_children():
        if isinstance(module, LinearWithLoRA):
            continue
        if isinstance(module, torch.nn.Linear):
            if places[id(module.weight)] == 1:
                setattr(model, name, LinearWithLoRA(module, rank, alpha))
                count += 1
        else:
            count += replace_children(module, rank, alpha, places)
    return count


def replace_linear_with_lora(model, rank, alpha):
    if isinstance(model, torch.nn.Linear):
        raise ValueError("model is a single Linear, wrap it in LinearWithLoRA yourself")
    if rank < 1:
        raise ValueError(f"rank must be 1 or more, got {rank}")
    for param in model.parameters():
        param.requires_grad = False
    count = 0
    if not isinstance(model, LinearWithLoRA):
        count = replace_children(model, rank, alpha, count_places(model))
    for module in model.modules():
        if isinstance(module, LoRALayer):
            module.A.requires_grad = True
            module.B.requires_grad = True
    return count


def lora_state_dict(model):
    state = {}
    for name, module in model.named_modules():
        if isinstance(module, LoRALayer):
            prefix = name + "." if name else ""
            state[prefix + "A"] = module.A.detach().clone()
            state[prefix + "B"] = module.B.detach().clone()
    return state


def load_lora(model, state):
    own = {}
    for name, module in model.named_modules():
        if isinstance(module, LoRALayer):
            prefix = name + "." if name else ""
            own[prefix + "A"] = module.A
            own[prefix + "B"] = module.B
    complaints = []
    for name in own:
        if name not in state:
            complaints.append("missing: " + name)
        elif own[name].shape != state[name].shape:
            complaints.append(f"{name}: {list(state[name].shape)} instead of {list(own[name].shape)}")
    for name in state:
        if name not in own:
            complaints.append("unexpected: " + name)
    if complaints:
        raise ValueError("\n".join(complaints))
    with torch.no_grad():
        for name in own:
            own[name].copy_(state[name])


def merge_children(model):
    count = 0
    for name, module in model.named_children():
        if isinstance(module, LinearWithLoRA):
            lora = module.lora
            with torch.no_grad():
                update = lora.A @ lora.B * (lora.alpha / lora.rank)
                module.linear.weight.add_(update.transpose(0, 1))
            setattr(model, name, module.linear)
            count += 1
        else:
            count += merge_children(module)
    return count


def merge_lora(model):
    if isinstance(model, LinearWithLoRA):
        raise ValueError("cannot merge a LinearWithLoRA that nothing holds")
    return merge_children(model)


def count_trainable(model):
    total_params = sum(p.numel() for p in model.parameters())
    trainable_params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"Trainable: {trainable_params:,} of {total_params:,}")
    return trainable_params, total_params
