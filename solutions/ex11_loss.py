"""Loss: one number for how well a model predicts.

You need: `cross_entropy` (exercise 0), batches of inputs and targets (4), and what a model returns (9).

WHY
To train a model, and to know whether training helps, you need one number that falls when the model gets better.
That number is the *loss*: how surprised the model was, on average, by the tokens that really came.

HOW
For each position of a text the model gives a row of V logits, and the data says which token came next: the
target. The loss of one position is −ln p, where p is the probability that the model gave to its target.

    p        1      0.5    0.25   0.1    0.01   0.001   0.0001
    −ln p    0      0.69   1.39   2.30   4.61   6.91    9.21
                    #      #      ##     #####  ####### #########

A model that is sure and right pays nothing, and one that is sure and wrong pays a lot. Your cross_entropy takes
many rows at once, so all positions of a batch become rows:

    logits  (B, T, V)  →  (B·T, V)
    targets (B, T)     →  (B·T,)
    loss = mean of −ln p over all B·T positions

The targets are shifted already: your data set of exercise 4 did that. A target of −100 means that nothing is to
be predicted there, for instance at padding. Such a position does not count, neither in the sum nor in the
number that the sum is divided by.

A SMALL EXAMPLE
Three positions, whose targets got the probabilities 1/2, 1/4 and 1/8.

    −ln 1/2 = 0.693,  −ln 1/4 = 1.386,  −ln 1/8 = 2.079;   their mean, the loss: 1.386
    e^1.386 = 4

PERPLEXITY
e^loss is called the perplexity: the model is as unsure as somebody who chooses blindly among that many tokens,
among 4 in the example. A model that knows nothing gives each of V tokens 1/V. Its loss is ln V and its perplexity
is V. GPT-2 has 50,257 tokens, so training begins near ln 50257 = 10.8. If yours begins much higher, look for a
fault in the model, not in the data.

A MEAN OVER TOKENS
A whole data set comes in batches, and they differ: the last is often short, and some contain −100. A mean of the
batches' means would count the few tokens of a short batch too much.

    batch    tokens that count    mean loss
    1        6                    2.0
    2        2                    4.0

    over tokens   (6 · 2.0 + 2 · 4.0) / 8 = 2.5        right
    over batches  (2.0 + 4.0) / 2         = 3.0        not what an average token costs

OVERFITTING
Now and then you stop training and measure two losses: on the training data, and on the validation data, which
the model never learns from. On a small text they part:

    loss |*
         | *o
         |  * o
         |   *   o                     o  o   validation: what it does with a new text
         |     *    o  o     o  o  o
         |        *       o
         |            *   *                   training: what it does with a text it has read
         |                    *   *   *   *
         +------------------------------------
          epochs       ^ from about here on it overfits

From there on the model *memorizes* its training data instead of learning the language: it *overfits*. Without
the second loss you would not notice.

For these two numbers the model is used and not trained, which is called *inference*. Then dropout should be off,
so the model goes into evaluation mode, and afterwards back into its former one. And nobody calls `backward`:
without a graph, it takes less memory and time.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", sections 5.1.2 and 5.1.3, and 5.2 for `evaluate_model`.
There the loss of a loader is the mean of the batches' means, and `evaluate_model` always ends in training mode.
Here it is the mean over tokens, which does not depend on how the data was cut, and the former mode comes back.

TWO QUESTIONS (the answers are at the end of this file)
1. Model A gives the right token 0.9 at nine of ten positions and 0.0001 at the tenth. Model B gives it 0.4
   everywhere. Whose loss is lower?
2. After one epoch the losses on training and validation data are 4.0 and 4.2, after ten epochs 0.5 and 5.0.
   Which model would you keep, and what has the other one learned?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex11` measures GPTs that have learned nothing. Predict first: what
is the loss of such a model among 1,000 tokens? And if all its logits are multiplied by 20, so that it makes the
same guesses with more confidence, does its loss fall, stay or rise?

Shapes: B sequences in a batch, T tokens in each, V possible tokens.
Read on: Jelinek, Mercer, Bahl and Baker 1977, "Perplexity: a measure of the difficulty of speech recognition
tasks".
"""

import math
from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn

from .ex00_tensors import cross_entropy

# What a loader gives, one after the other: input ids and target ids, both int64 (B, T).
Batch = tuple[Tensor, Tensor]


