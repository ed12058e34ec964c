# wrong: learning-rate-of-the-defaults, loss-of-the-closure-not-returned
# Both in step: lr of the defaults, and what the closure returned is forgotten.

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
    grads = tuple(t.grad for t in parameters if t.grad is not None)
    everything = torch.cat([torch.zeros(1), *(g.flatten() for g in grads)])
    norm = torch.linalg.vector_norm(everything).item()
    factor = max_norm / norm if norm > max_norm else None
    for g in grads if factor is not None else ():
        g[...] = g * factor
    return norm


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
        if closure is not None:
            with torch.enable_grad():
                closure()
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.copy_(self._moved(p, group, self.defaults["lr"]))

    def _moved(self, p, group, lr):
        memory = self.state[p]
        if not memory:
            memory.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
        memory["step"] += 1
        count, means = int(memory["step"]), (memory["exp_avg"], memory["exp_avg_sq"])
        update_means(p.grad, *means, group["betas"])
        way = adam_direction(*means, count, group["betas"], group["eps"])
        return p * (1 - lr * group["weight_decay"]) - lr * way


def param_groups(model, weight_decay):
    seen = {}
    for name, p in model.named_parameters():
        seen[id(p)] = p
    bins = ([], [])
    for p in seen.values():
        if p.requires_grad:
            bins[p.dim() < 2].append(p)
    return [{"weight_decay": w, "params": b} for w, b in zip((weight_decay, 0.0), bins)]
