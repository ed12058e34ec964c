"""Optimizer: how the weights move.

You need: gradients and plain gradient descent (exercise 0), and what an `nn.Module` knows of its parameters (5).

WHY
`backward` says for each weight which way is down. It does not say how far to go. Plain gradient descent goes
learning_rate · gradient, for all weights alike, from the first step to the last. In a GPT that goes wrong:

    1. The first steps know little, and the last ones should settle.
    2. Now and then one batch gives an enormous gradient.
    3. Some gradients are a thousand times as large as others. A rare token's
       embedding hardly ever gets one, and a LayerNorm gets one at each step.

HOW
Each has its remedy. A *schedule* changes the learning rate over time (`lr_at`), *clipping* shortens gradients that
are too long (`clip_grad_norm`), and Adam gives each weight a step length of its own (`AdamW`).

THE SCHEDULE
The learning rate, lr, rises in a straight line, which is called the *warm-up*. Then it falls along half a wave of
the cosine, down to min_lr, and stays there.

    max_lr |       *********
           |      *         ******
           |    **                *****
           |   *                       ****
           | **                            *****
           |*                                   ******
    min_lr |                                          ****************
           +---------------------------------------------------------- step
             warm-up      cosine               total_steps

With max_lr = 1, min_lr = 0.1, 2 steps of warm-up and 6 in total, steps 0 … 6 use:

    0.5   1.0   1.0   0.868   0.55   0.232   0.1

Numbers that you choose and that training does not change, like max_lr, are called *hyperparameters*.

CLIPPING
All gradients together are one long vector. If its length, the *norm*, is above a limit, all of them are multiplied
by limit / norm. The vector becomes shorter, and keeps its direction. Gradients 3 and 4, with a limit of 1:

      4 |           *   norm √(9 + 16) = 5
        |         /
        |       /
        |     /
    0.8 |  *            times 1/5: 0.6 and 0.8, norm 1
        +-----------
          0.6       3

ADAM
For each weight two running means are kept, of its gradient g and of g². Usually β₁ is 0.9 and β₂ is 0.999.

    exp_avg    ← β₁ · exp_avg    + (1 − β₁) · g          which way lately?
    exp_avg_sq ← β₂ · exp_avg_sq + (1 − β₂) · g²         how large lately?

Both begin at 0, so at first they are too small: after one step exp_avg is 0.1 · g, and exp_avg_sq is 0.001 · g².
The *bias correction* of step t, counted from 1, makes up for that:

    mean   = exp_avg    / (1 − β₁ᵗ)
    square = exp_avg_sq / (1 − β₂ᵗ)
    direction = mean / (√square + eps)                   eps keeps 0/0 away

A weight whose gradient is always the same has a direction of 1 or −1, whether that gradient is large or tiny. If
the gradient changes its sign all the time, the direction is near 0.

THE W IN ADAMW
W is for *weight decay*. Each step also pulls the weights a little towards 0, so that the model does not lean on a
few large ones. The pull is kept apart from the gradient (*decoupled*). If it were added to the gradient, it would
be divided by √square too, and a weight with large gradients would hardly feel it. First the decay, then the step:

    w ← w − lr · weight_decay · w
    w ← w − lr · direction

A SMALL EXAMPLE
w = 1.0, lr = 0.1, weight_decay = 0.1, gradients 0.5 and then −0.5.

                         step 1     step 2
    exp_avg               0.05      −0.005
    exp_avg_sq            0.00025    0.00049975
    mean                  0.5       −0.0263
    √square               0.5        0.5
    direction             1         −0.0526
    w after the decay     0.99       0.8811
    w after the step      0.89       0.8864

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", section 5.2 and appendix D, D.1 to D.3. The book takes AdamW
and clipping from torch; here you write them, to see what they do. There all parameters decay; here biases and norms
do not, as in the first GPT. There the warm-up starts at a rate of your choice; here at max_lr / warmup_steps, so
that there is one hyperparameter less.

NOT ALLOWED HERE
torch's AdamW and Adam, with the functions adamw and adam behind them and every relative that has adam in its name;
all schedulers of torch.optim.lr_scheduler, such as CosineAnnealingLR; clip_grad_norm_, clip_grad_value_,
clip_grads_with_norm_ and get_total_norm. They are what you write. `torch.optim.Optimizer` is welcome.

TWO QUESTIONS (the answers are at the end of this file)
1. The loss is multiplied by 1000. What changes for plain gradient descent, and what for AdamW?
2. Then why clip the gradients, if AdamW divides by their size anyway?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex12` lets plain gradient descent and your AdamW walk down a narrow
valley, whose walls are a hundred times as steep as its floor. Predict first: which of the two is ahead after 20
steps, and why?

Read on: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization". Loshchilov and Hutter 2019, "Decoupled
Weight Decay Regularization".
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


def lr_at(step: int, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    """The learning rate of one step: up in a straight line, then down along a cosine.

    Arguments
        step                       counted from 0
        max_lr, min_lr             the highest rate, and the last
        warmup_steps, total_steps  how many there are, warm-up included in the total
    Returns
        a Python float, by the first rule that fits:

        step < warmup_steps   max_lr · (step+1) / warmup_steps
        step ≥ total_steps    min_lr
        otherwise             min_lr + (max_lr−min_lr) · (1 + cos(π·progress)) / 2,
                              with progress = (step−warmup_steps) / (total_steps−warmup_steps)

    Example: [lr_at(step, 1.0, 0.1, 2, 6) for step in range(7)] is the row of numbers in the lesson.

    Fine print
        warmup_steps may be 0, and it may be total_steps or more: then the rate rises to the end, by the same rules.

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts; Raschka, appendix D.
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
        parameters  the tensors whose gradients to clip, for instance `model.parameters()`
        max_norm    the limit, above 0
    Returns
        the norm *before* clipping, a Python float: the square root of the sum of the squares of all numbers in
        all gradients

    If the norm is above max_norm, each `.grad` should be multiplied by max_norm / norm, in place. Otherwise all
    stay as they are.

    Example: two parameters have the gradients [3.0] and [4.0], and max_norm is 1.0. The result is 5.0, and the
    gradients become [0.6] and [0.8].

    Fine print
        `parameters` may be a generator, which can be iterated over only once.
        A parameter whose `.grad` is None is skipped. Without any gradient the norm is 0.0.

    Source: Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks".
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = math.sqrt(sum(gradient.pow(2).sum().item() for gradient in gradients))
    if norm > max_norm:
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    return norm


