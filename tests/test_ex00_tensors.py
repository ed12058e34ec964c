"""Probes of ex00: tensors. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings, with the four promises that hold everywhere.
"""

import torch
from torch import nn


def parameters_with_gradients(draw):
    """Four parameters of different shapes, with gradients, from the seed."""
    parameters = []
    for shape in ((3, 4), (5,), (2, 3, 2), (1,)):
        parameter = nn.Parameter(draw.normal(*shape).clone())
        parameter.grad = draw.normal(*shape, scale=5.0).clone()
        parameters.append(parameter)
    return parameters


def small_model(draw):
    """A model that is not the learner's, so that train_step is seen by itself."""
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    draw.fill(model)
    return model


def fill_in_order(draw, network, scale=0.3):
    """Sets the parameters by their places, since the layers may have any names."""
    draw.fill(nn.ParameterList(network.parameters()), scale=scale)


class OfIds(nn.Module):
    """Takes ids of shape (N, 2, 3). It has a table that is frozen and a parameter that is in no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)
        self.table.requires_grad_(False)
        self.out = nn.Linear(6, 4)
        self.factor = nn.Parameter(torch.ones(4))

    def forward(self, ids):
        return self.out(self.table(ids).mean(dim=2).flatten(1)) * self.factor


class Watched(nn.Module):
    """Notes in which mode it, and a layer of it, was called."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.modes = []

    def forward(self, x):
        self.modes.append(["training" if part.training else "evaluation" for part in (self, self.inner)])
        return self.inner(x)


def test_softmax_lesson_example(subject, draw, observe):
    """Turn scores into probabilities along one axis."""
    observe("softmax of [0, ln 3]", subject.softmax(torch.tensor([0.0, 1.0986]), dim=0))


def test_softmax_runs_along_the_axis_asked_for(subject, draw, observe):
    """dim  the axis along which the probabilities should sum to 1"""
    x = draw.normal(2, 5, 7, scale=2.0)
    for dim in (-1, 0, 1, 2, -2, -3):
        observe(f"softmax, dim={dim}", subject.softmax(x, dim))
    observe("softmax of exchanged axes, dim=-1", subject.softmax(x.transpose(0, 2), dim=-1))
    observe("softmax of a single row", subject.softmax(draw.normal(1, 6), dim=1))


def test_softmax_stays_finite_at_large_scores(subject, draw, observe):
    """Scores of ±2000 should give finite probabilities."""
    scores = draw.normal(4, 6) + torch.tensor([[100.0], [2000.0], [-2000.0], [0.0]])
    for name, x, dim in (("row", scores, 1), ("column", scores.T, 0)):  # at 2000 a float32 is good to 1e-4
        observe(f"every {name} around another number", subject.softmax(x, dim), tolerance=1e-3)
    spread = torch.tensor([[2000.0, -2000.0, 0.0], [-2000.0, 1999.0, 2000.0]])
    observe("from -2000 to 2000 in one row", subject.softmax(spread, dim=-1), tolerance=1e-3)


def test_log_softmax_lesson_example(subject, draw, observe):
    """The natural logarithm of the softmax, without computing the softmax first."""
    observe("log_softmax of [0, ln 3]", subject.log_softmax(torch.tensor([0.0, 1.0986]), dim=0))


def test_log_softmax_runs_along_the_axis_asked_for(subject, draw, observe):
    """Arguments and shapes as for softmax."""
    x = draw.normal(2, 5, 7, scale=2.0)
    for dim in (-1, 0, 1, 2, -2, -3):
        observe(f"log_softmax, dim={dim}", subject.log_softmax(x, dim))
    observe("log_softmax of exchanged axes, dim=-1", subject.log_softmax(x.transpose(0, 2), dim=-1))
    observe("log_softmax of a single row", subject.log_softmax(draw.normal(1, 6), dim=1))


def test_log_softmax_stays_finite_at_large_scores(subject, draw, observe):
    """Scores of ±2000 should give finite values."""
    scores = draw.normal(4, 6) + torch.tensor([[100.0], [2000.0], [-2000.0], [0.0]])
    for name, x, dim in (("row", scores, 1), ("column", scores.T, 0)):  # at 2000 a float32 is good to 1e-4
        observe(f"every {name} around another number", subject.log_softmax(x, dim), tolerance=1e-3)
    spread = torch.tensor([[2000.0, -2000.0, 0.0], [-2000.0, 1999.0, 2000.0]])
    observe("from -2000 to 2000 in one row", subject.log_softmax(spread, dim=-1), tolerance=1e-3)


