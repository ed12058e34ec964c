"""Tensors: the few tools that everything else is made of.

Welcome. At the end of this course you will have a GPT, every line of which you wrote yourself. This first file is
small: nine short pieces, most of them one to five lines. If you know PyTorch, it is a warm-up. If you do not, it
is all of PyTorch that you need for now.

You need: functions, loops and classes in Python, and what a logarithm is. You need to know nothing about PyTorch
or neural networks.

HOW TO WORK
Go from top to bottom. Replace each `raise NotImplementedError` with your code, and run `python3 -m grader` as
often as you like. `python3 -m grader hint` helps, a little more each time. (On Windows: `python`.) Read a
docstring as far as its example, and write that much first. What is under "Fine print" can wait.

WHY
A model is a long calculation on numbers that can be changed. It learns when they are changed so that its answers
get better. A GPT does that with the same tools as the small network of this file.

HOW
    inputs ──► model ──► logits ──► softmax ──► probabilities ──► loss
                 ▲                                                 │
                 └─── a small step ◄── gradients ◄── backward ◄────┘

TENSORS
A tensor is a block of numbers. Its *shape* says how they are arranged: (2, 3) is 2 rows of 3. Its axes are
counted from 0, or from the end with −1. A sum along an axis makes it vanish, unless you keep it with size 1:

    x = torch.tensor([[1., 2., 3.], [4., 5., 6.]])    shape (2, 3)
    x.sum(dim=1)                  [6, 15]             shape (2,)
    x.sum(dim=1, keepdim=True)    [[6], [15]]         shape (2, 1)

Two lists of indices pick single entries, here one of each row, at the columns 2 and 0:

    x[torch.arange(2), torch.tensor([2, 0])]    [3, 4]    shape (2,)

BROADCASTING
Where one tensor has size 1 and the other has more, torch copies the numbers along that axis:

    (2, 1)                   (1, 3)                    (2, 3)
     10      10  10  10      1  2  3      1  2  3      11  12  13
     20  ─►  20  20  20   +           ─►  1  2  3   =  21  22  23
             copied across                copied down

Shapes are compared from the right, so a (2,) counts as a (1, 2). That is why a missing keepdim can go wrong
without an error. Each row should be divided by its own sum, 4 or 8:

    keepdim=True: (2, 1)      without: (2,), read as (1, 2)
    1  3      4  4            1  3      4  8
    6  2  /   8  8            6  2  /   4  8      6/4 is more than a whole

FROM SCORES TO A LOSS
A model gives every possible answer a score, called a *logit*, which can be any number. The softmax turns the
scores of one row into probabilities: positive, with a sum of 1. The *loss* asks one thing only: how much
probability did the right answer get?

    softmax(x)ᵢ     = e^xᵢ / Σⱼ e^xⱼ
    log_softmax(x)ᵢ = xᵢ − ln Σⱼ e^xⱼ               the logarithm of the softmax
    cross_entropy   = −log_softmax(x)[right answer]  averaged over the rows

WHY THE MAXIMUM IS SUBTRACTED
e^89 is more than a float32 can hold. Above that e^xᵢ overflows to ∞, and ∞/∞ is NaN: not a number. But the softmax
does not change when you subtract the same number from all x of a row, because it cancels. Subtract the largest:
then no exponent is above 0. The same goes for log_softmax. Write it as the difference above: the logarithm of a
finished softmax is −∞ wherever a probability was rounded to 0.

A SMALL EXAMPLE
Two logits, 0 and 1.0986, which is ln 3. Their exponentials are 1 and 3, with a sum of 4.

    softmax         0.25 and 0.75
    cross_entropy   −ln 0.25 = 1.386 if the first answer is right
                    −ln 0.75 = 0.288 if the second is

LEARNING
The numbers that a model may change are its *parameters*. On the way from them to the loss, torch records every
operation in the *graph*. `loss.backward()` goes back through it and computes the *gradient* of each parameter:
how fast the loss grows when the parameter does. This is *backpropagation*. The gradient is added to what is in
the parameter's `.grad` already. *Gradient descent* takes a small step the other way:

    parameter ← parameter − learning_rate · gradient         5 − 0.1 · 2 = 4.8

A step usually sees only a few rows of the data, a *mini-batch*. If they are drawn at random, this is stochastic
gradient descent, SGD. The learning rate is a *hyperparameter*: you choose it, the model does not learn it.

    model(x)             runs the model: it calls `forward`
    model.parameters()   all its parameters, one after the other
    model.zero_grad()    empties every `.grad`
    model.train()        training mode; some layers differ in evaluation mode
    loss.item()          the number in a tensor, as a Python float

WHAT HOLDS EVERYWHERE
Four rules hold for every function of the course, unless its docstring says otherwise. They are not repeated there.

    A call must not change its inputs.          x = x - 1 makes a new tensor;
                                                x -= 1 changes the caller's
    Gradients must reach every float input.     x.detach() would cut one off
    A result must have its inputs' dtype.       float64 in, float64 out
    A result may share memory with an input.    x[1:] needs no copy

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", sections A.2 to A.5 and A.7. There softmax, loss and step
are torch's. Here you write them, so that nothing in your GPT is a black box.

NOT ALLOWED HERE
torch's own softmax, log_softmax, softmin, logsumexp, cross_entropy, nll_loss and linear, under any name: they
are what you write. The same holds for what computes them on the way, such as torch's attention. `torch.exp`,
`.log()`, `.sum()`, `.amax()`, `.argmax()`, `@`, comparisons and indexing are enough. In NeuralNetwork `nn.Linear`
is welcome.

TWO QUESTIONS (the answers are at the end of this file)
1. A model gives all V answers the same logit. What is its loss?
2. You forget to empty the gradients. Which step is the first to go wrong, and how?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex00` trains your network to tell two spirals of points apart,
and maps what it answers everywhere in the plane. Predict first: what does the map look like after 0 steps? And
are 500 steps enough to follow the spirals?

Shapes: N rows, V possible answers.
Read on: Blanchard, Higham and Higham 2021, "Accurately Computing the Log-Sum-Exp and Softmax Functions". Robbins
and Monro 1951, "A Stochastic Approximation Method".
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def softmax(x: Tensor, dim: int) -> Tensor:
    """Turn scores into probabilities along one axis.

    Arguments
        x    float, of any shape with at least one axis
        dim  the axis along which the probabilities should sum to 1
    Returns
        float, the shape of x

    Scores of ±2000 should give finite probabilities.

    Example: softmax(torch.tensor([0.0, 1.0986]), dim=0) is about [0.25, 0.75].

    Fine print
        A score of −∞ gets probability 0, beside at least one finite score.

    Source: Raschka, section A.5. For the maximum: Blanchard et al. 2021.
    """
    raise NotImplementedError


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """The natural logarithm of the softmax, without computing the softmax first.

    Arguments and shapes as for softmax. Scores of ±2000 should give finite values.

    Example: log_softmax(torch.tensor([0.0, 1.0986]), dim=0) is about [-1.386, -0.288], and
    log_softmax(torch.tensor([2000.0, -2000.0]), dim=0) is [0, -4000].

    Source: Blanchard et al. 2021.
    """
    raise NotImplementedError


def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    """How surprised the model is by the right answers, on average.

    Arguments
        logits        float (N, V): one row of scores for each case
        targets       int64 (N,): the right answer of each row, 0 … V−1, or ignore_index
        ignore_index  rows with this target should count neither in the sum nor in the number of rows
    Returns
        float (): the mean of −log_softmax at the right answer, over the rows that count

    Logits of ±2000 should give a finite loss.

    Example: logits of 0.0 and 1.0986 in both rows and targets [1, 0] give (0.288 + 1.386) / 2 = 0.837; targets
    [1, -100] give 0.288.

    Fine print
        ignore_index may be any number, including one of 0 … V−1. If no row counts, the loss is nan.

    Source: Raschka, section A.7.
    """
    raise NotImplementedError


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Each output is a weighted sum of all inputs, plus its bias.

    Arguments
        x       float (…, d_in): any number of axes before the last, or none
        weight  float (d_out, d_in): a row of weights for each output
        bias    float (d_out,), or None for no bias
    Returns
        float (…, d_out): x · weightᵀ + bias

    Example: x = [1.0, 2.0] and weight = [[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]] give [11, 17, 23]: first comes
    1·3 + 2·4. A bias of [0.5, 0.0, -1.0] makes it [11.5, 17, 22].

    Source: Raschka, section A.5.
    """
    raise NotImplementedError


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """The share of rows in which the right answer has the largest logit.

    Arguments
        logits   float (N, V), N at least 1
        targets  int64 (N,), each 0 … V−1
    Returns
        a Python float from 0.0 to 1.0

    Example: logits [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]] answer 1, 0 and 1. With targets [1, 1, 1] two of
    three are right: 0.667.

    Fine print
        The logits may carry a gradient, as in training. No row has its largest value twice.

    Source: Raschka, section A.7.
    """
    raise NotImplementedError


