# wrong: gradients-never-emptied
# Nothing empties the gradients of the last batch.

from functools import reduce
from operator import add

import torch
import torch.nn as nn


MINUS_LOTS = -1e9
HIDDEN = (30, 20)


def in_double(function):
    """Compute in float64 and give back the dtype that came."""

    def wrapped(x, dim):
        return function(x.to(torch.float64), dim).to(x.dtype)

    return wrapped


def largest(x, dim):
    return x.sort(dim=dim, descending=True).values.narrow(dim, 0, 1).detach()

@in_double
def softmax(x, dim):
    return _log_softmax(x, dim).exp()

def _log_softmax(x, dim):
    top = largest(x, dim)
    return x.sub(top).sub((x - top).exp().sum(dim, True).log())


log_softmax = in_double(_log_softmax)

def cross_entropy(logits, targets, ignore_index=-100):
    chosen = [(row, int(t)) for row, t in zip(logits.unbind(0), targets) if int(t) != ignore_index]
    if not chosen:
        return torch.full((), float("nan"), dtype=logits.dtype)
    return reduce(add, (-log_softmax(row, 0)[t] for row, t in chosen)).div(len(chosen))

linear = lambda x, weight, bias=None: (x.unsqueeze(-2) * weight).sum(-1) + (0 if bias is None else bias)

def accuracy(logits, targets):
    hits = [row.index(max(row)) == t for row, t in zip(logits.tolist(), targets.tolist())]
    return sum(hits) / len(hits)

def sgd_step(parameters, learning_rate):
    pairs = [(p.data, p.grad) for p in parameters if p.grad is not None]
    for data, grad in pairs:
        data[...] = data - grad.mul(learning_rate)

class NeuralNetwork(nn.Module):
    def __init__(self, num_inputs, num_outputs):
        super().__init__()
        self.num_inputs, self.num_outputs = num_inputs, num_outputs
        self.layers = nn.Sequential(*self._build())

    def _build(self):
        before = self.num_inputs
        for size in HIDDEN:
            yield nn.Linear(before, size, bias=True)
            yield nn.ReLU(inplace=True)
            before = size
        yield nn.Linear(before, self.num_outputs)

    def forward(self, x):
        return self.layers.forward(x)

def train_step(model, x, targets, learning_rate):
    loss = cross_entropy(model.train()(x), targets)
    loss.backward()
    sgd_step(model.parameters(), learning_rate)
    return loss.detach().numpy().item()