def test_cross_entropy_lesson_example(subject, draw, observe):
    """Example: logits of 0.0 and 1.0986 in both rows and targets [1, 0] give (0.288 + 1.386) / 2 = 0.837; targets
    [1, -100] give 0.288.
    """
    logits = torch.tensor([[0.0, 1.0986], [0.0, 1.0986]])
    observe("targets [1, 0]", subject.cross_entropy(logits, torch.tensor([1, 0])))
    observe("targets [1, -100]", subject.cross_entropy(logits, torch.tensor([1, -100])))


def test_cross_entropy_is_the_mean_over_the_rows(subject, draw, observe):
    """the mean of −log_softmax at the right answer, over the rows that count"""
    for rows, answers in ((7, 5), (4, 9), (1, 3)):
        logits, targets = draw.normal(rows, answers, scale=2.0), draw.integers(rows, high=answers)
        observe(f"loss of {rows} rows, {answers} answers", subject.cross_entropy(logits, targets))
    logits = draw.normal(5, 7, scale=2.0).T
    observe("loss of logits with exchanged axes", subject.cross_entropy(logits, draw.integers(7, high=5)))


def test_ignored_targets_do_not_count(subject, draw, observe):
    """ignore_index  rows with this target should count neither in the sum nor in the number of rows"""
    logits, targets = draw.normal(8, 5, scale=2.0), draw.integers(8, high=5)
    targets = targets.masked_fill(torch.tensor([1, 0, 0, 1, 0, 1, 0, 0]).bool(), -100)
    observe("loss, three of eight rows ignored", subject.cross_entropy(logits, targets))


def test_cross_entropy_stays_finite_at_large_logits(subject, draw, observe):
    """Logits of ±2000 should give a finite loss."""
    logits = torch.tensor([[2000.0, -2000.0, 0.0], [-2000.0, 1999.0, 2000.0]])
    for targets in ([0, 2], [1, 0], [2, 1]):
        loss = subject.cross_entropy(logits, torch.tensor(targets))
        observe(f"loss, targets {targets}", loss, tolerance=1e-3)  # at 2000 a float32 is good to 1e-4
    logits = draw.normal(3, 4) + torch.tensor([[0.0], [2000.0], [-2000.0]])
    loss = subject.cross_entropy(logits, draw.integers(3, high=4))
    observe("loss, every row around another number", loss, tolerance=1e-3)


def test_linear_lesson_example(subject, draw, observe):
    """Each output is a weighted sum of all inputs, plus its bias."""
    x = torch.tensor([1.0, 2.0])
    weight = torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    observe("without a bias", subject.linear(x, weight))
    observe("with a bias", subject.linear(x, weight, torch.tensor([0.5, 0.0, -1.0])))


def test_linear_takes_any_leading_axes(subject, draw, observe):
    """x  float (…, d_in): any number of axes before the last, or none"""
    weight, bias = draw.normal(4, 6), draw.normal(4)
    for shape in ((5, 6), (2, 7, 6), (2, 3, 7, 6), (1, 6), (2, 1, 6)):
        x = draw.normal(*shape)
        observe(f"x of shape {shape}, with a bias", subject.linear(x, weight, bias))
        observe(f"x of shape {shape}, bias=None", subject.linear(x, weight, bias=None))
    observe("x of exchanged axes", subject.linear(draw.normal(7, 2, 6).transpose(0, 1), weight, bias))
    observe("a single output", subject.linear(draw.normal(5, 6), weight[:1], bias[:1]))


def test_accuracy_lesson_example(subject, draw, observe):
    """The share of rows in which the right answer has the largest logit."""
    logits = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    observe("two of three right", subject.accuracy(logits, torch.tensor([1, 1, 1])))


def test_accuracy_is_the_share_of_right_answers(subject, draw, observe):
    """The share of rows in which the right answer has the largest logit."""
    for right in (0, 2, draw.whole(3, 10), 11):
        answers = draw.integers(11, high=6)
        logits = draw.uniform(11, 6, low=-5, high=-4) + 3 * nn.functional.one_hot(answers, 6)
        targets = (answers + (torch.arange(11) >= right)) % 6
        observe(f"{right} of 11 right", subject.accuracy(logits, targets))
    one_row = torch.tensor([[0.5, 2.0, 1.0, -1.0]])
    observe("one row, right", subject.accuracy(one_row, torch.tensor([1])))


def test_sgd_lesson_example(subject, draw, observe):
    """It should change each tensor in place, which torch allows only within `with torch.no_grad():`, and return
    nothing.
    """
    parameter = nn.Parameter(torch.tensor(5.0))
    parameter.grad = torch.tensor(2.0)
    observe("what it returns", subject.sgd_step([parameter], 0.1))
    observe("the parameter", parameter)


