"""Pretraining: the loop in which a model learns a language.

WHY
Your model has every part and knows nothing: its weights are random. Pretraining shows it text and asks one
question at every place: which token comes next? The loss says how surprised it was by the right answer, and
a small change of the weights makes it a little less surprised. Nobody labels anything, the text is its own
answer. That is all there is to it, over and over: GPT-2 and its successors came out of this loop.

ONE STEP, IN THIS ORDER
    1. training mode            dropout is at work
    2. empty the gradients      `backward` adds to them, and those of the step before are still there
    3. forward                  the loss of a batch, a single number
    4. backward                 how each weight should change
    5. clip                     one strange batch must not throw the model far away
    6. set the learning rate, and let the optimizer step

Clipping comes after the last backward, when the gradient is complete, and before the step, which uses it.
The learning rate has to stand in the optimizer before the step as well. It is small at first, because the
first gradients of a fresh model point anywhere (warmup), and sinks in the end, so that the weights settle
(cosine): ex12.

ACCUMULATION
A large batch gives a steadier gradient, but may not fit into memory. So take several small ones, the
*micro-batches*, one after the other, and step once after all of them. `backward` adds gradients up by itself,
so divide each loss by how many batches the group has: the gradient is then that of the mean loss. What is
left over at the end of an epoch makes a smaller group, divided by its own size. An *epoch* is one pass over
all training batches; a *step* is one update of the weights, however many batches went into it.

LOOKING AT IT
Every few steps the loop stops to evaluate: the loss on training batches and on validation batches, which the
model never learns from. While both fall, it learns; when only the first falls, it learns by heart. Dropout
is off meanwhile (`evaluate_model` sees to that), and the same batches are looked at each time: otherwise
the curve would move because the batches do. *Tokens seen* says how much text the model has had, whatever the
batch size. And after each epoch a sample of text, because you understand a sample sooner than a loss.

STOPPING AND GOING ON
Training takes hours, and computers stop. If the order of the batches in an epoch depends on nothing but a
seed and the number of the epoch, it can be had again: seed, begin the epoch anew, pass over the batches that
were used, go on. Then the curve is the same, to the last bit, as if nothing had happened.

A SMALL EXAMPLE
5 batches of 2 × 4 tokens, accumulate = 2, two epochs: 3 steps an epoch, 6 in all. Evaluation every 2 steps;
learning rate 0.1 … 1.0 with 2 steps of warmup; `sample` returns "hello" or the like.

    step             1      2      3      4      5      6
    batches        1, 2   3, 4     5    1, 2   3, 4     5      (shuffled anew in each epoch)
    tokens seen     16     32     40     56     72     80
    learning rate  0.50   1.00   1.00   0.87   0.55   0.23
    evaluation             x             x             x
    sample                         x                   x

WHAT IS NOT HERE
No checkpoint on disk (ex14), no mixed precision and no second process (a later exercise). Which optimizer it
is, the loop need not know: it is handed one.

Shapes: B sequences in a batch, T tokens in a sequence. A batch is a pair (inputs, targets), both int64 (B, T).
Read on: Raschka, "Build a Large Language Model (From Scratch)", chapter 5 and appendix D. Radford et al. 2019,
"Language Models are Unsupervised Multitask Learners".
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor, nn

from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm, lr_at

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Given.

    num_epochs     how often all training batches are gone through, 0 or more
    max_lr         the learning rate after the warmup, the largest
    min_lr         the learning rate towards which it sinks
    warmup_steps   for how many steps it rises first, 0 or more
    max_norm       gradients with a larger norm than this are clipped to it
    accumulate     how many batches make one step, at least 1
    eval_every     evaluate after every so many steps, at least 1
    eval_batches   on how many batches of each loader, from its first; None: on all
    seed           decides the order of the batches, together with the number of the epoch
    """

    num_epochs: int
    max_lr: float = 1e-3
    min_lr: float = 1e-4
    warmup_steps: int = 0
    max_norm: float = 1.0
    accumulate: int = 1
    eval_every: int = 10
    eval_batches: int | None = None
    seed: int = 123


@dataclass(frozen=True)
class Evaluation:
    """One point of the curve. Given. All are plain Python numbers.

    step           after how many steps, counted from 1 over the whole training
    tokens_seen    how many tokens the model had been trained on by then
    train_loss     the loss on training batches
    val_loss       the loss on validation batches
    learning_rate  that of the step just made
    """

    step: int
    tokens_seen: int
    train_loss: float
    val_loss: float
    learning_rate: float


@dataclass
class History:
    """How far training is, and what was seen on the way. Given.

    step         how many steps were made
    tokens_seen  how many tokens the model was trained on: those of all inputs, a token that comes again in the
                 next epoch counts again
    evaluations  the curve, oldest first
    samples      the texts, one for each finished epoch, an empty one too

    There are only plain Python numbers and texts in it, no tensors. So it can be written to a file, and handed
    to `train_model` again to go on.
    """

    step: int = 0
    tokens_seen: int = 0
    evaluations: list[Evaluation] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)


def steps_per_epoch(num_batches: int, accumulate: int) -> int:
    """How many steps one epoch makes, when a smaller group at its end makes a step too.

    Arguments
        num_batches  how many batches there are, 0 or more
        accumulate   how many of them make one step, at least 1
    Returns
        a Python int

    Example: 5 batches in groups of 2 are 3 steps, 6 batches are 3 steps as well, and none are 0 steps.

    Source: the lesson above.
    """
    raise NotImplementedError