def update_means(gradient: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, betas: tuple[float, float]) -> None:
    """Move the two running means of one parameter, in place.

    Arguments
        gradient    float, of any shape
        exp_avg     the running mean of the gradients, of that shape
        exp_avg_sq  the running mean of their squares, of that shape
        betas       (β₁, β₂): how much of each mean stays

    Example: both means are 0. A gradient of 0.5 with betas (0.9, 0.999) makes them 0.05 and 0.00025.

    Source: Kingma and Ba 2015, algorithm 1.
    """
    beta1, beta2 = betas
    exp_avg.mul_(beta1).add_((1 - beta1) * gradient)
    exp_avg_sq.mul_(beta2).add_((1 - beta2) * gradient**2)


def adam_direction(exp_avg: Tensor, exp_avg_sq: Tensor, t: int, betas: tuple[float, float], eps: float) -> Tensor:
    """Which way one parameter goes: the corrected mean, over the root of the corrected square.

    Arguments
        exp_avg, exp_avg_sq  the running means after t steps, as update_means leaves them
        t                    counted from 1
        betas, eps           as in the lesson
    Returns
        float, of the shape of exp_avg

    Example: 0.05, 0.00025, t = 1, betas (0.9, 0.999) and an eps of 0 give 1.

    Source: Kingma and Ba 2015, algorithm 1.
    """
    beta1, beta2 = betas
    mean = exp_avg / (1 - beta1**t)
    square = exp_avg_sq / (1 - beta2**t)
    return mean / (square.sqrt() + eps)


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay.

    Arguments
        params                        the tensors to train; or *groups* of them: dicts with the key "params" and,
                                      where a group differs, "lr", "betas", "eps" or "weight_decay"
        lr, betas, eps, weight_decay  as in the lesson

    `torch.optim.Optimizer` does the housekeeping. Its `__init__` makes

        self.param_groups  a list of such dicts, in which every key is filled in; "params" is a list
        self.state         what is remembered: self.state[parameter] is a dict, empty at first

    Fine print
        Nothing should be remembered elsewhere: `state_dict` saves these two, and torch's AdamW can go on from them.

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
        """Check the numbers, and hand params and a dict of the four defaults to torch's `__init__`.

        Fine print
            ValueError: lr, eps or weight_decay is below 0, or one of the betas is below 0, or 1 or more. The
            message should name the number.
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
        """Move every parameter that has a gradient, once and in place.

        For each parameter, in this order: count its step, update_means, the decay, the step along
        adam_direction. `self.state[parameter]` should hold, under torch's names,

            "step"                   how many steps this parameter has made
            "exp_avg", "exp_avg_sq"  its running means, of its shape and dtype

        lr, betas, eps and weight_decay should be those that its group holds *now*: a schedule changes them.

        Example: two steps on w = 1.0, as in the lesson, give 0.89 and then about 0.8864.

        Fine print
            A parameter whose `.grad` is None is left alone: it does not decay, and no step is counted for it. A
            gradient of zeros is a gradient.
            `closure` is None in all exercises to come. If it is given, it computes the gradients and returns the
            loss: call it once, before anything moves, within `torch.enable_grad()`, and return what it returned.

        Source: Loshchilov and Hutter 2019, algorithm 2.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(parameter)
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                state["step"] += 1
                t = int(state["step"])  # a tensor, if torch's AdamW has saved it
                exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
                update_means(parameter.grad, exp_avg, exp_avg_sq, group["betas"])
                direction = adam_direction(exp_avg, exp_avg_sq, t, group["betas"], group["eps"])
                parameter -= group["lr"] * group["weight_decay"] * parameter
                parameter -= group["lr"] * direction
        return loss


def param_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Sort a model's parameters into those that decay and those that do not.

    Arguments
        model         any module
        weight_decay  for the parameters that decay
    Returns
        a list of two dicts for AdamW, with "params" and "weight_decay":

        1. the parameters with two axes or more: matrices and embeddings
        2. those with one axis or none, with a weight_decay of 0.0: biases, and the scales of norms, which should
           be near 1

    Each "params" is a list in the order of `model.parameters()`.

    Example: for `nn.Linear(3, 2)` the first group holds its weight, the second its bias.

    Fine print
        A parameter that two layers share, such as a tied head, is there once: it should not move twice. One that
        does not require a gradient is in neither group. A group may be empty.

    Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training".
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.dim() >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.dim() < 2], "weight_decay": 0.0},
    ]


# ANSWERS
# 1. Every gradient is multiplied by 1000, and so is every step of gradient descent, which will probably diverge.
#    For AdamW mean and √square both grow by 1000, so nothing changes, but for the tiny eps.
# 2. Because one huge gradient stays in the means. Take many gradients of 1, and one of 100: exp_avg_sq goes from 1
#    to about 11, and its root to 3.3. So the weight first goes far in the direction of one batch, and then makes
#    steps a third as long for hundreds of batches. Clipping shortens the outlier alone.
