"""Probes of ex11: the loss. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.
"""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

VOCABULARY = 11


class Model(nn.Module):
    """A model that is not the learner's. It notes how it was called."""

    def __init__(self, draw, dropout=0.0, scale=0.7):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.dropout = nn.Sequential(nn.Dropout(dropout))  # a part of a part
        self.head = nn.Linear(6, VOCABULARY)
        self.given, self.modes, self.graphs = [], [], []
        draw.fill(self, scale)

    def forward(self, ids):
        self.given.append(ids.clone())
        self.modes.append({name: module.training for name, module in self.named_modules()})
        self.graphs.append(torch.is_grad_enabled())
        return self.head(self.dropout(torch.tanh(self.embedding(ids))))


class Fixed(nn.Module):
    """Gives the same logits, whatever it sees."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids):
        return self.logits


def batch(draw, rows, tokens, ignored=()):
    """Random inputs and targets; `ignored` lists the positions (row, token) with a target of -100."""
    inputs, targets = draw.integers(rows, tokens, high=VOCABULARY), draw.integers(rows, tokens, high=VOCABULARY)
    if ignored:
        hidden = torch.zeros(rows, tokens, dtype=torch.bool)
        for row, token in ignored:
            hidden[row, token] = True
        targets = targets.masked_fill(hidden, -100)
    return inputs, targets


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


# What torch takes for "cpu" too. So a "cpu" that stands in the code, whatever the argument says, can be seen.
DEVICE = "cpu:0"


class Elsewhere(torch.Tensor):
    """Plays a tensor on "cpu", where the model is not: `.to(DEVICE)` turns it into an ordinary one."""

    def to(self, *args, **kwargs):
        devices = [value for value in (*args, *kwargs.values()) if isinstance(value, str | torch.device)]
        moved = self.as_subclass(torch.Tensor).to(*args, **kwargs)
        return moved if devices and devices != ["cpu"] else moved.as_subclass(Elsewhere)


class Here(torch.Tensor):
    """Plays a tensor on the device of the model: it refuses to meet one from elsewhere, but for a single number."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        others = [value for value in args if isinstance(value, Elsewhere)]
        if Elsewhere in types and (not others or any(value.dim() for value in others)):
            raise RuntimeError("logits on the device met a tensor on another device")
        args = [value.as_subclass(torch.Tensor) if isinstance(value, Elsewhere) else value for value in args]
        return super().__torch_function__(func, (cls,), tuple(args), kwargs)


class OnDevice(Model):
    """A model on a device of its own."""

    def forward(self, ids):
        if isinstance(ids, Elsewhere):
            raise RuntimeError("the model on the device was given ids on another device")
        return super().forward(ids).as_subclass(Here)


def from_elsewhere(pair):
    return tuple(tensor.as_subclass(Elsewhere) for tensor in pair)


def batches_of_all_kinds(draw):
    """Unequal in rows, in tokens and in how many targets count. The third has none that does."""
    return [
        batch(draw, 3, 5),
        batch(draw, 3, 5, ignored=[(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 4)]),
        batch(draw, 2, 2, ignored=[(0, 0), (0, 1), (1, 0), (1, 1)]),
        batch(draw, 1, 5),
        batch(draw, 1, 2, ignored=[(0, 1)]),
    ]


def test_lesson_example_of_one_batch(subject, draw, observe):
    """Example: the probabilities of the lesson give 1.386. If the last target is −100 instead, it is (0.693 +
    1.386) / 2 = 1.040.
    """
    # Every row: the right answer, and two others that share the rest.
    logits = torch.tensor([[1 / 2, 1 / 4, 1 / 4], [3 / 8, 1 / 4, 3 / 8], [7 / 16, 7 / 16, 1 / 8]]).log()[None]
    ids = torch.tensor([[0, 1, 2]])
    for targets in ([0, 1, 2], [0, 1, -100]):
        found = subject.calc_loss_batch(ids, torch.tensor([targets]), Fixed(logits), "cpu")
        observe(f"loss, targets {targets}", found)


def test_loss_of_a_batch_is_the_mean_over_its_positions(subject, draw, observe):
    """float (), of the logits' dtype: the mean of −ln p over all positions whose target is not −100"""
    model = Model(draw)
    for rows, tokens in ((2, 7), (5, 3), (1, 4), (3, 1)):
        inputs, targets = batch(draw, rows, tokens)
        observe(f"loss of {rows} times {tokens} tokens", subject.calc_loss_batch(inputs, targets, model, "cpu"))
    observe("what the model was given", model.given)


