# wrong: accuracy-in-percent
# Counted in a loop, and turned into percent.

import math

import torch
from torch import nn


def _along_last(x, dim, function):
    """Bring the axis to the end, do each row by itself, and put the axis back."""
    moved = x.movedim(dim, -1)
    rows = moved.reshape(-1, moved.shape[-1])
    done = [function(row) for row in rows]
    return torch.stack(done).reshape(moved.shape).movedim(-1, dim)


def _softmax_of_row(row):
    shifted = row - row.max()
    powers = shifted.exp()
    return powers / powers.sum()


def _log_softmax_of_row(row):
    shifted = row - row.max()
    return shifted - shifted.exp().sum().log()

def softmax(x, dim):
    return _along_last(x, dim, _softmax_of_row)

def log_softmax(x, dim):
    return _along_last(x, dim, _log_softmax_of_row)

def cross_entropy(logits, targets, ignore_index=-100):
    losses = []
    for row, target in zip(logits, targets.tolist()):
        if target == ignore_index:
            continue
        losses.append(-_log_softmax_of_row(row)[target])
    if len(losses) == 0:
        return logits.sum() * math.nan
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total / len(losses)

def linear(x, weight, bias=None):
    outputs = []
    for i in range(weight.shape[0]):
        value = (x * weight[i]).sum(-1)
        if bias is not None:
            value = value + bias[i]
        outputs.append(value)
    return torch.stack(outputs, dim=-1)

def accuracy(logits, targets):
    right, total = 0, 0
    for row, target in zip(logits, targets):
        right += int(row.argmax()) == int(target)
        total += 1
    return 100.0 * right / total

def sgd_step(parameters, learning_rate):
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None:
            with torch.no_grad():
                parameter.copy_(parameter - learning_rate * gradient)

class NeuralNetwork(nn.Module):
    def __init__(self, num_inputs, num_outputs):
        super().__init__()
        sizes = [num_inputs, 30, 20, num_outputs]
        layers = []
        for i in range(3):
            layers.append(nn.Linear(sizes[i], sizes[i + 1]))
            if i < 2:
                layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

def train_step(model, x, targets, learning_rate):
    model.train(True)
    for parameter in model.parameters():
        parameter.grad = None
    logits = model(x)
    loss = cross_entropy(logits, targets)
    loss.backward()
    sgd_step(list(model.parameters()), learning_rate)
    return float(loss)
