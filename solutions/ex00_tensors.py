"""Tensors: the few tools that everything else is made of.

Welcome. At the end of this path stands a GPT, every line of which you wrote. This first file is small: nine
short pieces, most of them one to five lines. If you have used PyTorch before, it is a warm-up. If not, it is
all of PyTorch that you need for now.

HOW TO WORK
Go from top to bottom. Replace each `raise NotImplementedError` by your code, and run `python3 -m grader` as
often as you like. `python3 -m grader hint` helps, a little more each time you ask. (On Windows: `python`.)

TENSORS
A tensor is a block of numbers. Its *shape* says how they are arranged: (2, 3) is 2 rows of 3. Its axes are
counted from 0, or from the end with −1. Reducing an axis makes it vanish, unless it is kept with size 1:

    x = torch.tensor([[1., 2., 3.], [4., 5., 6.]])   shape (2, 3)
    x.sum(dim=1)                  [6, 15]            shape (2,)    one sum per row
    x.sum(dim=1, keepdim=True)    [[6], [15]]        shape (2, 1)
    x / x.sum(dim=1, keepdim=True)                   shape (2, 3)  each row divided by its own sum

In the last line torch stretches the (2, 1) over all columns, as it does wherever an axis has size 1. This is
called broadcasting.

FROM SCORES TO A LOSS
A model gives every possible answer a score, called a *logit*: any number at all. The softmax turns the scores
of one row into probabilities: positive, with a sum of 1. The loss then asks one thing only: how much
probability did the right answer get?

    softmax(x)ᵢ     = e^xᵢ / Σⱼ e^xⱼ
    log_softmax(x)ᵢ = xᵢ − ln Σⱼ e^xⱼ               the logarithm of the softmax
    cross_entropy   = −log_softmax(x)[right answer]  averaged over the rows

A SMALL EXAMPLE
Two logits, 0 and 1.0986, which is ln 3. Their exponentials are 1 and 3, with a sum of 4.

    softmax         0.25 and 0.75
    cross_entropy   −ln 0.75 = 0.288 if the second answer is right, −ln 0.25 = 1.386 if the first is

WHY THE MAXIMUM IS SUBTRACTED
e^89 is more than a float32 can hold. So e^xᵢ overflows to ∞, and ∞/∞ is NaN: not a number. But the softmax
does not change when the same number is taken off all x of a row, because it cancels. Take off the largest.
Then the largest exponent is 0, and nothing overflows. log_softmax gains in the same way. Write it as a
difference, as above: the logarithm of a finished softmax is −∞ where the probability was rounded to 0.

LEARNING
The numbers that a model may change are its *parameters*. On the way from them to the loss torch takes notes
of every operation: the *graph*. `loss.backward()` goes back along it, computes for each parameter how fast
the loss grows with it, the *gradient*, and adds that to its `.grad`. Nobody empties `.grad` for you.
Gradient descent takes a small step the other way:

    parameter ← parameter − learning_rate · gradient         5 − 0.1 · 2 = 4.8

WHAT IS NOT HERE
No GPU, no data loader, and no better optimizer than this plainest one. Those come later.

NOT ALLOWED HERE
torch's own softmax, log_softmax, softmin, logsumexp, cross_entropy, nll_loss and linear, under any name: they
are what you write. `torch.exp`, `.log()`, `.sum()`, `.amax()`, `@` and indexing are enough. In NeuralNetwork
the layers are torch's: `nn.Linear` is welcome there.

Shapes: N rows, V possible answers.
Read on: Raschka, "Build a Large Language Model (From Scratch)", appendix A. Blanchard, Higham and Higham
2021, "Accurately Computing the Log-Sum-Exp and Softmax Functions". Robbins and Monro 1951, "A Stochastic
Approximation Method".
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def softmax(x: Tensor, dim: int) -> Tensor:
    """Turn scores into probabilities along one axis.

    Arguments
        x    float, of any shape with at least one axis
        dim  the axis along which the probabilities sum to 1; negative counts from the end
    Returns
        the same shape and dtype as x

    Scores of ±2000 give finite probabilities. A score of −∞ gets probability 0, as long as the largest score
    beside it is finite. x is not changed; the gradient reaches it.

    Example: softmax(torch.tensor([0.0, 1.0986]), dim=0) is about [0.25, 0.75].

    Source: Raschka, section A.5. For the maximum: Blanchard et al. 2021.
    """
    exponentials = torch.exp(x - x.amax(dim=dim, keepdim=True))
    return exponentials / exponentials.sum(dim=dim, keepdim=True)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """The natural logarithm of the softmax, without a detour over the softmax.

    Arguments
        x    float, of any shape with at least one axis
        dim  the axis along which the probabilities sum to 1; negative counts from the end
    Returns
        the same shape and dtype as x; no value is above 0

    Scores of ±2000 give finite values: log_softmax(torch.tensor([2000.0, -2000.0]), dim=0) is [0, −4000].
    x is not changed; the gradient reaches it.

    Example: log_softmax(torch.tensor([0.0, 1.0986]), dim=0) is about [−1.386, −0.288].

    Source: Blanchard et al. 2021.
    """
    shifted = x - x.amax(dim=dim, keepdim=True)
    return shifted - shifted.exp().sum(dim=dim, keepdim=True).log()


def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    """How surprised the model is by the right answers, on average.

    Arguments
        logits        float (N, V): one row of scores for each case
        targets       int64 (N,): the right answer of each row, 0 … V−1, or ignore_index
        ignore_index  a row with this target does not count at all, neither in the sum nor in the number of
                      rows. It may be any number, one of 0 … V−1 too.
    Returns
        float (), a tensor with a single number, of the dtype of the logits: the mean of −log_softmax at the
        right answer, over the rows that count. nan if none counts, as with torch.

    Logits of ±2000 give a finite loss. The inputs are not changed; the gradient reaches the logits, and is 0
    in the rows that do not count.

    Example: with logits [[0.0, 1.0986], [0.0, 1.0986]], targets [1, 0] give (0.288 + 1.386) / 2 = 0.837, and
    targets [1, −100] give 0.288.

    Source: Raschka, section A.7.
    """
    counts = targets != ignore_index
    log_probabilities = log_softmax(logits[counts], dim=1)
    rows = torch.arange(len(log_probabilities))
    return -log_probabilities[rows, targets[counts]].mean()  # row 0 with its target, row 1 with its own, …


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer: each output is a weighted sum of all inputs, plus its bias.

    Arguments
        x       float (…, d_in): any number of axes before the last, also none
        weight  float (d_out, d_in): one row of weights for each output, as torch stores it
        bias    float (d_out,), or None for no bias
    Returns
        float (…, d_out), x · weightᵀ + bias, of the dtype of x

    All inputs have the same dtype. They are not changed; gradients reach all three.

    Example: x = [1.0, 2.0] and weight = [[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]] give [11, 17, 23], because
    1·3 + 2·4 = 11 and so on. With bias = [0.5, 0.0, −1.0] it is [11.5, 17, 22].

    Source: Raschka, section A.2 for the matrix product and A.5 for the layer.
    """
    product = x @ weight.T
    return product if bias is None else product + bias


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """The share of rows in which the largest logit stands at the right answer.

    Arguments
        logits   float (N, V), N at least 1; no row has its largest value twice. It may have been computed by
                 a model that is being trained, and then carry a gradient.
        targets  int64 (N,), each 0 … V−1; every row counts
    Returns
        a Python float from 0.0 to 1.0

    Example: logits [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]] answer 1, 0 and 1. With targets [1, 1, 1] two of
    three are right: 0.667.

    Source: Raschka, section A.7.
    """
    return (logits.argmax(dim=1) == targets).float().mean().item()


