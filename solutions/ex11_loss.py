"""Loss: one number for how well a model predicts.

WHY
A language model gives every possible next token a probability. To train it, and to know whether training
helps, you need one number that falls when the model gets better. That number is the *loss*: how surprised the
model was, on average, by the tokens that really came.

HOW
For each position of a text the model gives a row of V logits, and the data says which token came next: the
target. The loss of one position is −ln of the probability that the model gave to its target. That is your
cross_entropy of ex00. A model gives many rows at once, so all of them are put under each other first:

    logits  (B, T, V)  →  (B·T, V)
    targets (B, T)     →  (B·T,)
    loss = mean of −ln p(target) over all B·T positions

The targets are shifted by one already: your data set of ex04 did that. Here nothing is shifted any more.

A SMALL EXAMPLE
Three positions, whose targets got the probabilities 1/2, 1/4 and 1/8.

    −ln 1/2 = 0.693,  −ln 1/4 = 1.386,  −ln 1/8 = 2.079;   their mean, the loss: 1.386
    e^1.386 = 4

PERPLEXITY
e^loss is called the perplexity, and it can be imagined: the model is as unsure as somebody who chooses blindly
among that many tokens. Above, 4. A model that knows nothing gives each of V tokens 1/V. Its loss is ln V and
its perplexity is V. GPT-2 has 50,257 tokens, so training begins near ln 50257 = 10.8. If yours begins much
higher, something is wrong with the model, not with the data.

NOT EVERY TARGET COUNTS
A target of −100 says: nothing to predict here. Later this marks padding. Such a position is left out, of the
sum and of the number that the sum is divided by.

A MEAN OVER TOKENS
The loss of a whole data set comes batch by batch, and the batches differ: the last is often short, and some
contain −100. The mean of the batches' means would count the few tokens of a short batch too much.

    batch    tokens that count    mean loss
    1        6                    2.0
    2        2                    4.0

    over tokens   (6 · 2.0 + 2 · 4.0) / 8 = 2.5        right
    over batches  (2.0 + 4.0) / 2         = 3.0        not what an average token costs

EVALUATING
Now and then you stop training and look: what is the loss on the training data, and what on the validation
data, which the model never learns from? If the first falls and the second rises, it learns by heart. Two
things are different from training. Dropout has to be off, so the model goes into evaluation mode, and back
into its former mode afterwards. And no graph is needed, as nobody calls `backward`: without it evaluation
takes less memory and less time.

WHAT IS NOT HERE
Nothing is learned yet: ex12 brings the optimizer, ex13 the loop.

Shapes: B sequences in a batch, T tokens in each, V possible tokens.
Read on: Raschka, "Build a Large Language Model (From Scratch)", chapter 5. Jelinek, Mercer, Bahl and Baker
1977, "Perplexity: a measure of the difficulty of speech recognition tasks".
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
        target_batch  int64 (B, T): the id that comes next at each position, 0 … V−1, or −100 where nothing is
                      to be predicted
        model         turns ids (B, T) into logits (B, T, V). Any such module, not only your GPTModel.
        device        where the model is: "cpu", "cuda" or a torch.device. Both batches are moved there with
                      `.to(device)`, as they may come from elsewhere. The model is there already.
    Returns
        float (), a tensor with a single number, of the dtype of the logits: the mean of −ln p(target) over all
        positions of the batch that count, whichever sequence they are in. nan if none counts, as with
        cross_entropy.

    The model is called once, in whichever mode it is; its mode is not changed. The graph is kept: `backward` on
    the result reaches the model's parameters. Logits of ±2000 give a finite loss. Your cross_entropy of ex00
    has all of this; torch's own, `torch.nn.functional.cross_entropy`, may be used as well. The batches are not
    changed.

    Example: B = 1, T = 3 and the probabilities of the lesson give 1.386. If the last target is −100 instead, it
    is (0.693 + 1.386) / 2 = 1.040.

    Source: Raschka, chapter 5.
    """
    logits = model(input_batch.to(device))
    return cross_entropy(logits.flatten(0, 1), target_batch.to(device).flatten())


def calc_loss_loader(
    data_loader: Iterable[Batch], model: nn.Module, device: torch.device | str, num_batches: int | None = None
) -> float:
    """The mean loss of a token, over many batches.

    Arguments
        data_loader  gives pairs (input_batch, target_batch). A torch DataLoader, a list, or any other iterable:
                     a generator too, which has no length and can be gone through only once. The batches may
                     differ in B and in T.
        model        as in calc_loss_batch
        device       as in calc_loss_batch
        num_batches  how many batches to look at, from the first on. None: all. If there are fewer, all.
    Returns
        a Python float: the mean of −ln p(target) over all *tokens* that count, that is, whose target is not
        −100, of these batches together. A batch in which none counts changes nothing. nan if no token counts
        at all: no batch in the loader, num_batches 0, or every target −100.

    The model runs without a graph, as within `torch.no_grad()`. The gradients that its parameters have stay as
    they are. Its mode is not changed: it runs in the one in which it is. evaluate_model, below, sets the mode.

    Example: batches as in the lesson, 6 tokens with a mean loss of 2.0 and 2 tokens with one of 4.0, give 2.5,
    and with num_batches=1 they give 2.0.

    Source: Raschka, chapter 5, where the mean is taken over batches.
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
    """Among how many tokens the model, as it were, chooses blindly.

    Arguments
        loss  a mean of −ln p, as calc_loss_loader returns it; a Python float
    Returns
        e^loss, a Python float. A Python float reaches up to about 1.8e308, which is e^709.78. Only for a larger
        loss the result is inf. (`math.exp` raises an OverflowError there; a float32 ends at e^88.) nan for nan,
        inf for inf.

    Example: perplexity(1.386) is about 4, perplexity(0.0) is 1, perplexity(1000.0) is inf.

    Source: Jelinek et al. 1977; Raschka, chapter 5.
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
        model         as in calc_loss_batch
        train_loader  batches of the training data
        val_loader    batches of the validation data
        device        as in calc_loss_batch
        eval_batches  how many batches of each loader to look at, from the first on. None: all.
    Returns
        a tuple of two Python floats, the loss on the training data and the loss on the validation data, both as
        calc_loss_loader gives them. One of them is nan if its loader is empty.

    The model runs in evaluation mode, so nothing is dropped. Afterwards it is in the mode in which it was
    before, training or evaluation, with all of its submodules. This holds also if something raises an error on
    the way; that error then comes out. (Here a model is in one mode as a whole. One whose submodules are in
    different modes does not come up.) As in calc_loss_loader there is no graph, and gradients stay as they are.

    Example: `train_loss, val_loss = evaluate_model(model, train_loader, val_loader, "cpu", eval_batches=5)`.

    Source: Raschka, chapter 5.
    """
    was_training = model.training
    model.eval()
    try:
        train_loss = calc_loss_loader(train_loader, model, device, eval_batches)
        return train_loss, calc_loss_loader(val_loader, model, device, eval_batches)
    finally:
        model.train(was_training)
