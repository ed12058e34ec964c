# wrong: tied-head-wrapped
# Nothing looks whether a weight is also elsewhere.
from torch import empty, nn, no_grad, zeros


class LoRALayer(nn.Module):
    def __init__(self, in_dim, out_dim, rank, alpha):
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank {rank}")
        self.A = nn.Parameter(nn.init.kaiming_uniform_(empty(in_dim, rank), a=5**0.5))
        self.B = nn.Parameter(zeros(rank, out_dim))
        self.s = alpha / rank

    def forward(self, x):
        return x @ (self.A @ self.B * self.s)


class LinearWithLoRA(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear, d = linear, dict(device=linear.weight.device, dtype=linear.weight.dtype)
        self.lora = LoRALayer(linear.in_features, linear.out_features, rank, alpha).to(**d)

    def forward(self, x):
        return sum((f(x) for f in (self.lora,)), self.linear(x))


def _ab(m):
    return {n: p for q, l in m.named_modules() if isinstance(l, LoRALayer) for n, p in l.named_parameters(q)}


def replace_linear_with_lora(model, rank, alpha):
    if isinstance(model, nn.Linear):
        raise ValueError("LinearWithLoRA")
    new = {
        (m, k): LinearWithLoRA(c, rank, alpha)
        for m in model.modules()
        for k, c in m.named_children()
        if isinstance(c, nn.Linear) and not isinstance(m, LinearWithLoRA)
    }
    if rank < 1:
        raise ValueError(f"rank {rank}")
    for (m, k), w in new.items():
        m.add_module(k, w)
    train = {id(p) for p in _ab(model).values()}
    for p in model.parameters():
        p.requires_grad_(id(p) in train)
    return len(new)


def lora_state_dict(model):
    return {n: p.detach().clone() for n, p in _ab(model).items()}


def load_lora(model, state):
    mine, bad = _ab(model), []
    for n in {**mine, **state}:
        a, b = (tuple(d[n].shape) if n in d else None for d in (mine, state))
        if a != b:
            bad.append(f"{n}: {b} for {a}")
    if bad:
        raise ValueError(" / ".join(bad))
    with no_grad():
        [p.copy_(state[n]) for n, p in mine.items()]


def merge_lora(model):
    if isinstance(model, LinearWithLoRA):
        raise ValueError("bare")
    found = [(m, k, c) for m in model.modules() for k, c in m.named_children() if isinstance(c, LinearWithLoRA)]
    with no_grad():
        for m, k, c in found:
            c.linear.weight += (c.lora.A @ c.lora.B * c.lora.s).T
            m.add_module(k, c.linear)
    return len(found)


def count_trainable(model):
    n = lambda ps: sum(p.numel() for p in ps)  # noqa: E731
    return n(p for p in model.parameters() if p.requires_grad), n(model.parameters())