def sgd_step(parameters: Iterable[Tensor], learning_rate: float) -> None:
    """Subtract learning_rate · gradient from each parameter.

    Arguments
        parameters     the tensors to change, for example `model.parameters()`, a generator: it has no length,
                       and you can go through it only once
        learning_rate  how long the step is

    It should change each tensor in place, which torch allows only within `with torch.no_grad():`, and return
    nothing.

    Example: a parameter of 5.0 with a gradient of 2.0 is 4.8 after a step with learning rate 0.1.

    Fine print
        A parameter whose `.grad` is None should stay as it is. So should every `.grad` and `requires_grad`.

    Source: Robbins and Monro 1951; Raschka, section A.7.
    """
    raise NotImplementedError


class NeuralNetwork(nn.Module):
    """A network with two hidden layers, of 30 and 20 units.

    Arguments
        num_inputs   numbers in one row of input
        num_outputs  possible answers

    Its attribute `layers` should be an `nn.Sequential` of five, in this order:

        an `nn.Linear` from num_inputs to 30, an `nn.ReLU`,
        an `nn.Linear` from 30 to 20, an `nn.ReLU`,
        an `nn.Linear` from 20 to num_outputs

    ReLU turns negative numbers into 0. Without it, three linear layers could do no more than one.

    Source: Raschka, section A.5.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        """Make the five layers; torch chooses their first values."""
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """From inputs to logits. torch calls it when you call the model.

        Arguments
            x  float (N, num_inputs)
        Returns
            float (N, num_outputs): what the last layer gives. No softmax: cross_entropy contains one.

        Example: `NeuralNetwork(2, 3)(torch.zeros(5, 2))` has shape (5, 3).
        """
        raise NotImplementedError


def train_step(model: nn.Module, x: Tensor, targets: Tensor, learning_rate: float) -> float:
    """Let a model learn from one mini-batch.

    Arguments
        model          any module that turns x into logits (N, V), not only a NeuralNetwork
        x              the mini-batch, N rows of whatever the model takes
        targets        int64 (N,), as in cross_entropy
        learning_rate  as in sgd_step
    Returns
        the loss before the step, as a Python float

    It should put the model into training mode, call it once, take your cross_entropy, empty the old gradients,
    call `backward`, and take one sgd_step on all parameters.

    Example: `losses = [train_step(model, x, targets, 0.1) for x, targets in batches]` is a whole training run.

    Fine print
        Afterwards the model is still in training mode, and each `.grad` holds the gradient of this batch alone.

    Source: Raschka, section A.7.
    """
    raise NotImplementedError


# ANSWERS
# 1. Each answer gets the probability 1/V, so the loss is −ln(1/V) = ln V: 0.693 for 2 answers, and 10.8 for the
#    50,257 tokens of GPT-2. That is where an untrained model begins.
# 2. The second. `backward` adds to `.grad`, so that step follows the gradient of the first batch plus that of the
#    second, and every later one the sum of all so far.
