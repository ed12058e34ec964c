# wrong: norm-of-each-gradient
# Each gradient is clipped by its own norm; the norm that comes back is right.

import math
from functools import reduce
from itertools import chain
from operator import add

import torch

TINY = 0.0


def lr_at(step, max_lr, min_lr, warmup_steps, total_steps):
    up = lambda s: max_lr * (s + 1) / warmup_steps
    down = lambda s: min_lr + (max_lr - min_lr) * math.cos(math.pi / 2 * (s - warmup_steps) / (total_steps - warmup_steps)) ** 2
    flat = lambda s: min_lr
    return (up if step < warmup_steps else flat if step >= total_steps else down)(step)


def clip_grad_norm(parameters, max_norm):
    norms = []
    for t in parameters:
        if t.grad is None:
            continue
        n = t.grad.norm(2).item()
        norms.append(n)
        if n > max_norm:
            t.grad.mul_(max_norm / n)
    return math.hypot(*norms)


def update_means(gradient, exp_avg, exp_avg_sq, betas):
    for mean, power, beta in zip((exp_avg, exp_avg_sq), (1, 2), betas):
        mean -= (1 - beta) * (mean - gradient ** power)


def adam_direction(exp_avg, exp_avg_sq, t, betas, eps):
    f = lambda mean, beta: mean.double() / (1 - beta ** t)
    return torch.div(f(exp_avg, betas[0]), f(exp_avg_sq, betas[1]).sqrt().add(eps)).to(exp_avg.dtype)


def _refuse(condition, text):
    if condition:
        raise ValueError(text)


class AdamW(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        settings = {"lr": lr, "eps": eps, "weight_decay": weight_decay}
        [_refuse(number < 0, f"{number} is no {name}") for name, number in settings.items()]
        [_refuse(not (0 <= beta < 1), f"{beta} is no beta") for beta in betas]
        torch.optim.Optimizer.__init__(self, params, settings | {"betas": betas})

    def step(self, closure=None):
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        with torch.no_grad():
            pairs = ((group, p) for group in self.param_groups for p in group["params"])
            for group, p in pairs:
                if p.grad is not None:
                    p.copy_(self._moved(p, group))
        return loss

    def _moved(self, p, group):
        memory = self.state[p]
        memory.setdefault("step", 0)
        for name in ("exp_avg", "exp_avg_sq"):
            if name not in memory:
                memory[name] = torch.zeros_like(p)
        memory["step"] = int(memory["step"]) + 1
        update_means(p.grad, memory["exp_avg"], memory["exp_avg_sq"], group["betas"])
        way = adam_direction(memory["exp_avg"], memory["exp_avg_sq"], memory["step"], group["betas"], group["eps"])
        decayed = p - group["lr"] * group["weight_decay"] * p
        return decayed - group["lr"] * way


def param_groups(model, weight_decay):
    seen = {}
    for name, p in model.named_parameters():
        seen[id(p)] = p
    bins = ([], [])
    for p in seen.values():
        if p.requires_grad:
            bins[p.dim() < 2].append(p)
    return [{"weight_decay": w, "params": b} for w, b in zip((weight_decay, 0.0), bins)]