def test_sgd_moves_every_parameter_against_its_gradient(subject, draw, observe):
    """Subtract learning_rate · gradient from each parameter."""
    parameters = parameters_with_gradients(draw)
    for learning_rate in (0.3, 0.01, 2.0):
        subject.sgd_step((parameter for parameter in parameters), learning_rate)
        observe(f"parameters after a step with {learning_rate}", parameters)


def test_network_has_the_layers_asked_for(subject, draw, observe):
    """Its attribute `layers` should be an `nn.Sequential` of five, in this order: an `nn.Linear` from num_inputs to
    30, an `nn.ReLU`, an `nn.Linear` from 30 to 20, an `nn.ReLU`, an `nn.Linear` from 20 to num_outputs
    """
    model = subject.NeuralNetwork(num_inputs=6, num_outputs=3)
    observe("kind of `layers`", type(model.layers).__name__)
    observe("kinds of the layers", [type(layer).__name__ for layer in model.layers])
    observe("parameters", [value.shape for value in model.parameters()])


def test_network_gives_logits(subject, draw, observe):
    """what the last layer gives. No softmax: cross_entropy contains one."""
    for rows, num_inputs, num_outputs in ((7, 6, 3), (1, 2, 5)):
        model, other = (subject.NeuralNetwork(num_inputs, num_outputs) for _ in range(2))
        fill_in_order(draw, model)
        fill_in_order(draw, other, scale=0.0)
        observe(f"logits, {num_inputs} inputs", model(draw.normal(rows, num_inputs)), tolerance=1e-4)


def test_train_step_moves_the_model(subject, draw, observe):
    """It should put the model into training mode, call it once, take your cross_entropy, empty the old gradients,
    call `backward`, and take one sgd_step on all parameters.
    """
    model = small_model(draw)
    for learning_rate in (0.5, 0.05):
        x, targets = draw.normal(7, 4), draw.integers(7, high=3)
        loss = subject.train_step(model, x, targets, learning_rate)
        observe(f"what a step with {learning_rate} returns", loss)
        observe("parameters", dict(model.named_parameters()))


def test_train_step_empties_what_earlier_batches_left(subject, draw, observe):
    """It should put the model into training mode, call it once, take your cross_entropy, empty the old gradients,
    call `backward`, and take one sgd_step on all parameters.
    """
    model = small_model(draw)
    model.register_parameter("unused", nn.Parameter(torch.tensor([1.0, 2.0])))
    for parameter in model.parameters():
        parameter.grad = draw.normal(*parameter.shape).clone()
    x, targets = draw.normal(7, 4), draw.integers(7, high=3)
    subject.train_step(model, x, targets, 0.5)
    observe("parameters", dict(model.named_parameters()))


def test_train_step_takes_any_model_and_targets_that_do_not_count(subject, draw, observe):
    """model  any module that turns x into logits (N, V), not only a NeuralNetwork"""
    model = OfIds()
    draw.fill(model)
    targets = draw.integers(7, high=4).masked_fill(torch.tensor([0, 0, 1, 0, 1, 0, 0]).bool(), -100)
    observe("what it returns", subject.train_step(model, draw.integers(7, 2, 3, high=5), targets, 0.5))
    observe("parameters", dict(model.named_parameters()))


def test_train_step_puts_the_model_into_training_mode(subject, draw, observe):
    """It should put the model into training mode, call it once, take your cross_entropy, empty the old gradients,
    call `backward`, and take one sgd_step on all parameters.
    """
    model = Watched()
    draw.fill(model)
    for start in (False, True):
        model.train(start)
        subject.train_step(model, draw.normal(7, 4), draw.integers(7, high=3), 0.1)
        observe("mode of the model and of its layer, at each call", model.modes)


def test_your_network_learns_with_your_loss_and_your_steps(subject, draw, observe):
    """Let a model learn from one mini-batch."""
    train_step, model = subject.train_step, subject.NeuralNetwork(4, 3)
    fill_in_order(draw, model)
    x, targets = draw.normal(11, 4), draw.integers(11, high=3)
    losses = [train_step(model, x, targets, 0.02) for _ in range(6)]
    observe("losses of six steps on the same batch", losses, tolerance=1e-4)


# The fine print.


