# wrong: squares-not-corrected
# The class corrects the mean and not the squares; adam_direction is right.

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
    params = [p for p in parameters if p.grad is not None]
    total = 0.0
    for p in params:
        total += (p.grad ** 2).sum().item()
    total_norm = total ** 0.5
    if total_norm > max_norm:
        scale = max_norm / total_norm
        for p in params:
            p.grad *= scale
    return total_norm


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
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(p)
                    state["exp_avg_sq"] = torch.zeros_like(p)
                state["step"] += 1
                t = float(state["step"])
                m, v = state["exp_avg"], state["exp_avg_sq"]
                m.mul_(beta1).add_(grad, alpha=1 - beta1)
                v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                m_hat = m / (1 - beta1 ** t)
                v_hat = v
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * m_hat / (v_hat.sqrt() + group["eps"]))
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
