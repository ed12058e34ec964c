# right: short names, lerp_, several things a line.

from math import cos, pi, sqrt

import torch


def lr_at(step, max_lr, min_lr, warmup_steps, total_steps):
    if step < warmup_steps: return max_lr * (step + 1) / warmup_steps
    if step >= total_steps: return min_lr
    r = (step - warmup_steps) / (total_steps - warmup_steps)
    coeff = 0.5 * (1.0 + cos(pi * r))  # from 1 down to 0
    return min_lr + coeff * (max_lr - min_lr)


def clip_grad_norm(parameters, max_norm):
    gs = [p.grad for p in parameters if p.grad is not None]
    n = sqrt(sum(float(g.square().sum()) for g in gs))
    for g in gs: g.mul_(min(1.0, max_norm / (n or 1.0)))
    return n


def update_means(gradient, exp_avg, exp_avg_sq, betas):
    b1, b2 = betas
    exp_avg.lerp_(gradient, 1 - b1)
    exp_avg_sq.lerp_(gradient.square(), 1 - b2)


def adam_direction(exp_avg, exp_avg_sq, t, betas, eps):
    c1, c2 = (1 - b ** t for b in betas)
    return (exp_avg / c1) / ((exp_avg_sq / c2) ** 0.5 + eps)


class AdamW(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        bad = {k: v for k, v in dict(lr=lr, eps=eps, weight_decay=weight_decay).items() if v < 0}
        bad |= {f"beta{i}": b for i, b in enumerate(betas, 1) if b < 0 or b >= 1}
        if bad: raise ValueError(f"out of range: {bad}")
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure:
            with torch.enable_grad(): loss = closure()
        for g in self.param_groups:
            lr, (b1, b2), eps, wd = g["lr"], g["betas"], g["eps"], g["weight_decay"]
            for p in filter(lambda q: q.grad is not None, g["params"]):
                s = self.state[p]
                if "step" not in s: s.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
                s["step"] += 1
                k = int(s["step"])
                update_means(p.grad, s["exp_avg"], s["exp_avg_sq"], (b1, b2))
                p.sub_(p, alpha=lr * wd)
                p.add_(adam_direction(s["exp_avg"], s["exp_avg_sq"], k, (b1, b2), eps), alpha=-lr)
        return loss


def param_groups(model, weight_decay):
    ps = [p for p in model.parameters() if p.requires_grad]
    return [dict(params=[p for p in ps if (p.ndim >= 2) == d], weight_decay=weight_decay * d) for d in (True, False)]
