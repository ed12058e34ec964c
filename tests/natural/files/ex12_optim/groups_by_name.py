# wrong: sorted-by-name | only-biases-spared
# Whatever is called a bias does not decay, everything else does.

from __future__ import annotations

import math
from typing import Any, Dict, Iterable, List, Optional, Tuple

import torch
from torch import Tensor, nn

FIRST_BETA = 0
SECOND_BETA = 1


def _is_warming_up(step: int, warmup_steps: int) -> bool:
    return step < warmup_steps


def _is_finished(step: int, total_steps: int) -> bool:
    return step >= total_steps


def lr_at(step: int, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    if _is_warming_up(step, warmup_steps):
        fraction_of_warmup = float(step + 1) / float(warmup_steps)
        return fraction_of_warmup * max_lr
    if _is_finished(step, total_steps):
        return min_lr
    steps_since_warmup = step - warmup_steps
    number_of_decay_steps = total_steps - warmup_steps
    angle = math.pi * steps_since_warmup / number_of_decay_steps
    height = (math.cos(angle) + 1.0) / 2.0
    return height * max_lr + (1.0 - height) * min_lr


def _squared_length(gradients: List[Tensor]) -> float:
    result = 0.0
    for gradient in gradients:
        flat = gradient.reshape(-1)
        result = result + torch.dot(flat, flat).item()
    return result


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    gradients: List[Tensor] = []
    for parameter in parameters:
        if parameter.grad is not None:
            gradients.append(parameter.grad)
    norm = math.sqrt(_squared_length(gradients))
    isTooLong = norm > max_norm
    if isTooLong:
        for gradient in gradients:
            gradient.copy_(gradient * (max_norm / norm))
    return norm


def _move_mean(mean: Tensor, value: Tensor, beta: float) -> None:
    mean.copy_(mean * beta + value * (1.0 - beta))


def update_means(gradient: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, betas: Tuple[float, float]) -> None:
    _move_mean(exp_avg, gradient, betas[FIRST_BETA])
    _move_mean(exp_avg_sq, torch.pow(gradient, 2), betas[SECOND_BETA])


def _corrected(mean: Tensor, beta: float, t: int) -> Tensor:
    return mean / (1.0 - math.pow(beta, t))


def adam_direction(exp_avg: Tensor, exp_avg_sq: Tensor, t: int, betas: Tuple[float, float], eps: float) -> Tensor:
    numerator = _corrected(exp_avg, betas[FIRST_BETA], t)
    denominator = torch.sqrt(_corrected(exp_avg_sq, betas[SECOND_BETA], t))
    return numerator / (denominator + eps)


class AdamW(torch.optim.Optimizer):
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: Tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        self._check_not_negative("lr", lr)
        self._check_not_negative("eps", eps)
        self._check_not_negative("weight_decay", weight_decay)
        self._check_beta(betas[FIRST_BETA])
        self._check_beta(betas[SECOND_BETA])
        defaults: Dict[str, Any] = {}
        defaults["lr"] = lr
        defaults["betas"] = betas
        defaults["eps"] = eps
        defaults["weight_decay"] = weight_decay
        super().__init__(params, defaults)

    @staticmethod
    def _check_not_negative(name: str, value: float) -> None:
        if value < 0.0:
            raise ValueError("The value of " + name + " is " + str(value) + ", which is negative")

    @staticmethod
    def _check_beta(beta: float) -> None:
        if beta < 0.0 or beta >= 1.0:
            raise ValueError("The beta " + str(beta) + " is not in [0, 1)")

    @torch.no_grad()
    def step(self, closure: Optional[Any] = None) -> Optional[Any]:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_one(parameter, group)
        return loss

    def _state_of(self, parameter: Tensor) -> Dict[str, Any]:
        state = self.state[parameter]
        if "exp_avg" not in state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state

    def _step_one(self, parameter: Tensor, group: Dict[str, Any]) -> None:
        state = self._state_of(parameter)
        state["step"] = state["step"] + 1
        update_means(parameter.grad, state["exp_avg"], state["exp_avg_sq"], group["betas"])
        direction = adam_direction(
            state["exp_avg"], state["exp_avg_sq"], int(state["step"]), group["betas"], group["eps"]
        )
        self._decay(parameter, group)
        parameter.sub_(direction * group["lr"])

    def _decay(self, parameter: Tensor, group: Dict[str, Any]) -> None:
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])


NO_DECAY = ("bias",)


def param_groups(model: nn.Module, weight_decay: float) -> List[Dict[str, Any]]:
    named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    return [
        {"params": [v for n, v in named if not any(nd in n for nd in NO_DECAY)], "weight_decay": weight_decay},
        {"params": [v for n, v in named if any(nd in n for nd in NO_DECAY)], "weight_decay": 0.0},
    ]
