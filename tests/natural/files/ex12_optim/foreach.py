# right: torch._foreach over all parameters of a group, prints left in.

import math
import torch
from torch import nn


def lr_at(step, max_lr, min_lr, warmup_steps, total_steps):
    lr_increment = max_lr / warmup_steps if warmup_steps else 0.0
    if step < warmup_steps:
        lr = (step + 1) * lr_increment
    elif step >= total_steps:
        lr = min_lr
    else:
        progress = (step - warmup_steps) / (total_steps - warmup_steps)
        lr = min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * progress))
    return lr


def clip_grad_norm(parameters, max_norm):
    gs = [p.grad.detach() for p in parameters if p.grad is not None]
    norm = float(sum(torch.linalg.norm(g) ** 2 for g in gs)) ** 0.5
    clip_coef = max_norm / (norm + 1e-6)
    print(f"grad norm {norm:.3f}")
    if norm > max_norm:
        torch._foreach_mul_(gs, clip_coef)
    return norm


def update_means(gradient, exp_avg, exp_avg_sq, betas):
    exp_avg *= betas[0]
    exp_avg += (1 - betas[0]) * gradient
    exp_avg_sq *= betas[1]
    exp_avg_sq += (1 - betas[1]) * gradient * gradient


def adam_direction(exp_avg, exp_avg_sq, t, betas, eps):
    m_hat = exp_avg / (1 - betas[0] ** t)
    v_hat = exp_avg_sq / (1 - betas[1] ** t)
    return m_hat / (torch.sqrt(v_hat) + eps)


class AdamW(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if eps < 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        if not 0.0 <= betas[0] < 1.0:
            raise ValueError(f"Invalid beta parameter at index 0: {betas[0]}")
        if not 0.0 <= betas[1] < 1.0:
            raise ValueError(f"Invalid beta parameter at index 1: {betas[1]}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            todo = [p for p in group["params"] if p.grad is not None]
            for p in todo:
                if not self.state[p]:
                    print("new state for", tuple(p.shape))
                    self.state[p].update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
                self.state[p]["step"] += 1
            if not todo:
                continue
            b1, b2 = group["betas"]
            grads = [p.grad for p in todo]
            ms = [self.state[p]["exp_avg"] for p in todo]
            vs = [self.state[p]["exp_avg_sq"] for p in todo]
            torch._foreach_mul_(ms, b1)
            torch._foreach_add_(ms, grads, alpha=1 - b1)
            torch._foreach_mul_(vs, b2)
            torch._foreach_addcmul_(vs, grads, grads, 1 - b2)
            torch._foreach_mul_(todo, 1 - group["lr"] * group["weight_decay"])
            for p, m, v in zip(todo, ms, vs):
                t = int(self.state[p]["step"])
                p.data -= group["lr"] * (m / (1 - b1 ** t)) / ((v / (1 - b2 ** t)).sqrt() + group["eps"])
        return loss


def param_groups(model, weight_decay):
    decay, no_decay = [], []
    for p in model.parameters():
        if not p.requires_grad:
            continue
        if p.dim() >= 2:
            decay.append(p)
        else:
            no_decay.append(p)
    return [
        {"params": decay, "weight_decay": weight_decay},
        {"params": no_decay, "weight_decay": 0.0},
    ]