def seed_loader(loader: Iterable[Batch], seed: int) -> None:
    """Decide in which order a loader that shuffles will give its batches the next time.

    Arguments
        loader  a DataLoader, a list, or anything else that batches can be taken from
        seed    for the loader's generator

    If the loader has an attribute `generator`, and that is not None, this very generator is set to the seed,
    with its method `manual_seed`; the loader and its sampler share it, so no other may take its place.
    Otherwise nothing happens: a list has no generator, and a DataLoader that was given none has None. torch's
    global random state, which dropout uses, stays as it is.

    Returns nothing.

    Example: after `seed_loader(loader, 7)`, `list(loader)` has the same order each time.

    Source: torch's notes on reproducibility, "DataLoader".
    """
    raise NotImplementedError


def update(
    model: nn.Module,
    batches: list[Batch],
    optimizer: torch.optim.Optimizer,
    learning_rate: float,
    max_norm: float,
    device: torch.device | str,
) -> int:
    """One step of the optimizer, from a group of one or more micro-batches.

    Arguments
        model          turns ids (B, T) into logits (B, T, V); it is on the device already
        batches        the group: at least one pair (inputs, targets), both int64 (B, T). B and T may differ from
                       one pair to the next.
        optimizer      holds the parameters of the model, in one group of parameters or in several
        learning_rate  that of this step
        max_norm       as your clip_grad_norm takes it
        device         where the batches belong, as your calc_loss_batch takes it
    Returns
        the number of input tokens in all batches of the group together, as a Python int. Every token of the
        inputs counts, also where its target is −100; the targets are not counted on top.

    The model is put into training mode first, whatever mode it was in. Gradients that were there before, whoever
    left them, do not count. Then, for each batch in turn: the loss, by one call of your calc_loss_batch, is
    divided by the number of batches in the group, and `backward` is called, before the next batch comes: so
    the memory of one batch suffices. The gradient is then that of the mean of the losses; each batch weighs the
    same, however many tokens it has. After the last batch the gradients of *all* parameters of the model are
    clipped together, once. The learning rate is written into *every* group of `optimizer.param_groups`, under
    "lr", and the optimizer steps, once.

    Example: with two batches of 2 × 4 tokens it returns 16, and the gradient is (g₁ + g₂) / 2, clipped.

    Source: Raschka, chapter 5 and appendix D.
    """
    raise NotImplementedError


def train_model(
    model: nn.Module,
    train_loader: Iterable[Batch],
    val_loader: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    device: torch.device | str = "cpu",
    sample: Callable[[nn.Module], str] | None = None,
    on_step: Callable[[History], None] | None = None,
    history: History | None = None,
) -> History:
    """Train a model, from the beginning or from where a history stands.

    Arguments
        model         the model to train; it is on the device already
        train_loader  the batches to learn from: a list or a DataLoader, anything that has a `len` and can be gone
                      through again and again. It may be empty.
        val_loader    the batches to judge by; the model never learns from them
        optimizer     holds the parameters of the model
        config        how to train
        device        where the batches belong
        sample        makes a text with the model; None for no samples. It may leave the model in evaluation mode.
        on_step       called after each step with the history: to show progress, to save, to stop by raising an
                      error, which is not caught here, whatever it is
        history       where to go on from; None for a new beginning
    Returns
        the history. If one was handed in it is that very object, changed.

    *Steps.* An epoch goes once through train_loader and takes its batches in groups of config.accumulate. What is
    left over at its end makes a smaller group: no group reaches into the next epoch, no batch is lost. Each
    group is one `update`. So the whole training has config.num_epochs · steps_per_epoch(number of batches,
    config.accumulate) steps. They are counted from 1, and not anew in each epoch.

    *Learning rate.* lr_at counts from 0: the step with the number s gets lr_at(s − 1, …), with all steps of the
    whole training as its total_steps.

    *Order of the batches.* Before epoch e, counted from 1, is gone through: seed_loader(train_loader,
    config.seed + e). Nothing else decides the order. The loop itself neither draws from torch's global random
    state nor seeds it: that is dropout's, and your sample's.

    *After each step*, in this order:

    1. step and tokens_seen are counted on in the history.
    2. If step is a multiple of config.eval_every: seed_loader(train_loader, config.seed), so that each evaluation
       looks at the same training batches, then evaluate_model on both loaders with config.eval_batches. An
       Evaluation is appended. There is no evaluation before the first step, and none at the end unless its turn
       has come. An epoch under way is not disturbed by evaluating from the same loader: a DataLoader fixes the
       order of an epoch when its first batch is taken.
    3. If it was the last step of an epoch, and there is a `sample`: what sample(model) returns is appended.
    4. on_step(history) is called, if there is one, with the very object that will be returned.

    *Going on.* A history that is handed in counts: epochs that it has finished are passed over, without taking a
    batch from the loader, and in the epoch where it stands, the batches of the steps already made are passed
    over without calling the model. Then training goes on as if it had never stopped: steps, tokens and learning
    rate go on from where they were, and num_epochs is still the number of epochs in all. If model, optimizer and
    torch's global random state are as they were when on_step was called, the result is the same to the last bit.
    (As long as the loaders leave that state alone: lists do, and DataLoaders with a generator of their own; one
    without draws from it whenever it is gone through.) A training that is finished, that has 0 epochs or no
    batches returns at once: no step, no evaluation, no sample, no on_step.

    Example: in the lesson above, 6 steps give evaluations with steps 2, 4, 6 and tokens_seen 32, 56, 80.

    Source: Raschka, chapter 5 and appendix D.
    """
    raise NotImplementedError