def test_softmax_gives_minus_infinity_no_probability(subject, draw, observe):
    """A score of −∞ gets probability 0, beside at least one finite score."""
    x = draw.normal(3, 5) + torch.tensor([[0.0], [2000.0], [-2000.0]])
    x = x.masked_fill(torch.tensor([False, True, False, False, True]), -torch.inf).requires_grad_(True)
    found = subject.softmax(x, dim=1)
    observe("softmax, entries 1 and 4 of each row at minus infinity", found, tolerance=1e-3)
    (found * draw.normal(3, 5)).sum().backward()
    observe("gradient", x.grad, tolerance=1e-3)


def test_softmax_keeps_the_dtype(subject, draw, observe):
    """A result must have its inputs' dtype."""
    observe("softmax of a float64 tensor", subject.softmax(draw.normal(3, 5).double(), dim=0))
    observe("dtype for a bfloat16 tensor", subject.softmax(draw.normal(3, 5).bfloat16(), dim=0).dtype)


def test_gradient_passes_through_softmax(subject, draw, observe):
    """Gradients must reach every float input."""
    for dim in (1, 0):
        x = draw.normal(3, 5).requires_grad_(True)
        (subject.softmax(x, dim) * draw.normal(3, 5)).sum().backward()
        observe(f"gradient, dim={dim}", x.grad)
    x = torch.tensor([[2000.0, 1999.0, -2000.0], [-1998.0, -1999.0, -2000.0]], requires_grad=True)
    (subject.softmax(x, dim=1) * draw.normal(2, 3)).sum().backward()
    observe("gradient at large scores", x.grad, tolerance=1e-3)


def test_log_softmax_keeps_the_dtype(subject, draw, observe):
    """A result must have its inputs' dtype."""
    observe("log_softmax of a float64 tensor", subject.log_softmax(draw.normal(3, 5).double(), dim=0))
    observe("dtype for a bfloat16 tensor", subject.log_softmax(draw.normal(3, 5).bfloat16(), dim=0).dtype)


def test_gradient_passes_through_log_softmax(subject, draw, observe):
    """Gradients must reach every float input."""
    for dim in (1, 0):
        x = draw.normal(3, 5).requires_grad_(True)
        (subject.log_softmax(x, dim) * draw.normal(3, 5)).sum().backward()
        observe(f"gradient, dim={dim}", x.grad)
    x = torch.tensor([[2000.0, 1999.0, -2000.0], [-1998.0, -1999.0, -2000.0]], requires_grad=True)
    (subject.log_softmax(x, dim=1) * draw.normal(2, 3)).sum().backward()
    observe("gradient at large scores", x.grad, tolerance=1e-3)


def test_another_number_can_be_ignored(subject, draw, observe):
    """ignore_index may be any number, including one of 0 … V−1."""
    logits, targets = draw.normal(8, 5, scale=2.0), torch.tensor(draw.shuffled([0, 3, 1, 3, 2, 4, 3, 0]))
    observe("loss, ignore_index=3", subject.cross_entropy(logits, targets, ignore_index=3))
    observe("loss, ignore_index=0", subject.cross_entropy(logits, targets, 0))
    targets = targets.masked_fill(targets == 3, -1)
    observe("loss, ignore_index=-1", subject.cross_entropy(logits, targets, ignore_index=-1))
    targets = targets.masked_fill(targets == -1, 50)
    observe("loss, ignore_index=50", subject.cross_entropy(logits, targets, ignore_index=50))


def test_cross_entropy_is_nan_when_no_target_counts(subject, draw, observe):
    """If no row counts, the loss is nan."""
    observe("loss", subject.cross_entropy(draw.normal(4, 5), torch.full((4,), -100)))


def test_cross_entropy_leaves_the_targets_as_they_are(subject, draw, observe):
    """A call must not change its inputs."""
    targets = draw.integers(8, high=5).masked_fill(torch.tensor([1, 0, 0, 1, 0, 1, 0, 0]).bool(), -100)
    before = targets.clone()
    subject.cross_entropy(draw.normal(8, 5), targets)
    observe("change of the targets", targets - before)


def test_cross_entropy_keeps_the_dtype(subject, draw, observe):
    """A result must have its inputs' dtype."""
    logits, targets = draw.normal(6, 4).double(), draw.integers(6, high=4)
    observe("loss of float64 logits", subject.cross_entropy(logits, targets))
    observe("loss of float64 logits, no target counts", subject.cross_entropy(logits, torch.full((6,), -100)))


