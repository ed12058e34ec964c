# right: einsum everywhere; B is stored as zeros_like; wrapped modules go into the parent's dict of modules.
import torch
from torch import einsum, nn


class LoRALayer(nn.Module):
    def __init__(self, in_dim, out_dim, rank, alpha):
        super().__init__()
        if rank < 1:
            raise ValueError(f"{rank=}")
        self.A, self.B = nn.Parameter(torch.zeros(in_dim, rank)), nn.Parameter(torch.zeros(rank, out_dim))
        self.factor = alpha / rank
        with torch.no_grad():
            self.A.uniform_(-(rank**-0.5), rank**-0.5)

    def forward(self, x):
        return self.factor * einsum("...i,ir,ro->...o", x, self.A, self.B)


class LinearWithLoRA(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        w = linear.weight
        self.lora = LoRALayer(w.size(1), w.size(0), rank, alpha).to(w.device, w.dtype)
        self.linear = linear

    def forward(self, x):
        y = self.linear(x)
        y = y + self.lora(x)
        return y


def loras(model):
    return [m for m in model.modules() if isinstance(m, LoRALayer)]


def replace_linear_with_lora(model, rank, alpha):
    if isinstance(model, nn.Linear):
        raise ValueError("Linear given; LinearWithLoRA(linear, rank, alpha) is what you want")
    if rank < 1:
        raise ValueError(f"{rank=}")
    seen, twice = set(), set()
    for _, p in model.named_parameters(remove_duplicate=False):
        (twice if p in seen else seen).add(p)
    todo = []
    for m in model.modules():
        if isinstance(m, LinearWithLoRA):
            continue
        for key, child in m._modules.items():
            if isinstance(child, nn.Linear) and child.weight not in twice:
                todo.append((m, key, child))
    model.requires_grad_(False)
    for m, key, child in todo:
        m._modules[key] = LinearWithLoRA(child, rank, alpha)
    for lora in loras(model):
        lora.requires_grad_(True)
    return len(todo)


def lora_state_dict(model):
    wanted = {id(p) for lora in loras(model) for p in (lora.A, lora.B)}
    return {name: p.clone().detach() for name, p in model.named_parameters() if id(p) in wanted}


def load_lora(model, state):
    wanted = {id(p) for lora in loras(model) for p in (lora.A, lora.B)}
    places = {name: p for name, p in model.named_parameters() if id(p) in wanted}
    wrong = {name: "is not there" for name in places if name not in state}
    wrong |= {name: "has no place" for name in state if name not in places}
    wrong |= {
        name: f"is {tuple(t.shape)}, should be {tuple(places[name].shape)}"
        for name, t in state.items()
        if name in places and t.shape != places[name].shape
    }
    if wrong:
        raise ValueError(str(wrong))
    with torch.no_grad():
        for name, p in places.items():
            p.set_(p.copy_(state[name]))


def merge_lora(model):
    if isinstance(model, LinearWithLoRA):
        raise ValueError("a LinearWithLoRA has nowhere to put its layer")
    n = 0
    for m in [*model.modules()]:
        for key, child in [*m._modules.items()]:
            if isinstance(child, LinearWithLoRA):
                a, b, f = child.lora.A, child.lora.B, child.lora.factor
                child.linear.weight.data.add_(einsum("ir,ro->oi", a, b).detach(), alpha=f)
                m._modules[key] = child.linear
                n += 1
    return n


def count_trainable(model):
    n = torch.tensor([[p.numel() * p.requires_grad, p.numel()] for p in model.parameters()] or [[0, 0]])
    return tuple(n.sum(0).tolist())