def sgd_step(parameters: Iterable[Tensor], learning_rate: float) -> None:
    """One step of gradient descent, on every parameter that has a gradient.

    Arguments
        parameters     the tensors to change, for instance `model.parameters()`. That is a generator: it can
                       be gone through only once and has no length.
        learning_rate  how long the step is

    From each parameter that has a gradient, learning_rate times that gradient is subtracted, in place: the
    tensor itself changes, no other takes its place. One whose `.grad` is None stays as it is. The gradients
    stay as they are too: emptying them is the caller's work. The step is no part of the graph: each parameter
    still requires a gradient and is still a leaf, a tensor that was not computed from others. torch refuses
    to change such a tensor in place, except within `with torch.no_grad():`.

    Returns nothing.

    Example: a parameter of 5.0 with a gradient of 2.0 is 4.8 after a step with learning rate 0.1.

    Source: Robbins and Monro 1951; Raschka, section A.7.
    """
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter -= learning_rate * parameter.grad


class NeuralNetwork(nn.Module):
    """A network with two hidden layers, of 30 and 20 units.

    Arguments
        num_inputs   numbers in one row of input
        num_outputs  possible answers

    The one attribute, `layers`, is an `nn.Sequential` of five, in this order:

        an `nn.Linear` from num_inputs to 30, an `nn.ReLU`,
        an `nn.Linear` from 30 to 20, an `nn.ReLU`,
        an `nn.Linear` from 20 to num_outputs

    All three linear layers have a bias. ReLU turns negative numbers into 0. Without something of that kind in
    between, three linear layers could do no more than one.

    Source: Raschka, section A.5.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        """Make the five layers. How torch fills them at first is fine."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_inputs, 30),
            nn.ReLU(),
            nn.Linear(30, 20),
            nn.ReLU(),
            nn.Linear(20, num_outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """From inputs to logits.

        Arguments
            x  float (N, num_inputs)
        Returns
            float (N, num_outputs): what the last linear layer gives. No softmax: cross_entropy contains one.

        Example: `NeuralNetwork(2, 3)(torch.zeros(5, 2))` has shape (5, 3). torch calls `forward` for you.
        """
        return self.layers(x)


def train_step(model: nn.Module, x: Tensor, targets: Tensor, learning_rate: float) -> float:
    """Let a model learn from one batch.

    Arguments
        model          any module that turns x into logits (N, V), not only a NeuralNetwork
        x              the batch, N rows
        targets        int64 (N,), as your cross_entropy takes them
        learning_rate  as your sgd_step takes it
    Returns
        the loss of this batch before the step, as a Python float

    Puts the model into training mode first, and leaves it there. Then it calls the model, once; takes your
    cross_entropy as the loss; empties what earlier batches left in the gradients; lets `backward` compute the
    new ones; and takes one sgd_step on all parameters of the model. Afterwards each `.grad` still holds the
    gradient of this batch, and of this batch alone.

    Example: for batches of (x, targets), `losses = [train_step(model, x, targets, 0.1) for x, targets in
    batches]` is a whole training run.

    Source: Raschka, section A.7.
    """
    model.train()
    loss = cross_entropy(model(x), targets)
    model.zero_grad()
    loss.backward()
    sgd_step(model.parameters(), learning_rate)
    return loss.item()