def test_gradient_passes_through_cross_entropy(subject, draw, observe):
    """Gradients must reach every float input."""
    logits, targets = draw.normal(6, 4).requires_grad_(True), draw.integers(6, high=4)
    targets = targets.masked_fill(torch.tensor([0, 0, 1, 0, 0, 1]).bool(), -100)
    subject.cross_entropy(logits, targets).backward()
    observe("gradient, rows 2 and 5 ignored", logits.grad)
    logits = (draw.normal(3, 4) + torch.tensor([[0.0], [2000.0], [-2000.0]])).requires_grad_(True)
    loss = subject.cross_entropy(logits, draw.integers(3, high=4))
    (loss + subject.cross_entropy(1000 * logits[:1], torch.tensor([2]))).backward()
    observe("gradient at large logits", logits.grad, tolerance=1e-3)


def test_linear_keeps_the_dtype(subject, draw, observe):
    """A result must have its inputs' dtype."""
    x, weight, bias = draw.normal(5, 6).double(), draw.normal(4, 6).double(), draw.normal(4).double()
    observe("all of them float64", subject.linear(x, weight, bias))


def test_gradients_pass_through_linear(subject, draw, observe):
    """Gradients must reach every float input."""
    inputs = [draw.normal(5, 6), draw.normal(4, 6), draw.normal(4)]
    for tensor in inputs:
        tensor.requires_grad_(True)
    (subject.linear(*inputs) * draw.normal(5, 4)).sum().backward()
    observe("gradients of x, weight and bias", [tensor.grad for tensor in inputs])


def test_accuracy_of_a_model_in_training(subject, draw, observe):
    """The logits may carry a gradient, as in training."""
    logits, targets = draw.normal(9, 4).requires_grad_(True), draw.integers(9, high=4)
    observe("accuracy, logits carry a gradient", subject.accuracy(logits, targets))


def test_sgd_skips_parameters_without_gradient(subject, draw, observe):
    """A parameter whose `.grad` is None should stay as it is."""
    parameters = parameters_with_gradients(draw)
    parameters[1].grad = None
    parameters[3].grad = None
    subject.sgd_step(parameters, 0.3)
    observe("parameters, the second and the fourth without a gradient", parameters)
    parameters[0].grad = None
    subject.sgd_step(parameters, 0.3)
    observe("parameters, only the third with a gradient", parameters)
    observe("gradients afterwards", [parameter.grad for parameter in parameters])
    parameters[1].requires_grad_(False)
    subject.sgd_step(parameters, 0.3)
    observe("requires_grad, the second is frozen", [parameter.requires_grad for parameter in parameters])


def test_sgd_leaves_everything_else_alone(subject, draw, observe):
    """A parameter whose `.grad` is None should stay as it is. So should every `.grad` and `requires_grad`."""
    parameters = parameters_with_gradients(draw)
    subject.sgd_step(parameters, 0.3)
    observe("gradients afterwards", [parameter.grad for parameter in parameters])
    observe("requires_grad afterwards", [parameter.requires_grad for parameter in parameters])


def test_gradients_reach_the_whole_network(subject, draw, observe):
    """Gradients must reach every float input."""
    model = subject.NeuralNetwork(4, 3)
    fill_in_order(draw, model)
    (model(draw.normal(7, 4)) * draw.normal(7, 3)).sum().backward()
    observe("gradients", [value.grad for value in model.parameters()], tolerance=1e-4)


def test_train_step_leaves_the_model_in_training_mode(subject, draw, observe):
    """Afterwards the model is still in training mode, and each `.grad` holds the gradient of this batch alone."""
    model = Watched()
    draw.fill(model)
    for start in (False, True):
        model.train(start)
        subject.train_step(model, draw.normal(7, 4), draw.integers(7, high=3), 0.1)
        observe("`training` afterwards", [model.training, model.inner.training])


def test_train_step_keeps_the_gradients_of_its_batch(subject, draw, observe):
    """Afterwards the model is still in training mode, and each `.grad` holds the gradient of this batch alone."""
    model = small_model(draw)
    for learning_rate in (0.5, 0.05):
        subject.train_step(model, draw.normal(7, 4), draw.integers(7, high=3), learning_rate)
        observe("gradients", {name: value.grad for name, value in model.named_parameters()})


def test_train_step_leaves_frozen_parameters_frozen(subject, draw, observe):
    """A parameter whose `.grad` is None should stay as it is. So should every `.grad` and `requires_grad`."""
    model = OfIds()
    draw.fill(model)
    subject.train_step(model, draw.integers(7, 2, 3, high=5), draw.integers(7, high=4), 0.5)
    observe("gradients", {name: value.grad for name, value in model.named_parameters()})
    observe("requires_grad", {name: value.requires_grad for name, value in model.named_parameters()})
