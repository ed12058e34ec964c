"""Pretraining: the loop in which a model learns a language.

You need: losses (exercise 11), clipping and the schedule (exercise 12), and functions as arguments.

WHY
Your model has every part and knows nothing: its weights are random. Pretraining asks one question at every
position of a text: which token comes next? The loss says how surprised the model was by the right answer, and a
small change of the weights makes it a little less surprised. Nobody labels anything: the text is its own answer.

HOW: ONE STEP, IN THIS ORDER
    1. training mode            dropout is at work
    2. empty the gradients      `backward` adds to them, and those of the last step are still there
    3. forward                  the loss of a batch, a single number
    4. backward                 backpropagation: how the loss changes with each weight
    5. clip                     one strange batch must not throw the model far away
    6. set the learning rate, and let the optimizer step

Clipping comes after the last backward, when the gradient is complete, and before the step, which uses it. The
model learns the weights. The other numbers, such as the learning rate, are yours to choose: they are called
*hyperparameters*. Here they are the fields of `TrainConfig`.

ACCUMULATION
Each step uses only a small part of the text, a *mini-batch*. A large one gives a steadier gradient but may not
fit into memory. So take several small batches one after the other, and step once after all of them. `backward`
adds gradients up by itself. If you divide each loss by the number of batches in the group, the gradient is that
of the mean loss. An *epoch* is one pass over all training batches, a *step* one update of the weights. What is
left over at the end of an epoch makes a smaller group, divided by its own size.

WATCHING IT
Every few steps the loop computes the loss on training batches, and on validation batches, from which the model
never learns. While both fall, it learns. When only the first falls, it *overfits*: it memorizes the training
text. Each evaluation looks at the same batches, or the curve would move because the batches do. After each epoch
comes a sample of text, which says more to you than a loss.

A SMALL EXAMPLE
5 batches a … e of 2 × 4 tokens, accumulate = 2, two epochs: 3 steps an epoch, 6 in all. Evaluation every 2
steps; learning rate 0.1 … 1.0 with 2 steps of warm-up; `sample` returns "hello" or the like.

    epoch           |------- 1 -------|  |------- 2 -------|
    batches         [b e]  [a c]   [d]   [c d]  [b a]   [e]    shuffled anew
    step              1      2      3      4      5      6
    tokens seen      16     32     40     56     72     80
    learning rate  0.50   1.00   1.00   0.87   0.55   0.23
    evaluation               x             x             x
    sample                          x                    x

STOPPING AND RESUMING
Training takes hours, and computers stop. Here the order of the batches depends only on a seed and the number of
the epoch. So you can get it back: seed the loader, begin the epoch again, skip the batches that were used,
and go on. The curve is the same to the last bit, if model, optimizer and torch's random state are as they were.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", section 5.2, with the warm-up, cosine and clipping of
appendix D. The book's loop takes one batch a step, evaluates on other training batches each time, and cannot go
on after a stop. Longer trainings need all three, so they are here.

TWO QUESTIONS (the answers are at the end of this file)
1. You forget to divide by the number of batches in a group. Why does AdamW hide that, and what does not?
2. The training of the example stops after step 4. Which batches are skipped when it goes on?

BEFORE YOU LOOK
`python3 -m grader show ex13` trains a small GPT of yours on part of a short story for 50 epochs, in half a minute.
Predict: after how many epochs do the two losses part, and what does the validation loss do from there on?

Shapes: B sequences in a batch, T tokens in a sequence. A batch is a pair (inputs, targets), both int64 (B, T).
Read on: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
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
    """How to train: the hyperparameters. Given.

    num_epochs    how often to go through all training batches
    max_lr        the largest learning rate, after the warm-up
    min_lr        the one towards which it falls
    warmup_steps  for how many steps it rises first
    max_norm      larger gradients are clipped to this norm
    accumulate    how many batches make one step
    eval_every    evaluate after every so many steps
    eval_batches  on how many batches of each loader; None: all
    seed          decides the order of the batches
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
    """One point of the curve, in plain Python numbers. Given.

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
    tokens_seen  how many tokens the model was trained on; in a new epoch they count again
    evaluations  the curve, oldest first
    samples      the texts, one for each finished epoch

    It holds plain Python numbers and texts, no tensors, so that it can be written to a file.
    """

    step: int = 0
    tokens_seen: int = 0
    evaluations: list[Evaluation] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)