def test_targets_of_minus_100_do_not_count(subject, draw, observe):
    """float (), of the logits' dtype: the mean of −ln p over all positions whose target is not −100"""
    model = Model(draw)
    # One sequence has lost most of its targets, so its mean is not worth as much as the other's.
    inputs, targets = batch(draw, 2, 7, ignored=[(0, 0), (1, 1), (1, 2), (1, 3), (1, 4), (1, 6)])
    observe("loss, 8 of 14 targets count", subject.calc_loss_batch(inputs, targets, model, torch.device("cpu")))
    with torch.enable_grad():  # even if a loader before has switched graphs off for good
        subject.calc_loss_batch(inputs, targets, model, "cpu").backward()
    observe("gradients", gradients(model))


def test_every_token_can_be_a_target(subject, draw, observe):
    """int64 (B, T): the id that comes next at each position, or −100"""
    model = Model(draw)
    for token in (0, 1, VOCABULARY - 1):
        inputs, _ = batch(draw, 2, 5)
        targets = torch.full((2, 5), token)
        targets[1, 3] = 4
        observe(f"loss, nearly all targets {token}", subject.calc_loss_batch(inputs, targets, model, "cpu"))


def test_gradients_of_the_loss_reach_the_model(subject, draw, observe):
    """The loss of one batch, ready for `backward`."""
    model = Model(draw)
    with torch.enable_grad():  # even if a loader before has switched graphs off for good
        subject.calc_loss_batch(*batch(draw, 3, 5), model, "cpu").backward()
    observe("gradients", gradients(model))


def test_loss_keeps_double_precision(subject, draw, observe):
    """float (), of the logits' dtype: the mean of −ln p over all positions whose target is not −100"""
    inputs, targets = batch(draw, 2, 5)
    loss = subject.calc_loss_batch(inputs, targets, Fixed(draw.normal(2, 5, VOCABULARY).double()), "cpu")
    observe("loss of float64 logits", loss, tolerance=1e-10)


def test_both_batches_are_moved_to_the_device(subject, draw, observe):
    """where the model is, for instance "cpu"; both batches should be moved there"""
    pair = from_elsewhere(batch(draw, 2, 7, ignored=[(0, 3)]))
    observe("loss", subject.calc_loss_batch(*pair, OnDevice(draw), DEVICE))


def test_lesson_example_of_a_loader(subject, draw, observe):
    """Example: the two batches of the lesson give 2.5. With num_batches=1 they give 2.0."""
    rest = math.log(math.expm1(2.0)), math.log(math.expm1(4.0))  # logit of the other answer, for a loss of 2, 4
    logits = torch.tensor([[0.0, rest[0]], [0.0, rest[1]]])
    model = nn.Embedding.from_pretrained(logits)
    target = torch.zeros(2, 3).long()
    loader = [(target, target), (torch.ones(1, 2).long(), target[:1, :2])]
    observe("loss, both batches", subject.calc_loss_loader(loader, model, "cpu"))
    observe("loss, num_batches=1", subject.calc_loss_loader(loader, model, "cpu", num_batches=1))


def test_loss_of_a_loader_is_the_mean_over_tokens(subject, draw, observe):
    """a Python float: the mean of −ln p over all *tokens* of these batches that count"""
    model = Model(draw)
    loader = [batch(draw, 4, 7), batch(draw, 4, 7), batch(draw, 1, 7)]
    observe("loss, the last batch is short", subject.calc_loss_loader(loader, model, "cpu"))
    loader = [batch(draw, 2, 7), batch(draw, 2, 3), batch(draw, 2, 1)]
    observe("loss, batches of different lengths", subject.calc_loss_loader(loader, model, "cpu"))
    hidden = [(row, token) for row in range(3) for token in range(1, 5)]
    loader = [batch(draw, 3, 5), batch(draw, 3, 5, ignored=hidden)]
    observe("loss, few targets of the second batch count", subject.calc_loss_loader(loader, model, "cpu"))


