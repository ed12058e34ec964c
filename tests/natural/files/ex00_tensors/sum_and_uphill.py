# wrong: loss-is-a-sum, step-uphill
# The loss is a sum over the rows; the step adds the gradient.

from typing import Iterable, List, Optional

import torch
from torch import Tensor
from torch.nn import Linear, Module, ReLU, Sequential


DEFAULT_IGNORED_TARGET: int = -100


class ShiftedScores:
    """The scores minus their maximum, and the sum of their exponentials."""

    def __init__(self, scores: Tensor, axis: int) -> None:
        maximum: Tensor = torch.max(scores, dim=axis, keepdim=True)[0]
        self.values: Tensor = torch.sub(scores, maximum)
        self.exponentials: Tensor = torch.exp(self.values)
        self.total: Tensor = torch.sum(self.exponentials, dim=axis, keepdim=True)

    def probabilities(self) -> Tensor:
        return torch.div(self.exponentials, self.total)

    def logarithms(self) -> Tensor:
        return torch.sub(self.values, torch.log(self.total))

def softmax(x: Tensor, dim: int) -> Tensor:
    return ShiftedScores(x, dim).probabilities()

def log_softmax(x: Tensor, dim: int) -> Tensor:
    return ShiftedScores(x, dim).logarithms()

def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = DEFAULT_IGNORED_TARGET) -> Tensor:
    is_counted: Tensor = torch.ne(targets, ignore_index)
    counted_logits: Tensor = logits[is_counted]
    counted_targets: Tensor = targets[is_counted]
    number_of_answers: int = logits.shape[1]
    log_probabilities: Tensor = ShiftedScores(counted_logits, 1).logarithms()
    one_hot: Tensor = torch.eye(number_of_answers, dtype=logits.dtype)[counted_targets]
    loss_of_rows: Tensor = torch.neg(torch.sum(torch.mul(one_hot, log_probabilities), dim=1))
    return torch.sum(loss_of_rows)

def linear(x: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    transposed_weight: Tensor = torch.transpose(weight, 0, 1)
    result: Tensor = torch.matmul(x, transposed_weight)
    if bias is not None:
        result = torch.add(result, bias)
    return result

def accuracy(logits: Tensor, targets: Tensor) -> float:
    predictions: Tensor = torch.max(logits, dim=1).indices
    number_correct: int = int(torch.sum(torch.eq(predictions, targets)).item())
    number_of_rows: int = targets.shape[0]
    result: float = number_correct / number_of_rows
    return result

def sgd_step(parameters: Iterable[Tensor], learning_rate: float) -> None:
    parameter_list: List[Tensor] = [p for p in parameters]
    with torch.no_grad():
        for parameter in parameter_list:
            if parameter.grad is None:
                continue
            step: Tensor = torch.mul(parameter.grad, learning_rate)
            parameter.add_(step)

class NeuralNetwork(Module):
    FIRST_HIDDEN_SIZE: int = 30
    SECOND_HIDDEN_SIZE: int = 20

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super(NeuralNetwork, self).__init__()
        self.layers: Sequential = Sequential()
        self.layers.append(Linear(num_inputs, self.FIRST_HIDDEN_SIZE))
        self.layers.append(ReLU())
        self.layers.append(Linear(self.FIRST_HIDDEN_SIZE, self.SECOND_HIDDEN_SIZE))
        self.layers.append(ReLU())
        self.layers.append(Linear(self.SECOND_HIDDEN_SIZE, num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits

def train_step(model: Module, x: Tensor, targets: Tensor, learning_rate: float) -> float:
    model.train()
    predictions: Tensor = model(x)
    loss: Tensor = cross_entropy(predictions, targets)
    model.zero_grad()
    loss.backward()
    sgd_step(model.parameters(), learning_rate)
    loss_value: float = loss.detach().item()
    return loss_value
