"""Optimizer: how the weights move.

WHY
`backward` says for each weight which way is down. How far to go it does not say. Plain gradient descent, as in
ex00, takes learning_rate · gradient for every weight alike. But in a GPT some gradients are a thousand times as
large as others: a rare token's embedding hardly ever gets one, a LayerNorm gets one at each step. One learning
rate cannot suit both. Adam gives each weight a step length of its own.

ADAM
For each weight two running means are kept: of its gradient g, and of g².

    exp_avg    ← β₁ · exp_avg    + (1 − β₁) · g          which way lately?    β₁ = 0.9
    exp_avg_sq ← β₂ · exp_avg_sq + (1 − β₂) · g²         how large lately?    β₂ = 0.999

The weight moves by lr · mean / √mean of squares. If the gradient is always the same, that is lr, whether
the gradient is large or tiny. If it changes its sign all the time, the mean is near 0, and so is the step.

BIAS CORRECTION
Both means begin at 0, so at first they are too small: after one step exp_avg is 0.1 · g, and exp_avg_sq is
0.001 · g². In step t (counted from 1) they are divided by how much of them is not the initial 0:

    mean   = exp_avg    / (1 − β₁ᵗ)
    square = exp_avg_sq / (1 − β₂ᵗ)

THE W IN ADAMW: WEIGHT DECAY
Every step also pulls the weights a little towards 0, which keeps a model from leaning on a few large ones. The
pull is kept apart from the gradient (*decoupled*). Added to the gradient it would be divided by √square too,
and a weight with large gradients would hardly feel it. First the decay, then the step:

    w ← w − lr · weight_decay · w
    w ← w − lr · mean / (√square + eps)                  eps keeps 0/0 away

A SMALL EXAMPLE
w = 1.0, lr = 0.1, weight_decay = 0.1, gradients 0.5 and then −0.5.

    step  exp_avg   exp_avg_sq   mean       √square   w after the decay   w after the step
    1      0.05     0.00025       0.5       0.5       0.99                0.89
    2     −0.005    0.00049975   −0.0263    0.5       0.8811              0.8864

THE LEARNING RATE CHANGES
In the first steps the running means rest on little, so lr starts small and grows in a straight line:
the warm-up. At the end small steps are wanted, to settle. In between lr falls along half a wave of the
cosine. With max_lr = 1, min_lr = 0.1, 2 steps of warm-up and 6 in total, steps 0 … 6 use:

    0.5   1.0   1.0   0.868   0.55   0.232   0.1

CLIPPING
Now and then one batch gives an enormous gradient. All gradients together are one long vector. If its length,
the norm, is above a limit, all of them are multiplied by limit / norm. The direction stays. Gradients 3 and 4
have the norm √(9 + 16) = 5, and with a limit of 1 they become 0.6 and 0.8.

WHAT IS NOT HERE
No loop over batches, which is ex13: schedule, `backward`, clipping and step come together there.

NOT ALLOWED HERE
torch's own AdamW and Adam, with the functions adamw and adam behind them; its schedulers CosineAnnealingLR,
LambdaLR, OneCycleLR, SequentialLR and LinearLR; and clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_ and
get_total_norm. They are what you are to write yourself, so they are refused under any other name too.

Read on: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization". Loshchilov and Hutter 2019,
"Decoupled Weight Decay Regularization", and 2017, "SGDR", for the cosine. Pascanu, Mikolov and Bengio 2013,
"On the difficulty of training recurrent neural networks", for the clipping. Raschka, "Build a Large Language
Model (From Scratch)", chapter 5 and appendix D.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay.

    Arguments
        params        the tensors to train, for instance `model.parameters()`; or a list of *groups*: dicts with
                      the key "params" and, where the group differs, "lr", "betas", "eps", "weight_decay"
        lr            the learning rate: how long a step is
        betas         (β₁, β₂): how much of the two running means stays at each step
        eps           added to √square, so that nothing is divided by 0
        weight_decay  how strongly the weights are pulled towards 0

    `torch.optim.Optimizer` does the housekeeping. Its `__init__` takes params and a dict of the defaults.
    From then on there are:

        self.param_groups    a list of dicts, one for each group, with the keys "params" (a list), "lr",
                             "betas", "eps" and "weight_decay"; what a group left out is filled in from the
                             defaults. One group if params were plain tensors.
        self.state           a dict for each parameter, empty at first: `self.state[parameter]`

    `zero_grad`, `state_dict` and `load_state_dict` come with it. Nothing else has to be kept anywhere.

    In `self.state[parameter]` a step keeps three things, named as torch names them, so that torch's own AdamW
    can read your checkpoints:

        "step"        how many steps this parameter has made; an int, or a tensor with one number
        "exp_avg"     the running mean of its gradient, before the correction; shape and dtype of the parameter
        "exp_avg_sq"  the running mean of the squared gradient, likewise

    As all that is remembered is in there, a new AdamW for the same parameters that loads the `state_dict()` of
    an old one goes on exactly as the old one would have.

    Source: Loshchilov and Hutter 2019, algorithm 2, with torch's convention that lr multiplies the decay.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        """Check the numbers and hand everything to `torch.optim.Optimizer`.

        Raises
            ValueError: lr, eps or weight_decay is below 0, or one of the betas is below 0, or 1 or more. The
            message names the number. 0 is allowed for each of them.

        Example: `AdamW([weight], lr=-0.5)` raises ValueError("lr is -0.5; it must not be negative").
        """
        for name, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
            if value < 0:
                raise ValueError(f"{name} is {value}; it must not be negative")
        for beta in betas:
            if not 0 <= beta < 1:
                raise ValueError(f"a beta is {beta}; it must be at least 0 and below 1")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Move every parameter that has a gradient, once.

        Arguments
            closure  None in nearly all uses. Otherwise a function that computes the gradients anew. It is
                     called once, before anything moves. It needs the graph: call it within
                     `torch.enable_grad()`.
        Returns
            what the closure returned, the loss; None without a closure

        For each parameter, in this order, as in the lesson: its step is counted; the two running means move;
        it decays; it makes its step. lr, betas, eps and weight_decay are those that its group holds *now*, as a
        schedule changes them between steps. A gradient of all zeros is a gradient like any other.

        A parameter whose `.grad` is None is left alone: it does not decay, and no step is counted for it. Its
        bias correction goes by its own count.

        Parameters change in place: the tensor objects stay the same, and each is still a leaf that requires a
        gradient. The step is no part of the graph, hence the `@torch.no_grad()` above. Gradients are not
        changed, and nothing kept in the state shares memory with them.

        Example: two steps on w = 1.0, as in the lesson, give 0.89 and then about 0.8864.

        Source: Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(parameter)
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                state["step"] += 1
                exp_avg, exp_avg_sq, t = state["exp_avg"], state["exp_avg_sq"], int(state["step"])
                exp_avg.mul_(beta1).add_((1 - beta1) * parameter.grad)
                exp_avg_sq.mul_(beta2).add_((1 - beta2) * parameter.grad**2)
                mean = exp_avg / (1 - beta1**t)
                square = exp_avg_sq / (1 - beta2**t)
                parameter -= group["lr"] * group["weight_decay"] * parameter
                parameter -= group["lr"] * mean / (square.sqrt() + group["eps"])
        return loss


def lr_at(step: int, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    """The learning rate of one step: first up in a straight line, then down along a cosine.

    Arguments
        step          which step, counted from 0
        max_lr        the highest learning rate
        min_lr        the lowest, at the end of the cosine
        warmup_steps  how many steps the way up takes; may be 0, and may be as large as total_steps or larger
        total_steps   how many steps there are, those of the warm-up among them
    Returns
        a Python float, by the first of these rules that fits:

        1. step < warmup_steps:   max_lr · (step + 1) / warmup_steps. So the first step already moves, and the
                                  last one of the warm-up has max_lr.
        2. step ≥ total_steps:    min_lr
        3. otherwise:             min_lr + (max_lr − min_lr) · (1 + cos(π · progress)) / 2, where
                                  progress = (step − warmup_steps) / (total_steps − warmup_steps)

    Example: lr_at(step, 1.0, 0.1, 2, 6) for step 0 … 6 is the row of numbers in the lesson.

    Source: Loshchilov and Hutter 2017, equation 5, without restarts; Raschka, appendix D.
    """
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= total_steps:
        return min_lr
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * progress)) / 2


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Shorten the gradients, all by the same factor, if together they are too long.

    Arguments
        parameters  the tensors whose gradients are meant, for instance `model.parameters()`. That is a
                    generator: it can be gone through only once and has no length.
        max_norm    the limit, above 0
    Returns
        the norm *before* clipping, a Python float: the square root of the sum of the squares of all numbers in
        all gradients. One norm for all of them together. 0.0 if there is no gradient.

    If the norm is above max_norm, each gradient is multiplied by max_norm / norm, in place: `.grad` stays the
    same tensor. (A tiny number added to the norm there, as torch does with 1e-6, is fine.) Otherwise the
    gradients stay as they are; they are never made longer. Gradients of all zeros stay zeros. A parameter whose
    `.grad` is None is passed over. The parameters themselves do not change.

    Example: two parameters with the gradients [3.0] and [4.0] and max_norm = 1.0. The result is 5.0, and the
    gradients become [0.6] and [0.8].

    Source: Pascanu, Mikolov and Bengio 2013, algorithm 1.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = math.sqrt(sum(gradient.pow(2).sum().item() for gradient in gradients))
    if norm > max_norm:
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    return norm


def param_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Sort a model's parameters into those that decay and those that do not.

    Arguments
        model         any module
        weight_decay  for the parameters that decay
    Returns
        a list of exactly two groups, as AdamW takes them, each a dict with the keys "params" and "weight_decay":

        1. the parameters with two axes or more, with this weight_decay: matrices and embeddings
        2. the parameters with one axis or none, with a weight_decay of 0.0: biases, and what scales and shifts
           in a LayerNorm. These have no reason to be near 0; a scale should be near 1.

    "params" is a list of the parameters themselves, in the order of `model.parameters()`. It is empty if no
    parameter belongs there, but the group is there all the same. It is the number of axes that decides, not the
    name. A parameter that does not require a gradient is in neither group. One that two layers share (as the
    embedding and the head of GPT-2 do) is there once, or it would be moved twice.

    Example: for `nn.Linear(3, 2)` the first group holds its weight, the second its bias.

    Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", where biases and
    the gains of normalisations do not decay.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.dim() >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.dim() < 2], "weight_decay": 0.0},
    ]