def test_only_the_first_batches_are_looked_at(subject, draw, observe):
    """how many batches to look at, from the first on; None: all"""
    model = Model(draw)
    loader = [batch(draw, rows, 5) for rows in (3, 2, 4, 1)]
    for number in (1, 2, 3, 4, None):
        model.given.clear()
        observe(f"loss, num_batches={number}", subject.calc_loss_loader(loader, model, "cpu", number))
        observe("times the model was called", len(model.given))


def test_a_dataloader_is_a_loader(subject, draw, observe):
    """any iterable of pairs (input_batch, target_batch), which may differ in B and T"""
    model = Model(draw)
    loader = DataLoader(TensorDataset(*batch(draw, 7, 5)), batch_size=3)
    observe("loss", subject.calc_loss_loader(loader, model, "cpu"))
    observe("loss, num_batches=2", subject.calc_loss_loader(loader, model, "cpu", num_batches=2))


def test_loss_of_a_loader_needs_no_graph(subject, draw, observe):
    """No graph should be recorded, as within `torch.no_grad()`."""
    model = Model(draw)
    with torch.enable_grad():
        subject.calc_loss_loader([batch(draw, 2, 5), batch(draw, 1, 5)], model, "cpu")
        observe("was there a graph, at each call of the model", model.graphs)
        observe("is one recorded afterwards", torch.is_grad_enabled())
    with torch.no_grad():
        subject.calc_loss_loader([batch(draw, 2, 5)], model, "cpu")
        observe("is one recorded afterwards, if none was before", torch.is_grad_enabled())


def test_all_batches_of_a_loader_are_moved_to_the_device(subject, draw, observe):
    """where the model is, for instance "cpu"; both batches should be moved there"""
    loader = [from_elsewhere(pair) for pair in batches_of_all_kinds(draw)]
    observe("loss", subject.calc_loss_loader(loader, OnDevice(draw), torch.device(DEVICE)))


def test_perplexity_is_e_to_the_loss(subject, draw, observe):
    """e^loss, a Python float"""
    for loss in (0.0, 1.386, math.log(50257), 1.0, draw.number(0.1, 1.0), draw.number(2.0, 12.0)):
        observe(f"perplexity({loss:.6g})", subject.perplexity(loss))


def test_evaluation_gives_both_losses(subject, draw, observe):
    """the tuple (train_loss, val_loss), both as calc_loss_loader gives them"""
    model = Model(draw)
    train, validation = batches_of_all_kinds(draw), [batch(draw, 2, 7), batch(draw, 1, 7)]
    observe("(train loss, val loss)", subject.evaluate_model(model, train, validation, "cpu"))


def test_evaluation_looks_at_the_first_batches(subject, draw, observe):
    """how many of each to look at, from the first on; None: all"""
    model = Model(draw)
    train = [batch(draw, rows, 5) for rows in (3, 2, 4, 1)]
    validation = [batch(draw, rows, 7) for rows in (2, 1, 3)]
    for number in (1, 2, 3, None):
        found = subject.evaluate_model(model, train, validation, "cpu", eval_batches=number)
        observe(f"eval_batches={number}", found)


def test_evaluation_drops_nothing(subject, draw, observe):
    """Both should be measured in evaluation mode. Afterwards each submodule of the model should have its former
    mode.
    """
    train, validation = [batch(draw, 3, 5)], [batch(draw, 2, 7)]
    model = Model(draw, dropout=0.5).train()
    observe("dropout 0.5, the model was training", subject.evaluate_model(model, train, validation, "cpu"))


def test_evaluation_puts_the_mode_back(subject, draw, observe):
    """Both should be measured in evaluation mode. Afterwards each submodule of the model should have its former
    mode.
    """
    train, validation = [batch(draw, 3, 5), batch(draw, 1, 5)], [batch(draw, 2, 7)]
    for training in (True, False):
        model = Model(draw, dropout=0.5).train(training)
        subject.evaluate_model(model, train, validation, "cpu")
        observe("modes while the model ran", model.modes)
        observe(f"modes afterwards, training={training} before", modes(model))