def calc_loss_batch(
    input_batch: Tensor, target_batch: Tensor, model: nn.Module, device: torch.device | str
) -> Tensor:
    """The loss of one batch, ready for `backward`.

    Arguments
        input_batch   int64 (B, T): the ids that the model sees
        target_batch  int64 (B, T): the id that comes next at each position, or −100
        model         a module that turns ids (B, T) into logits (B, T, V)
        device        where the model is, for instance "cpu"; both batches should be moved there
    Returns
        float (), of the logits' dtype: the mean of −ln p over all positions whose target is not −100

    Example: the probabilities of the lesson give 1.386. If the last target is −100 instead, it is
    (0.693 + 1.386) / 2 = 1.040.

    Fine print
        nan if every target is −100. Logits of ±2000 give a finite loss. The mode of the model should stay as it is.
        torch's own cross_entropy is welcome, too.

    Source: Raschka, section 5.1.2.
    """
    logits = model(input_batch.to(device))
    return cross_entropy(logits.flatten(0, 1), target_batch.to(device).flatten())


def calc_loss_loader(
    data_loader: Iterable[Batch], model: nn.Module, device: torch.device | str, num_batches: int | None = None
) -> float:
    """The mean loss per token, over many batches.

    Arguments
        data_loader    any iterable of pairs (input_batch, target_batch), which may differ in B and T
        model, device  as in calc_loss_batch
        num_batches    how many batches to look at, from the first on; None: all
    Returns
        a Python float: the mean of −ln p over all *tokens* of these batches that count

    No graph should be recorded, as within `torch.no_grad()`.

    Example: the two batches of the lesson give 2.5. With num_batches=1 they give 2.0.

    Fine print
        A generator has no length and can be iterated over only once. If there are fewer batches than num_batches,
        take all. A batch in which no token counts changes nothing; nan if none counts in any, or there is no
        batch. The mode of the model should stay as it is.

    Source: Raschka, section 5.1.3.
    """
    total, counted = 0.0, 0
    with torch.no_grad():
        for input_batch, target_batch in islice(data_loader, num_batches):
            tokens = int((target_batch != -100).sum())
            if tokens:
                total += calc_loss_batch(input_batch, target_batch, model, device).item() * tokens
                counted += tokens
    return total / counted if counted else math.nan


def perplexity(loss: float) -> float:
    """e^loss: the model is as unsure as somebody who chooses blindly among that many tokens.

    Arguments
        loss  a Python float: a mean of −ln p
    Returns
        e^loss, a Python float

    Example: perplexity(1.386) is about 4, and perplexity(0.0) is 1.

    Fine print
        nan for nan. inf where e^loss is too large for a Python float, from a loss of about 709.8 on: there
        `math.exp` raises an OverflowError.

    Source: Jelinek et al. 1977; Raschka, section 5.1.2.
    """
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(
    model: nn.Module,
    train_loader: Iterable[Batch],
    val_loader: Iterable[Batch],
    device: torch.device | str,
    eval_batches: int | None = None,
) -> tuple[float, float]:
    """How good is the model, on what it learns from and on what it has never seen?

    Arguments
        model, device  as in calc_loss_batch
        train_loader   batches of the training data
        val_loader     batches of the validation data
        eval_batches   how many of each to look at, from the first on; None: all
    Returns
        the tuple (train_loss, val_loss), both as calc_loss_loader gives them

    Both should be measured in evaluation mode. Afterwards each submodule of the model should have its former mode.

    Example: train_loss, val_loss = evaluate_model(model, train_loader, val_loader, "cpu", eval_batches=5)

    Fine print
        An error on the way should be passed on, with the model back in its former mode.

    Source: Raschka, section 5.2.
    """
    was_training = model.training
    model.eval()
    try:
        train_loss = calc_loss_loader(train_loader, model, device, eval_batches)
        return train_loss, calc_loss_loader(val_loader, model, device, eval_batches)
    finally:
        model.train(was_training)


# ANSWERS
# 1. That of B. A pays (9 · 0.105 + 9.21) / 10 = 1.016, of which 0.921 comes from its one confident mistake. B pays
#    −ln 0.4 = 0.916.
# 2. The first: of the two it is the better one on a text that it has not seen. The other has memorized its
#    training data.
