"""Scale: count the work, compute with fewer bits, and train in several processes.

You need: the loss (exercise 11), clipping (12), the loop of exercise 13 with its `TrainConfig` and `History`, and
what `backward` leaves in `.grad`.

WHY
Your loop trains a small model on one processor. A large one would take years there. Three things shorten that.
Count the work, so that you know what is slow. Do most of it in numbers of 16 bits. And share every batch among
several processes, each with a copy of the model. The last two should not change what the model learns, except for
rounding.

HOW: COUNT THE WORK
A weight of a matrix takes part in one multiplication and one addition per token: 2 operations. Backward needs
twice as many as forward. So N weights cost 6N per token. Attention also multiplies tokens with tokens, without any
weights: 12 · T · D more in each of L layers (T tokens of context, width D).

    flops per token = 6 · N + 12 · L · D · T

N counts the parameters that multiply. A table in which rows are only looked up does not multiply: leave out that
of the positions, and that of the tokens too, unless it is tied to the head. Biases and norms have so few numbers
that they may stay in. GPT-2 small, tied, has 124,439,808 parameters, 786,432 of them in the table of positions:
N = 123,653,376, L = 12, D = 768, T = 1024.

    6 · N            741,920,256
    12 · L · D · T   113,246,208
    together         855,166,464 operations per token

A GPU whose data sheet promises 312 · 10¹² operations a second, and which trains on 150,000 tokens a second, is
used to 150,000 · 855,166,464 / (312 · 10¹²) = 41 %. That is a good value. At 4 %, find out what it is waiting for.

HOW: USE FEWER BITS
    float32   s eeeeeeee fffffffffffffffffffffff     sign, exponent, fraction
    bfloat16  s eeeeeeee fffffff
    float16   s eeeee ffffffffff

A bfloat16 is a float32 rounded to its first 16 bits. It has the same range and about two and a half digits: 257
becomes 256, and 1.001 becomes 1. A weight of 1 that should move by 0.001 would never move. So the precision is
*mixed*: weights, gradients and optimizer stay float32. Within `torch.autocast` each matrix product rounds its two
factors and computes in 16 bits. The logits come out in 16 bits. They should be made float32 before the loss, which
adds up thousands of small numbers. `backward` is called outside: each step back takes the dtype of its step
forward.

HOW: SHARE THE BATCH
All processes run the same program. A process knows its number, its *rank*, and how many there are, the *world
size*. All begin with the same weights and go through the same batches. Each computes with its own rows only:

    batch (4, T)      forward, backward     all_reduce, divide     on every rank
    row 0 ┐
    row 1 ┘ rank 0 →  gradient g₀       ┐
                                        ├→  (g₀ + g₁) / 2      →   clip, step
    row 2 ┐                             │
    row 3 ┘ rank 1 →  gradient g₁       ┘

The loss is a mean, so the mean of the gradients of two equal parts is the gradient of the whole, as long as equally
many targets count in each. All processes make the same step, so their weights stay equal and are sent only once, at
the start. Nothing else is sent: to go on from a checkpoint, every process has to load it, for the optimizer's
state and the history.

`all_reduce` ends only when every process has called it. If one leaves a call out, the others wait for ever.
And it is slow: the gradients of GPT-2 small make half a gigabyte. With accumulation it is enough to call it once,
after the last batch of the group.

A SMALL EXAMPLE
One weight w = 0, the loss of a row is (w − x)² / 2, its gradient w − x. Rows x = 1, 2, 3, 6 and two processes.

    in one process    (−1 − 2 − 3 − 6) / 4 = −3
    rank 0            (−1 − 2) / 2 = −1.5         rank 1   (−3 − 6) / 2 = −4.5
    all_reduce        −1.5 − 4.5 = −6             divided by world size 2:  −3

Clipped to a norm of 2, that is −2. If each process clipped its own gradient first, it would be
(−1.5 − 2) / 2 = −1.75.

STARTING IT
`torchrun --nproc_per_node=2 -m scripts.train` starts two processes and tells each its rank. TorchGroup, which is
given, talks to the other process through torch. Your functions take any `Group`, so the tests need only one
process.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", appendix A.9.3, wraps the model in torch's
DistributedDataParallel, DDP for short, which averages the gradients during `backward`. A DistributedSampler hands
each process other rows and has to be told each epoch by `set_epoch`. Here you write what DDP does. There is
no such sampler: each process takes its rows out of the whole batch, and the order comes from config.seed and
the epoch, on every rank alike. The loader should have a generator of its own, or not shuffle, and drop a last
batch that cannot be shared out (drop_last=True). Operations are counted in the bonus material of chapter 4.

TWO QUESTIONS (the answers are at the end of this file)
1. Two processes start from different weights, and nothing is broadcast. Do the averaged gradients bring them
   together?
2. The sum of the gradients is not divided by the world size. With AdamW the curve looks nearly the same. Why?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex21` trains one process on 8 rows, and two on 4 each. Predict first:
how far apart are the weights of the two after ten steps? And if they never talk to each other?

Shapes: B sequences in a batch, T tokens in a sequence, V vocabulary.
Read on: Chowdhery et al. 2022, "PaLM", appendix B. Micikevicius et al. 2018, "Mixed Precision Training". Li et
al. 2020, "PyTorch Distributed".
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor, distributed, nn

from .ex00_tensors import cross_entropy
from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Batch, Evaluation, History, TrainConfig, seed_loader, steps_per_epoch
from .ex15_classify import training_steps


class Group(Protocol):  # given
    """All processes that train together, as one of them sees them. Given.

    rank        the number of this process, 0 … world_size − 1
    world_size  how many processes there are, 1 or more
    """

    rank: int
    world_size: int

    def all_reduce(self, tensor: Tensor) -> None:
        """Put the sum of this tensor over all processes into it, in place, on every process."""

    def broadcast(self, tensor: Tensor, source: int) -> None:
        """Put the values that this tensor has on process `source` into it, in place, on every process."""


class TorchGroup:  # given
    """The processes that torchrun has started. Given. `torch.distributed.init_process_group` comes first."""

    def __init__(self) -> None:  # given
        self.rank = distributed.get_rank()
        self.world_size = distributed.get_world_size()

    def all_reduce(self, tensor: Tensor) -> None:  # given
        distributed.all_reduce(tensor.detach())

    def broadcast(self, tensor: Tensor, source: int) -> None:  # given
        distributed.broadcast(tensor.detach(), source)


def flops_per_token(num_parameters: int, n_layers: int, emb_dim: int, context_length: int) -> int:
    """How many additions and multiplications training takes for one token, forward and backward.

    Arguments
        num_parameters  N, the parameters that multiply, as the lesson counts them
        n_layers        L
        emb_dim         D
        context_length  T
    Returns
        6 · N + 12 · L · D · T, a Python int

    Example: GPT-2 small needs flops_per_token(123_653_376, 12, 768, 1024) = 855,166,464.

    Source: Chowdhery et al. 2022, appendix B.
    """
    raise NotImplementedError


def share_of_peak(tokens_per_second: float, flops_per_token: float, peak_flops: float) -> float:
    """Which share of what the machine could do goes into training: the model FLOPs utilization.

    Arguments
        tokens_per_second  how many tokens are trained on in a second, on all machines together
        flops_per_token    as above
        peak_flops         operations a second that the data sheets promise for all machines together
    Returns
        a Python float, 1.0 if all of it is used

    Example: share_of_peak(150_000, 855_166_464, 312e12) is about 0.411.

    Source: Chowdhery et al. 2022, appendix B.
    """
    raise NotImplementedError


def mixed_precision_loss(
    inputs: Tensor, targets: Tensor, model: nn.Module, device: torch.device | str, dtype: torch.dtype | None
) -> Tensor:
    """The loss of one batch, with the model's matrix products computed in another dtype.

    Arguments
        inputs, targets, model, device  as your calc_loss_batch takes them
        dtype                           torch.bfloat16; None or torch.float32 for no change
    Returns
        float32 (), ready for `backward`

    The model should run within torch.autocast, made for the type of the device ("cpu", "cuda"). Make its logits
    float32, and compute the loss from those.

    Example: mixed_precision_loss(inputs, targets, model, "cpu", torch.bfloat16).backward()

    Fine print
        With None or torch.float32 it is calc_loss_batch: a float64 model has a float64 loss.

    Source: Micikevicius et al. 2018; PyTorch, "Automatic Mixed Precision".
    """
    raise NotImplementedError


def shard(tensor: Tensor, rank: int, world_size: int) -> Tensor:
    """The rows of a batch that one process works on.

    Arguments
        tensor      (B, …), one axis or more
        rank        the number of the process
        world_size  how many processes there are
    Returns
        (B / world_size, …): rank 0 has the first rows, rank 1 the next ones, and so on

    Example: of the rows 0, 1, 2, 3, 4, 5, and with three processes, rank 1 gets 2 and 3.

    Fine print
        ValueError: B is not a multiple of world_size. The message should name both numbers.

    Source: the lesson above.
    """
    raise NotImplementedError


def broadcast_parameters(model: nn.Module, group: Group) -> None:
    """Give every process the weights of rank 0.

    Arguments
        model  the same kind of module on every process, with whatever numbers
        group  the processes

    Every parameter and every buffer should get the values that it has on rank 0, by group.broadcast. Each should
    stay the tensor that it was, because the optimizer holds on to it. Returns nothing.

    Example: after broadcast_parameters(model, group) all processes compute the same logits.

    Fine print
        That includes frozen parameters (requires_grad is False), and buffers that a state dict leaves out.

    Source: Li et al. 2020, section 3.2.
    """
    raise NotImplementedError


def average_gradients(model: nn.Module, group: Group) -> None:
    """Give every process the mean of the gradients of all processes.

    Arguments
        model  after backward; on each process from its own rows
        group  the processes

    Each gradient should become its sum over the processes, by group.all_reduce, divided by world_size. You may
    reduce one parameter after the other, or all in one long tensor. Returns nothing.

    Example: if w.grad is -1.5 on rank 0 and -4.5 on rank 1, it is -3 on both afterwards.

    Fine print
        Every parameter that requires a gradient should take part, on every process, or the calls would not match.
        One that got no gradient here counts as zeros. Frozen ones take no part, and their `.grad` stays None.
        A parameter that two layers share should be averaged once.

    Source: Li et al. 2020, section 3.2.
    """
    raise NotImplementedError


def update_distributed(
    model: nn.Module,
    batches: list[Batch],
    optimizer: torch.optim.Optimizer,
    learning_rate: float,
    max_norm: float,
    device: torch.device | str,
    group: Group,
    dtype: torch.dtype | None = None,
) -> int:
    """One step of the optimizer on every process, each with its own rows.

    Arguments
        batches  whole (inputs, targets), the same on every process
        group    the processes
        dtype    as mixed_precision_loss takes it
        the others  as in exercise 13's update
    Returns
        the input tokens of the whole batches together, a Python int

    Do what exercise 13's update does, but with the mixed_precision_loss of this process's shard of each batch.
    Average the gradients once, after the last backward and before clipping.

    Example: two batches of 2 × 4 tokens and two processes give 16, and each process has seen 8 of them.

    Fine print
        Each shard should weigh the same, however many of its targets count, and so should each batch.
        ValueError: the rows of a batch cannot be shared out equally, as in shard.

    Source: Li et al. 2020, section 3.2; for the group of batches, its `no_sync`.
    """
    raise NotImplementedError


def state_dict_to_save(model: nn.Module) -> dict[str, Tensor]:
    """A state dict that a plain model can load, whether or not this one is wrapped.

    Arguments
        model  a plain model; or one wrapped by torch's DDP, which keeps it under the name `module`, so that every
               name in its state dict begins with "module."
    Returns
        model.state_dict(), each name without the "module." at its beginning, if it has one there

    Example: "module.out_head.weight" becomes "out_head.weight", and "out_head.weight" stays.

    Fine print
        Take only one away, and only at the beginning: "module.module.bias" becomes "module.bias", and
        "head.module.bias" stays.

    Source: PyTorch, "Saving and loading models".
    """
    raise NotImplementedError


def train_ddp(
    model: nn.Module,
    train_loader: Iterable[Batch],
    val_loader: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    group: Group,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    sample: Callable[[nn.Module], str] | None = None,
    on_step: Callable[[History], None] | None = None,
    history: History | None = None,
) -> History:
    """Exercise 13's train_model on every process of a group.

    Arguments
        group  the processes; each calls train_ddp, with the same loaders and config
        dtype  as mixed_precision_loss takes it
        the others  as in train_model
    Returns
        the history; equal on all processes, but for the samples

    First broadcast the parameters. For each (batches, learning_rate) of training_steps(train_loader, config,
    history), call update_distributed, then go on as train_model does. Every process should evaluate whole batches
    in full precision. Only rank 0 should call sample and on_step.

    Example: in the example of exercise 13, rank 0 and rank 1 both return a history with step 6 and 80 tokens seen.

    Fine print
        After each step, in this order: add to step and tokens_seen. If step is a multiple of config.eval_every,
        call seed_loader(train_loader, config.seed) and evaluate_model, as in train_model. After the last step of
        an epoch append the sample, on rank 0 only. Then call on_step, on rank 0 only.
        A history that is passed in counts as in train_model: the same object is returned, and a training that
        goes on from it is the same to the last bit as one in one go.

    Source: Raschka, appendix A.9.3; Li et al. 2020.
    """
    raise NotImplementedError


# ANSWERS
# 1. No. All make the same step, so the difference between their weights stays what it was at the start. That is why
#    rank 0's weights are sent to all before the first step.
# 2. AdamW divides the gradient by its own size, so a factor of 2 cancels, but for eps. Clipping can hide it too.
#    Plain gradient descent shows it: each step is twice as long.