def test_evaluation_needs_no_graph(subject, draw, observe):
    """And nobody calls `backward`: without a graph, it takes less memory and time."""
    model = Model(draw)
    with torch.enable_grad():
        subject.evaluate_model(model, [batch(draw, 2, 5)], [batch(draw, 1, 7)], "cpu")
        observe("was there a graph, at each call of the model", model.graphs)
        observe("is one recorded afterwards", torch.is_grad_enabled())
    with torch.no_grad():
        subject.evaluate_model(model, [batch(draw, 2, 5)], [batch(draw, 1, 7)], "cpu")
        observe("is one recorded afterwards, if none was before", torch.is_grad_enabled())


def test_evaluation_moves_all_batches_to_the_device(subject, draw, observe):
    """where the model is, for instance "cpu"; both batches should be moved there"""
    train, validation = ([from_elsewhere(batch(draw, rows, 5))] for rows in (2, 3))
    observe("(train loss, val loss)", subject.evaluate_model(OnDevice(draw), train, validation, DEVICE))


# The fine print.


def test_loss_of_a_batch_is_nan_when_no_target_counts(subject, draw, observe):
    """nan if every target is −100."""
    inputs, _ = batch(draw, 2, 3)
    observe("loss", subject.calc_loss_batch(inputs, torch.full((2, 3), -100), Model(draw), "cpu"))


def test_loss_stays_finite_at_large_logits(subject, draw, observe):
    """Logits of ±2000 give a finite loss."""
    logits = torch.tensor([[[2000.0, -2000.0, 0.0], [-2000.0, 1999.0, 2000.0]]])
    for targets in ([0, 2], [1, 1]):
        loss = subject.calc_loss_batch(torch.zeros(1, 2).long(), torch.tensor([targets]), Fixed(logits), "cpu")
        observe(f"loss, targets {targets}", loss, tolerance=1e-3)  # at 2000 a float32 is good to 1e-4


def test_loss_of_a_batch_leaves_the_mode_alone(subject, draw, observe):
    """The mode of the model should stay as it is."""
    for training in (True, False):
        model = Model(draw).train(training)
        subject.calc_loss_batch(*batch(draw, 2, 5), model, "cpu")
        observe("modes while the model ran", model.modes)
        observe("modes afterwards", modes(model))


def test_the_batches_stay_as_they_are(subject, draw, observe):
    """A call must not change its inputs."""
    inputs, targets = batch(draw, 2, 7, ignored=[(0, 0), (1, 1), (1, 6)])
    before = inputs.clone(), targets.clone()
    observe("loss", subject.calc_loss_batch(inputs, targets, Model(draw), "cpu"))
    observe("change of the inputs", inputs - before[0])
    observe("change of the targets", targets - before[1])


def test_a_generator_is_a_loader(subject, draw, observe):
    """A generator has no length and can be iterated over only once."""
    model = Model(draw)
    batches = batches_of_all_kinds(draw)
    for number in (None, 0, 2, 9):
        found = subject.calc_loss_loader((pair for pair in batches), model, "cpu", number)
        observe(f"loss, num_batches={number}", found)


def test_all_batches_where_there_are_fewer(subject, draw, observe):
    """If there are fewer batches than num_batches, take all."""
    model = Model(draw)
    loader = [batch(draw, rows, 5) for rows in (3, 2, 4, 1)]
    for number in (5, 9):
        observe(f"loss, num_batches={number}", subject.calc_loss_loader(loader, model, "cpu", number))


def test_a_batch_without_targets_changes_nothing(subject, draw, observe):
    """A batch in which no token counts changes nothing; nan if none counts in any, or there is no batch."""
    model = Model(draw)
    loader = batches_of_all_kinds(draw)
    observe("loss of all batches", subject.calc_loss_loader(loader, model, "cpu"))
    observe("loss of the batch without targets and the next", subject.calc_loss_loader(loader[2:4], model, "cpu"))


def test_a_batch_without_targets_is_one_of_the_first(subject, draw, observe):
    """how many batches to look at, from the first on; None: all"""
    model = Model(draw)
    loader = batches_of_all_kinds(draw)
    for number in (2, 3, 4):
        found = subject.calc_loss_loader(loader, model, "cpu", num_batches=number)
        observe(f"loss, num_batches={number}, the third batch has no targets", found)