def steps_per_epoch(num_batches: int, accumulate: int) -> int:
    """How many steps one epoch makes. A smaller group at its end makes a step too.

    Arguments
        num_batches  how many batches there are, 0 or more
        accumulate   how many of them make one step, at least 1
    Returns
        int

    Example: 5 batches in groups of 2 are 3 steps, 6 batches are 3 steps as well, and none are 0 steps.
    """
    return -(-num_batches // accumulate)


def seed_loader(loader: Iterable[Batch], seed: int) -> None:
    """Decide the order in which a loader that shuffles will give its batches the next time.

    Arguments
        loader  a DataLoader, a list, or anything else that gives batches
        seed    for the loader's generator

    If the loader has an attribute `generator` that is not None, call its method `manual_seed`. The sampler, which
    draws the order, shares that generator, so you must not replace it. A list has none, and a DataLoader may
    have None: then do nothing.

    Example: after `seed_loader(loader, 7)`, `list(loader)` has the same order each time.

    Fine print
        torch's global random state, from which dropout draws, must stay as it is.

    Source: torch's notes on reproducibility, "DataLoader".
    """
    generator = getattr(loader, "generator", None)
    if generator is not None:
        generator.manual_seed(seed)


def update(
    model: nn.Module,
    batches: list[Batch],
    optimizer: torch.optim.Optimizer,
    learning_rate: float,
    max_norm: float,
    device: torch.device | str,
) -> int:
    """One step of the optimizer, in the six points of the lesson.

    Arguments
        model          a GPT, or another model of its kind
        batches        the group, at least one batch
        optimizer      holds its parameters
        learning_rate  that of this step
        max_norm       to which the gradients are clipped
        device         where the batches belong
    Returns
        int: how many tokens the inputs of the group have

    The gradient should be that of the mean loss of the batches.

    Example: with two batches of 2 × 4 tokens it returns 16, and the gradient is (g₁ + g₂) / 2, clipped.

    Fine print
        The mode in which the model comes, and gradients that somebody left there, should not matter. Each batch
        weighs the same, however many tokens it has. Call `backward` for one batch before the next one comes, so
        that the memory of one batch suffices. All parameters of the model should be clipped together, once. The
        learning rate belongs in *every* group of `optimizer.param_groups`, under "lr".

    Source: Raschka, sections 5.2 and D.3.
    """
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.zero_grad()
    tokens = 0
    for inputs, targets in batches:
        loss = calc_loss_batch(inputs, targets, model, device)
        (loss / len(batches)).backward()
        tokens += inputs.numel()
    clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return tokens


def train_epoch(
    model: nn.Module,
    train_loader: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    history: History,
    epoch: int,
    device: torch.device | str = "cpu",
    after_step: Callable[[float], None] | None = None,
) -> None:
    """Make the steps of one epoch that are left.

    Arguments
        history     how far training is; earlier epochs are finished
        epoch       its number, from 1
        after_step  a function of the learning rate; or None
        the others  as for train_model

    If the epoch is not finished:

        seed_loader(train_loader, config.seed + epoch)
        for each group of config.accumulate batches, the last perhaps smaller:
            skip it if its step was made
            make one update, at lr_at's rate for history.step
            update history.step and history.tokens_seen
            after_step(learning_rate)

    Example: in the lesson, history.step is 4 when the training stops. Epoch 2 then goes on with the batches b, a.

    Fine print
        lr_at counts from 0, so the step with the number s gets the rate for s - 1. Its total_steps are those of all
        config.num_epochs epochs. A finished epoch should take no batch from the loader. Batches that are skipped
        must not go through the model. The loop itself should neither seed torch's global random state nor draw from
        it, as that is for dropout.

    Source: Raschka, sections 5.2, D.1 and D.2.
    """
    per_epoch = steps_per_epoch(len(train_loader), config.accumulate)
    total_steps = config.num_epochs * per_epoch
    done = history.step - (epoch - 1) * per_epoch
    if done >= per_epoch:
        return
    seed_loader(train_loader, config.seed + epoch)
    for batches in islice(_groups(train_loader, config.accumulate), done, None):
        learning_rate = lr_at(history.step, config.max_lr, config.min_lr, config.warmup_steps, total_steps)
        history.tokens_seen += update(model, batches, optimizer, learning_rate, config.max_norm, device)
        history.step += 1
        if after_step is not None:
            after_step(learning_rate)


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
    """Train a model, from the beginning or from where a history ends.

    Arguments
        sample   makes a text with the model, or None
        on_step  called after each step, or None
        history  where to resume; None to start afresh
    Returns
        the history

    In short:

        for each epoch, from 1:
            after each step of train_epoch:
                if history.step is a multiple of config.eval_every:
                    seed_loader(train_loader, config.seed)
                    evaluate the model, and append an Evaluation
                if it was the last of its epoch: append sample(model)
                on_step(history)

    Example: the lesson's 6 steps give evaluations with steps 2, 4, 6 and tokens_seen 32, 56, 80.

    Fine print
        model, optimizer, device: as for `update`. train_loader and val_loader: lists or DataLoaders, with a `len`,
        which can be iterated over again and again; train_loader may be empty. evaluate_model gets both, and
        config.eval_batches. Seeding a DataLoader does not disturb an epoch under way: its order is fixed when the
        first batch is taken.
        A history that is handed in is changed, and is the very object that on_step gets and that is returned.
        An error that on_step raises should pass: it is how a caller stops the training.
        If there is no step to make, nothing is evaluated, sampled or called. The loop itself should leave torch's
        global random state alone.

    Source: Raschka, section 5.2.
    """
    history = History() if history is None else history
    per_epoch = steps_per_epoch(len(train_loader), config.accumulate)

    def after_step(learning_rate: float) -> None:
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            losses = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
            evaluation = Evaluation(history.step, history.tokens_seen, *losses, learning_rate)
            history.evaluations.append(evaluation)
        if history.step % per_epoch == 0 and sample is not None:
            history.samples.append(sample(model))
        if on_step is not None:
            on_step(history)

    for epoch in range(1, config.num_epochs + 1):
        train_epoch(model, train_loader, optimizer, config, history, epoch, device, after_step)
    return history


def _groups(loader: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """The batches of one epoch in groups of `size`, the last one maybe smaller."""
    batches = iter(loader)
    while group := list(islice(batches, size)):
        yield group


# ANSWERS
# 1. AdamW divides the mean of the gradient by its own size, so gradients that are all twice too large give the same
#    steps. Clipping does not hide it, since it compares the norm with a fixed number. Neither does plain gradient
#    descent, which would step twice as far. And a smaller group at the end of an epoch would now weigh less.
# 2. Those of step 4, c and d. Epoch 1 is finished, and its batches are not even taken: the order of epoch 2 depends
#    on config.seed + 2 alone.
