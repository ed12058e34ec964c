import math

import torch


def lr_at(step, max_lr, min_lr, warmup_steps, total_steps):
    if warmup_steps > step:
        return (step + 1) / warmup_steps * max_lr
    if total_steps > step:
        falling = total_steps - warmup_steps
        angle = math.pi * (step - warmup_steps) / falling
        return min_lr + 0.5 * (1 + math.cos(angle)) * (max_lr - min_lr)
    return min_lr


def clip_grad_norm(parameters, max_norm):
    with_gradient = [p for p in parameters if p.grad is not None]
    total = sum((p.grad**2).sum().item() for p in with_gradient) ** 0.5
    if total > max_norm:
        for p in with_gradient:
            p.grad *= max_norm / total
    return total


def update_means(gradient, exp_avg, exp_avg_sq, betas):
    exp_avg.lerp_(gradient, 1 - betas[0])
    exp_avg_sq.lerp_(gradient * gradient, 1 - betas[1])


def adam_direction(exp_avg, exp_avg_sq, t, betas, eps):
    return exp_avg / (1 - betas[0] ** t) / ((exp_avg_sq / (1 - betas[1] ** t)) ** 0.5 + eps)


class AdamW(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        if lr < 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if eps < 0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        if not 0 <= betas[0] < 1 or not 0 <= betas[1] < 1:
            raise ValueError(f"Invalid betas: {betas}")
        if weight_decay < 0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": weight_decay, "betas": betas})

    @torch.no_grad()
    def step(self, closure=None):
        with torch.set_grad_enabled(True):
            loss = closure() if closure else None
        for settings in self.param_groups:
            beta1, beta2 = settings["betas"]
            for p in settings["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
                state["step"] = state["step"] + 1
                t = float(state["step"])
                m, v = state["exp_avg"], state["exp_avg_sq"]
                m.mul_(beta1).add_(p.grad * (1 - beta1))
                v.mul_(beta2).add_(p.grad * p.grad * (1 - beta2))
                m_hat = m / (1 - beta1**t)
                v_hat = v / (1 - beta2**t)
                p.mul_(1 - settings["lr"] * settings["weight_decay"])
                p.sub_(settings["lr"] * m_hat / (v_hat.sqrt() + settings["eps"]))
        return loss if closure else None


def param_groups(model, weight_decay):
    groups = [{"params": [], "weight_decay": decay} for decay in (weight_decay, 0.0)]
    for p in model.parameters():
        if p.requires_grad:
            groups[p.ndim < 2]["params"].append(p)
    return groups