def test_loss_of_nothing_is_nan(subject, draw, observe):
    """A batch in which no token counts changes nothing; nan if none counts in any, or there is no batch."""
    model = Model(draw)
    nothing = [(torch.zeros(2, 3).long(), torch.full((2, 3), -100))]
    observe("no batch", subject.calc_loss_loader([], model, "cpu"))
    observe("num_batches=0", subject.calc_loss_loader([batch(draw, 2, 3)], model, "cpu", num_batches=0))
    observe("one batch, nothing in it counts", subject.calc_loss_loader(nothing, model, "cpu"))
    observe("no batch, num_batches=2", subject.calc_loss_loader([], model, "cpu", num_batches=2))


def test_a_loss_of_0_is_not_nothing(subject, draw, observe):
    """A batch in which no token counts changes nothing; nan if none counts in any, or there is no batch."""
    perfect = Fixed(torch.tensor([[[2000.0, -2000.0, 0.0], [-2000.0, 0.0, 2000.0]]]))
    loader = [(torch.zeros(1, 2).long(), torch.tensor([[0, 2]]))] * 2
    observe("loss of a perfect model", subject.calc_loss_loader(loader, perfect, "cpu"))


def test_loss_of_a_loader_leaves_the_mode_alone(subject, draw, observe):
    """The mode of the model should stay as it is."""
    for training in (True, False):
        model = Model(draw).train(training)
        subject.calc_loss_loader([batch(draw, 2, 5), batch(draw, 1, 5)], model, "cpu")
        observe("modes while the model ran", model.modes)
        observe("modes afterwards", modes(model))


def test_a_loader_leaves_gradients_alone(subject, draw, observe):
    """No graph should be recorded, as within `torch.no_grad()`."""
    model = Model(draw)
    for parameter in model.parameters():
        parameter.grad = draw.normal(*parameter.shape)
    subject.calc_loss_loader([batch(draw, 2, 5), batch(draw, 1, 5)], model, "cpu")
    observe("gradients", gradients(model))
    observe("can the model still learn", [parameter.requires_grad for parameter in model.parameters()])


def test_perplexity_of_a_large_loss(subject, draw, observe):
    """inf where e^loss is too large for a Python float, from a loss of about 709.8 on: there `math.exp` raises an
    OverflowError.
    """
    for loss in (25.0, 100.0, 709.0, 709.7, 710.0, 1000.0, math.inf):
        observe(f"perplexity({loss})", subject.perplexity(loss))


def test_perplexity_of_nan_is_nan(subject, draw, observe):
    """nan for nan."""
    observe("perplexity(nan)", subject.perplexity(math.nan))


def test_evaluation_of_generators(subject, draw, observe):
    """any iterable of pairs (input_batch, target_batch), which may differ in B and T"""
    train, validation = batches_of_all_kinds(draw), [batch(draw, 2, 7), batch(draw, 1, 7)]
    found = subject.evaluate_model(Model(draw), iter(train), iter(validation), torch.device("cpu"))
    observe("(train loss, val loss)", found)


def test_evaluation_of_empty_loaders(subject, draw, observe):
    """the tuple (train_loss, val_loss), both as calc_loss_loader gives them"""
    model = Model(draw)
    some = [batch(draw, 2, 5)]
    observe("no training data", subject.evaluate_model(model, [], some, "cpu"))
    observe("no validation data", subject.evaluate_model(model, some, [], "cpu"))
    observe("eval_batches=0", subject.evaluate_model(model, some, some, "cpu", 0))


def test_evaluation_puts_the_mode_back_after_an_error(subject, draw, observe):
    """An error on the way should be passed on, with the model back in its former mode."""

    def interrupted():
        yield batch(draw, 2, 5)
        raise ConnectionError("the data stopped coming")

    whole = [batch(draw, 2, 5)]
    for training in (True, False):
        for name, loaders in (("training", (interrupted(), whole)), ("validation", (whole, interrupted()))):
            model = Model(draw).train(training)
            observe.outcome(f"the {name} data breaks off", subject.evaluate_model, model, *loaders, "cpu")
            observe(f"modes afterwards, training={training} before", modes(model))


def test_evaluation_leaves_gradients_alone(subject, draw, observe):
    """A call must not change its inputs."""
    model = Model(draw)
    for parameter in model.parameters():
        parameter.grad = draw.normal(*parameter.shape)
    subject.evaluate_model(model, [batch(draw, 2, 5)], [batch(draw, 1, 7)], "cpu")
    observe("gradients", gradients(model))
    observe("can the model still learn", [parameter.requires_grad for parameter in model.parameters()])
