# wrong: divided-by-all-rows
# The ignored rows are 0 in the sum, but the sum is divided by all rows.

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


def _center(x: Tensor, dim: int) -> Tensor:
    return x - x.amax(dim, keepdim=True)


def _normalizer(x: Tensor, dim: int) -> Tensor:
    return x.exp().sum(dim, keepdim=True)


def _nll(logp: Tensor, index: Tensor) -> Tensor:
    return -torch.take_along_dim(logp, index[:, None], dim=1)[:, 0]


def _update_(p: Tensor, lr: float) -> None:
    p.data -= lr * p.grad

def softmax(x: Tensor, dim: int) -> Tensor:
    powers = _center(x, dim).exp()
    return powers.mul(1 / powers.sum(dim, keepdim=True))

def log_softmax(x: Tensor, dim: int) -> Tensor:
    centered = _center(x, dim)
    return centered - _normalizer(centered, dim).log()

def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    ignored = targets.eq(ignore_index)
    nll = _nll(log_softmax(logits, 1), targets.masked_fill(ignored, 0))
    return torch.where(ignored, torch.zeros_like(nll), nll).mean()

def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    flat = x.reshape(-1, x.shape[-1])
    out = flat.mm(weight.T).reshape(*x.shape[:-1], weight.shape[0])
    return out if bias is None else out.add(bias)

def accuracy(logits: Tensor, targets: Tensor) -> float:
    hits = F.one_hot(logits.detach().argmax(1), logits.shape[1])[torch.arange(len(targets)), targets]
    return float(hits.sum()) / len(hits)

def sgd_step(parameters, learning_rate: float) -> None:
    for p in filter(lambda p: p.grad is not None, parameters):
        _update_(p, learning_rate)

class NeuralNetwork(nn.Module):
    def __init__(self, num_inputs: int, num_outputs: int):
        super().__init__()
        first = nn.Linear(num_inputs, 30)
        second = nn.Linear(30, 20)
        last = nn.Linear(20, num_outputs)
        self.layers = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.layers[0](x))
        hidden = F.relu(self.layers[2](hidden))
        return self.layers[4](hidden)

def train_step(model, x, targets, learning_rate: float) -> float:
    model.train()
    params = list(model.parameters())
    for p in params:
        p.grad = None
    cost = cross_entropy(model(x), targets)
    cost.backward()
    sgd_step(params, learning_rate)
    return cost.item()
