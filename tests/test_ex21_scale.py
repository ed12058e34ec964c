"""Probes of ex21: counting the work, mixed precision, several processes.

The core first, then the fine print, as in the docstrings. No probe starts a process or opens a connection. Most
play one rank of several alone (`Rank`): what the others would send follows from what this one sends. Where
ranks have to stay in step, all of them run here, in threads that take turns (`play`): only one of them runs at
any time, in an order that does not depend on the machine.
"""

import threading
from importlib import import_module
from unittest.mock import patch

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

VOCABULARY = 13


class Tiny(nn.Module):
    """Predicts each next token from the one before it alone, and writes down what happens to it."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.table = nn.Parameter(torch.empty(VOCABULARY, 5))
        self.head = nn.Parameter(torch.empty(5, VOCABULARY))
        self.shift = nn.Parameter(torch.empty(5))
        self.dropout = nn.Dropout(dropout)
        self.learned_from, self.looked_at, self.modes, self.events, self.dtypes = [], [], [], [], []

    def forward(self, ids):
        logits = (self.dropout(F.embedding(ids, self.table)) + self.shift) @ self.head
        self.dtypes.append(str(logits.dtype))
        (self.learned_from if logits.requires_grad else self.looked_at).append(ids.tolist())
        self.modes.append("training" if self.training else "evaluation")
        if logits.requires_grad:
            self.events.append("forward")
            logits.register_hook(lambda gradient: self.events.append(backward_event()))
        return logits


def backward_event():
    return "backward within autocast" if torch.is_autocast_enabled("cpu") else "backward"


def tiny(draw, dropout=0.0):
    model = Tiny(dropout)
    draw.fill(model, 1.0)
    return model


def batch(draw, rows, length, ignored=True):
    """A pair of inputs and targets; one target does not count, unless all should."""
    targets = draw.integers(rows, length, high=VOCABULARY).clone()
    if ignored:
        targets[draw.whole(0, rows), draw.whole(0, length)] = -100
    return draw.integers(rows, length, high=VOCABULARY), targets


def batches(draw, *shapes, ignored=True):
    return [batch(draw, rows, length, ignored) for rows, length in shapes]


class GradientDescent(torch.optim.Optimizer):
    """The plainest optimizer, with two groups of parameters or as many. It writes down what it finds at each step.

    It leaves out `Optimizer.__init__`, which would first import torch's compiler and take seconds for that.
    """

    def __init__(self, model, groups=2):
        self.model, self.defaults, self.state = model, {"lr": 0.3}, {}
        self.param_groups = [{"params": [], "lr": 0.7 - 0.2 * number} for number in range(groups)]
        for number, parameter in enumerate(model.parameters()):
            self.param_groups[number % groups]["params"].append(parameter)
        self.rates, self.gradients = [], []

    def zero_grad(self, set_to_none=True):
        self.model.zero_grad(set_to_none)

    def step(self, closure=None):
        self.rates.append([group["lr"] for group in self.param_groups])
        found = [parameter.grad for parameter in self.model.parameters()]
        self.gradients.append([None if gradient is None else gradient.clone() for gradient in found])
        self.model.events.append("step")
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter -= group["lr"] * parameter.grad


class Rank:
    """One rank of several, alone. A sum over all ranks is `factor` times what this one has.

    On other ranks than `source`, a broadcast brings 2·x + 1 for each number x, and the opposite of each bool.
    """

    def __init__(self, rank, world_size, factor=1.0, events=None):
        self.rank, self.world_size, self.factor = rank, world_size, factor
        self.events = [] if events is None else events

    def all_reduce(self, tensor):
        self._note("all_reduce")
        with torch.no_grad():
            tensor.detach().mul_(self.factor)

    def broadcast(self, tensor, source):
        self._note(f"broadcast from {source}")
        if source != self.rank:
            with torch.no_grad():
                tensor.detach().copy_(there(tensor))

    def _note(self, event):
        """Several in a row count as one: whether all comes in one tensor or in many is up to you."""
        if self.events[-1:] != [event]:
            self.events.append(event)


def there(tensor):
    """What `Rank.broadcast` says that this tensor is on the other rank."""
    tensor = tensor.detach()
    return ~tensor if tensor.dtype is torch.bool else 2 * tensor + 1


class OutOfStep(Exception):
    """Ranks do not call the same thing: real processes would wait for each other for ever, or mix up numbers."""


class Player:
    """One of the ranks of `play`, in a thread of its own."""

    def __init__(self, rank, world_size):
        self.rank, self.world_size = rank, world_size
        self.go, self.waits = threading.Semaphore(0), threading.Semaphore(0)
        self.asks, self.trouble, self.error, self.ended = None, None, None, False

    def run(self, program):
        self.go.acquire()
        try:
            program(self)
        except BaseException as error:
            self.error = error
        self.asks, self.ended = None, True
        self.waits.release()

    def all_reduce(self, tensor):
        self._ask("all_reduce", None, tensor)

    def broadcast(self, tensor, source):
        self._ask("broadcast", source, tensor)

    def _ask(self, what, source, tensor):
        self.asks = what, source, tensor.detach()
        self.waits.release()
        self.go.acquire()
        if self.trouble:
            raise OutOfStep(self.trouble)


def play(world_size, program):
    """Call `program(group)` as every rank of a group. Raises what one of them raises, or OutOfStep."""
    players = [Player(rank, world_size) for rank in range(world_size)]
    for player in players:
        threading.Thread(target=player.run, args=(program,), daemon=True).start()
    while not all(player.ended for player in players):
        for player in players:
            if not player.ended:
                player.go.release()
                player.waits.acquire()
        asked = [player.asks for player in players]
        calls = {asks and (*asks[:2], asks[2].shape, asks[2].dtype) for asks in asked}
        if len(calls) > 1:
            said = [asks[0] if asks else "no call" for asks in asked]
            for player in players:
                player.trouble = f"the ranks are out of step: {', '.join(said)}"
        elif asked[0]:
            what, source, _ = asked[0]
            tensors = [tensor for _, _, tensor in asked]
            with torch.no_grad():
                result = tensors[source].clone() if what == "broadcast" else torch.stack(tensors).sum(0)
                for tensor in tensors:
                    tensor.copy_(result)
    errors = [player.error for player in players if player.error]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, OutOfStep))


def ex13(subject):
    """Exercise 13 of the same person. A file need not import what it does not call."""
    return import_module(".ex13_train", subject.__package__)


def config(subject, num_epochs, **named):
    """Steps large enough to be seen; no clipping unless it is asked for."""
    return ex13(subject).TrainConfig(num_epochs, **({"max_lr": 0.4, "min_lr": 0.05, "max_norm": 1e6} | named))


def shuffling_loader(pairs, batch_size, seed):
    return DataLoader(pairs, batch_size, shuffle=True, generator=torch.Generator().manual_seed(seed))


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def points(history):
    """The curve, as plain values."""
    return [(e.step, e.tokens_seen, e.train_loss, e.val_loss, e.learning_rate) for e in history.evaluations]


def everything(history):
    return {
        "step": history.step,
        "tokens_seen": history.tokens_seen,
        "evaluations": points(history),
        "samples": list(history.samples),
    }


def counts(history):
    """Steps, tokens seen, evaluations, samples."""
    return history.step, history.tokens_seen, len(history.evaluations), len(history.samples)


# Counting the work.


def test_flops_per_token(subject, draw, observe):
    """6 · N + 12 · L · D · T, a Python int"""
    observe("GPT-2 small", subject.flops_per_token(123_653_376, 12, 768, 1024))
    sizes = draw.whole(1000, 100_000), draw.whole(2, 9), draw.whole(20, 90), draw.whole(100, 900)
    observe("another model", subject.flops_per_token(*sizes))
    observe("GPT-2 XL with a long context", subject.flops_per_token(1_556_609_600, 48, 1600, 32_768))


def test_share_of_peak(subject, draw, observe):
    """Which share of what the machine could do goes into training: the model FLOPs utilization."""
    observe("in the lesson", subject.share_of_peak(150_000, 855_166_464, 312e12))
    peak = draw.number(2e9, 9e9)
    observe("another machine", subject.share_of_peak(draw.number(10.0, 99.0), draw.whole(10**7, 10**8), peak))
    observe("all of it", subject.share_of_peak(2, 500, 1000))


# Mixed precision.


def test_mixed_precision_loss_in_bfloat16(subject, draw, observe):
    """The model should run within torch.autocast, made for the type of the device ("cpu", "cuda"). Make its
    logits float32, and compute the loss from those."""
    model = tiny(draw)
    inputs, targets = batch(draw, 3, 7)
    loss = subject.mixed_precision_loss(inputs, targets, model, "cpu", torch.bfloat16)
    observe("dtype of the matrix product", model.dtypes)
    observe("loss", loss)
    loss.backward()
    observe("gradients", gradients(model), tolerance=1e-4)


def test_mixed_precision_loss_in_other_dtypes(subject, draw, observe):
    """torch.bfloat16; None or torch.float32 for no change"""
    inputs, targets = batch(draw, 3, 7)
    for dtype in (torch.float16, None, torch.float32, torch.bfloat16, None):
        model = tiny(draw)
        loss = subject.mixed_precision_loss(inputs, targets, model, "cpu", dtype)
        observe(f"dtype of the matrix product, {dtype}", model.dtypes)
        observe(f"loss, {dtype}", loss)


class Moved(torch.Tensor):
    """A tensor that writes down to which device it is moved."""

    asked: list[str]

    def to(self, *arguments, **named):
        self.asked.append(str(torch.device(named["device"] if "device" in named else arguments[0])))
        return self.as_subclass(torch.Tensor)


def marked(draw, asked, *shapes):
    """Batches that write down to which device they are moved: the inputs in asked[0], the targets in asked[1]."""
    kinds = [type("Moved", (Moved,), {"asked": where}) for where in asked]
    pairs = batches(draw, *shapes)
    return [tuple(part.as_subclass(kind) for part, kind in zip(pair, kinds, strict=True)) for pair in pairs]


def devices(asked):
    return [sorted(set(where)) for where in asked]


def test_mixed_precision_loss_on_the_device(subject, draw, observe):
    """The model should run within torch.autocast, made for the type of the device ("cpu", "cuda")."""
    start = torch.autocast.__init__
    for device in ("cpu", torch.device("cpu", 0), "cuda:0", torch.device("cuda")):
        made, asked, model = [], ([], []), tiny(draw)

        def note(self, device_type, *arguments, made=made, **named):
            made.append(device_type)
            start(self, "cpu", *arguments, **named)  # whatever machine this is

        [pair] = marked(draw, asked, (2, 5))
        with patch.object(torch.autocast, "__init__", note):
            subject.mixed_precision_loss(*pair, model, device, torch.bfloat16)
        observe(f"autocast was made for, {device}", sorted(set(made)))
        observe(f"batches were moved to, {device}", devices(asked))
        observe(f"dtype of the matrix product, {device}", model.dtypes)


def test_mixed_precision_loss_calls_the_model_once(subject, draw, observe):
    """The loss of one batch, with the model's matrix products computed in another dtype."""
    for training in (True, False):
        model = tiny(draw, dropout=0.5).train(training)
        inputs, targets = batch(draw, 2, 5)
        loss = subject.mixed_precision_loss(inputs, targets, model, "cpu", torch.bfloat16)
        observe(f"loss, training={training}", loss)
        observe(f"what the model was given, training={training}", [model.learned_from, model.modes])


# Sharing a batch out.


def test_shard(subject, draw, observe):
    """(B / world_size, …): rank 0 has the first rows, rank 1 the next ones, and so on"""
    for rows, world_size in ((6, 3), (6, 2), (8, 2), (4, 4), (5, 1)):
        tensor = draw.integers(rows, 7, high=99)
        for rank in range(world_size):
            observe(f"rank {rank} of {world_size}, {rows} rows", subject.shard(tensor, rank, world_size))


def test_shard_of_other_tensors(subject, draw, observe):
    """(B / world_size, …): rank 0 has the first rows, rank 1 the next ones, and so on"""
    for tensor in (torch.arange(6), draw.normal(6, 2, 5)):
        for rank in range(3):
            observe(f"rank {rank}, {tensor.dim()} axes", subject.shard(tensor, rank, 3))


# The same weights everywhere.


class Nested(nn.Module):
    """Parameters and buffers of several kinds, nested, one of them shared."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 3, bias=False)
        self.inner = nn.Sequential(nn.Linear(4, 2))
        self.third = nn.Linear(4, 3, bias=False)
        self.third.weight = self.second.weight
        self.register_buffer("mean", torch.zeros(5))
        self.inner.register_buffer("seen", torch.tensor([3, 5]))
        self.inner.register_buffer("mask", torch.tensor([True, False]))


class Unusual(Nested):
    """With a frozen parameter, and a buffer that is not saved."""

    def __init__(self):
        super().__init__()
        self.inner[0].bias.requires_grad_(False)
        self.register_buffer("angles", torch.zeros(3, 2), persistent=False)


def test_broadcast_parameters_on_another_rank(subject, draw, observe):
    """Each should stay the tensor that it was, because the optimizer holds on to it."""
    for rank, world_size in ((1, 2), (2, 3)):
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        draw.fill(model)
        held = list(model.parameters())
        expected = [there(parameter) for parameter in held]
        subject.broadcast_parameters(model, Rank(rank, world_size))
        observe(f"parameters on rank {rank}", weights(model))
        off = [now.detach() - then for now, then in zip(held, expected, strict=True)]
        observe(f"what the parameters of before are off, rank {rank}", off)
        observe("require a gradient", [parameter.requires_grad for parameter in model.parameters()])


def on_each_rank(broadcast, draw, kind):
    """The parameters and the buffers of a model that was different on each rank, after the broadcast."""
    found = []

    def program(group):
        model = kind()
        draw.fill(model)
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.copy_(~tensor if tensor.dtype is torch.bool and group.rank else tensor + 3 * group.rank)
        broadcast(model, group)
        found.append((dict(model.named_parameters()), dict(model.named_buffers())))

    play(3, program)
    return found


def test_broadcast_parameters_and_buffers(subject, draw, observe):
    """Every parameter and every buffer should get the values that it has on rank 0, by group.broadcast."""
    for rank, (parameters, buffers) in enumerate(on_each_rank(subject.broadcast_parameters, draw, Nested)):
        observe(f"parameters of rank {rank}", parameters)
        observe(f"buffers of rank {rank}", buffers)


def test_broadcast_parameters_leaves_rank_0_alone(subject, draw, observe):
    """Give every process the weights of rank 0."""
    model = Nested()
    draw.fill(model)
    group = Rank(0, 3, factor=2.0)
    subject.broadcast_parameters(model, group)
    observe("parameters", dict(model.named_parameters()))
    observe("buffers", dict(model.named_buffers()))
    observe("what was called", group.events)


# The mean of the gradients.


def test_average_gradients(subject, draw, observe):
    """Each gradient should become its sum over the processes, by group.all_reduce, divided by world_size."""
    for world_size, factor in ((2, 3.0), (3, 0.5), (1, 1.0)):
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        draw.fill(model)
        for parameter in model.parameters():
            parameter.grad = draw.normal(*parameter.shape).clone()
        subject.average_gradients(model, Rank(0, world_size, factor))
        observe(f"gradients, {world_size} processes", gradients(model))
        observe(f"weights, {world_size} processes", weights(model))


def test_average_gradients_of_all_ranks(subject, draw, observe):
    """Each gradient should become its sum over the processes, by group.all_reduce, divided by world_size."""
    sent, found = draw.normal(3, 12), []

    def program(group):
        model = nn.Linear(5, 2)
        model.weight.grad = sent[group.rank, :10].reshape(2, 5).clone()
        model.bias.grad = sent[group.rank, 10:].clone()
        subject.average_gradients(model, group)
        found.append(gradients(model))

    play(3, program)
    observe("gradients on each rank", found)


def test_lesson_example(subject, draw, observe):
    """Example: if w.grad is -1.5 on rank 0 and -4.5 on rank 1, it is -3 on both afterwards."""
    found, rows = [], torch.tensor([1.0, 2.0, 3.0, 6.0])

    def program(group):
        model = nn.Linear(1, 1, bias=False)
        own = rows[2 * group.rank : 2 * group.rank + 2]
        model.weight.grad = (0.0 - own).mean().reshape(1, 1)
        before = model.weight.grad.clone()
        subject.average_gradients(model, group)
        found.append((before, model.weight.grad))

    play(2, program)
    observe("gradients of each rank, before and after", found)


# One step.


def test_update_distributed(subject, draw, observe):
    """Do what exercise 13's update does, but with the mixed_precision_loss of this process's shard of each
    batch."""
    for rank, world_size, factor in ((0, 2, 3.0), (1, 2, 3.0), (2, 3, 2.0)):
        model = tiny(draw)
        optimizer = GradientDescent(model)
        group, pairs = Rank(rank, world_size, factor), batches(draw, (6, 5))
        observe(
            f"tokens, rank {rank}", subject.update_distributed(model, pairs, optimizer, 0.25, 1e6, "cpu", group)
        )
        observe(f"what the model was given, rank {rank}", model.learned_from)
        observe(f"gradients at the step, rank {rank}", optimizer.gradients)
        observe(f"weights, rank {rank}", weights(model))


def test_update_distributed_from_several_batches(subject, draw, observe):
    """Each shard should weigh the same, however many of its targets count, and so should each batch."""
    model = tiny(draw)
    optimizer = GradientDescent(model)
    group, pairs = Rank(1, 2, 3.0), batches(draw, (4, 5), (2, 4), (6, 7))
    observe("tokens", subject.update_distributed(model, pairs, optimizer, 0.25, 1e6, "cpu", group))
    observe("what the model was given", model.learned_from)
    observe("gradients at the step", optimizer.gradients)
    observe("tokens of two", subject.update_distributed(model, pairs[:2], optimizer, 0.25, 1e6, "cpu", group))
    observe("weights after two more", weights(model))


def test_update_distributed_talks_once(subject, draw, observe):
    """Average the gradients once, after the last backward and before clipping."""
    model = tiny(draw)
    group, pairs = Rank(0, 2, 2.0, model.events), batches(draw, (4, 5), (2, 5), (2, 3))
    subject.update_distributed(model, pairs, GradientDescent(model), 0.25, 1e6, "cpu", group)
    observe("what happened", model.events)


def test_update_distributed_clips_the_average(subject, draw, observe):
    """Average the gradients once, after the last backward and before clipping."""
    for max_norm, factor in ((0.2, 5.0), (0.5, 0.2), (50.0, 5.0)):
        model = tiny(draw)
        optimizer = GradientDescent(model)
        group, pairs = Rank(0, 2, factor), batches(draw, (4, 5), (2, 4))
        subject.update_distributed(model, pairs, optimizer, 0.25, max_norm, "cpu", group)
        observe(f"gradients at the step, max_norm {max_norm}", optimizer.gradients)


def test_update_distributed_does_what_update_does(subject, draw, observe):
    """Do what exercise 13's update does, but with the mixed_precision_loss of this process's shard of each
    batch."""
    for mode, groups in ((True, 1), (False, 3)):
        model = tiny(draw, dropout=0.5).train(mode)
        optimizer = GradientDescent(model, groups)
        group = Rank(0, 2, 2.0)
        for parameter in model.parameters():
            parameter.grad = draw.normal(*parameter.shape).clone()
        for rate in (draw.number(0.1, 0.5), 0.0):
            pairs = batches(draw, (4, 5), (2, 5))
            subject.update_distributed(model, pairs, optimizer, rate, 1e6, "cpu", group)
        observe(f"learning rates, training={mode} before", optimizer.rates)
        observe(f"modes, training={mode} before", model.modes)
        observe(f"gradients at the steps, training={mode} before", optimizer.gradients)


def test_update_distributed_of_two_ranks_is_as_one(subject, draw, observe):
    """The last two should not change what the model learns, except for rounding."""
    pairs = [batches(draw, (4, 5), (6, 5), (2, 3), ignored=False) for _ in range(3)]

    def trained(group):
        model = tiny(draw)
        optimizer = GradientDescent(model)
        for group_of_batches in pairs:
            subject.update_distributed(model, group_of_batches, optimizer, 0.3, 0.5, "cpu", group)
        return weights(model)

    found = []
    play(2, lambda group: found.append(trained(group)))
    alone = trained(Rank(0, 1))
    observe("weights of one process", alone, tolerance=1e-4)
    for rank, of_rank in enumerate(found):
        off = {name: value - alone[name] for name, value in of_rank.items()}
        observe(f"difference of rank {rank} of two", off, tolerance=3e-6)


def test_update_distributed_in_bfloat16(subject, draw, observe):
    """Do what exercise 13's update does, but with the mixed_precision_loss of this process's shard of each
    batch."""
    model = tiny(draw)
    optimizer = GradientDescent(model)
    pairs = batches(draw, (4, 5), (2, 4))
    subject.update_distributed(model, pairs, optimizer, 0.25, 1e6, "cpu", Rank(1, 2, 3.0), torch.bfloat16)
    observe("dtypes of the matrix products", model.dtypes)
    observe("what happened", model.events)
    observe("gradients at the step", optimizer.gradients, tolerance=1e-4)


def test_update_distributed_moves_the_batches(subject, draw, observe):
    """Do what exercise 13's update does, but with the mixed_precision_loss of this process's shard of each
    batch."""
    model, asked = tiny(draw), ([], [])
    pairs = marked(draw, asked, (2, 5), (4, 5))
    device = torch.device("cpu", 0)
    subject.update_distributed(model, pairs, GradientDescent(model), 0.25, 1e6, device, Rank(1, 2, 3.0))
    observe("devices asked for", devices(asked))


# What is written down.


class Wrapped(nn.Module):
    """As torch's DDP wraps a model: the same calls, the model under the name `module`."""

    def __init__(self, module):
        super().__init__()
        self.module = module


def test_state_dict_to_save(subject, draw, observe):
    """model.state_dict(), each name without the "module." at its beginning, if it has one there"""
    model = Nested()
    draw.fill(model)
    observe("of a plain model", dict(subject.state_dict_to_save(model)))
    observe("of a wrapped model", dict(subject.state_dict_to_save(Wrapped(model))))


# The whole training.


def test_train_ddp_of_two_ranks(subject, draw, observe):
    """First broadcast the parameters. For each (batches, learning_rate) of training_steps(train_loader, config,
    history), call update_distributed, then go on as train_model does."""
    train = subject.train_ddp
    pairs = [batch(draw, 1, 5, ignored=False) for _ in range(10)]
    pairs = [(inputs[0], targets[0]) for inputs, targets in pairs]
    validation = batches(draw, (3, 5))
    settings = config(subject, 2, warmup_steps=2, max_norm=0.5, accumulate=2, eval_every=2, eval_batches=2, seed=7)

    def trained(group):
        model = tiny(draw)
        with torch.no_grad():
            model.table += group.rank
        happened = [[], []]
        history = train(
            model,
            shuffling_loader(pairs, 2, seed=group.rank),
            validation,
            GradientDescent(model),
            settings,
            group,
            sample=lambda model: happened[0].append(group.rank) or f"sample {len(happened[0])}",
            on_step=lambda history: happened[1].append(counts(history)),
        )
        return history, model, happened

    found = {}
    play(2, lambda group: found.update({group.rank: trained(group)}))
    alone_history, alone, _ = trained(Rank(0, 1))
    observe("history of one process", everything(alone_history), tolerance=1e-4)
    for rank in range(2):
        history, model, happened = found[rank]
        observe(f"what rank {rank} learned from", model.learned_from)
        observe(f"what rank {rank} looked at", model.looked_at)
        observe(f"sample and on_step on rank {rank}", happened)
        observe(f"history on rank {rank}", everything(history), tolerance=1e-4)
        off = [(a - b).detach() for a, b in zip(model.parameters(), alone.parameters(), strict=True)]
        observe(f"weights of rank {rank}, less those of one process", off, tolerance=1e-5)


def test_train_ddp_starts_with_a_broadcast(subject, draw, observe):
    """First broadcast the parameters."""
    train = subject.train_ddp
    for rank in (0, 1):
        model = tiny(draw)
        group, seen = Rank(rank, 2, 2.0, model.events), []
        settings = config(subject, 1, accumulate=2, eval_every=5)
        calls = {"on_step": lambda history, seen=seen: seen.append(counts(history))}
        pairs, validation = batches(draw, (2, 3), (4, 3), (2, 3)), batches(draw, (1, 3))
        train(model, pairs, validation, GradientDescent(model), settings, group, **calls)
        observe(f"what happened on rank {rank}", model.events)
        observe(f"weights on rank {rank}", weights(model), tolerance=1e-4)
        observe(f"on_step on rank {rank}", seen)


def test_train_ddp_without_anything_optional(subject, draw, observe):
    """For each (batches, learning_rate) of training_steps(train_loader, config, history), call
    update_distributed, then go on as train_model does."""
    train = subject.train_ddp
    model = tiny(draw)
    training, validation = batches(draw, (4, 5), (2, 4)), batches(draw, (2, 5))
    settings, group = ex13(subject).TrainConfig(5), Rank(1, 2, 3.0)
    history = train(model, training, validation, GradientDescent(model), settings, group)
    observe("history", everything(history), tolerance=1e-4)
    observe("weights", weights(model), tolerance=1e-4)


def test_train_ddp_evaluates_whole_batches_in_full_precision(subject, draw, observe):
    """Every process should evaluate whole batches in full precision."""
    train = subject.train_ddp
    for rank, dtype in ((0, torch.bfloat16), (1, torch.bfloat16), (1, None)):
        model = tiny(draw, dropout=0.5)
        settings = config(subject, 1, eval_every=2, eval_batches=1)
        training, validation = batches(draw, (4, 5), (2, 5)), batches(draw, (3, 6), (3, 6))
        optimizer, group = GradientDescent(model), Rank(rank, 2, 2.0)
        history = train(model, training, validation, optimizer, settings, group, "cpu", dtype)
        observe(f"dtypes, rank {rank}, {dtype}", model.dtypes)
        observe(f"modes, rank {rank}, {dtype}", model.modes)
        observe(f"looked at, rank {rank}, {dtype}", model.looked_at)
        observe(f"history, rank {rank}, {dtype}", everything(history), tolerance=1e-3)


class Stop(Exception):
    """What an on_step raises to stop the training."""


def test_train_ddp_moves_the_batches(subject, draw, observe):
    """For each (batches, learning_rate) of training_steps(train_loader, config, history), call
    update_distributed, then go on as train_model does."""
    train = subject.train_ddp
    model, trained, judged = tiny(draw), ([], []), ([], [])
    training, validation = marked(draw, trained, (2, 5), (4, 5)), marked(draw, judged, (2, 5))
    settings = config(subject, 1, eval_every=2)
    train(model, training, validation, GradientDescent(model), settings, Rank(1, 2, 2.0), torch.device("cpu", 0))
    observe("devices asked for, training", devices(trained))
    observe("devices asked for, validation", devices(judged))


# The fine print.


def test_mixed_precision_loss_of_a_float64_model(subject, draw, observe):
    """With None or torch.float32 it is calc_loss_batch: a float64 model has a float64 loss."""
    inputs, targets = batch(draw, 3, 7)
    for dtype in (None, torch.float32):
        model = tiny(draw).double()
        observe(
            f"loss, {dtype}", subject.mixed_precision_loss(inputs, targets, model, "cpu", dtype), tolerance=1e-12
        )


def test_shard_refuses_what_cannot_be_shared_out(subject, draw, observe):
    """ValueError: B is not a multiple of world_size. The message should name both numbers."""
    for rows, world_size in ((7, 3), (5, 2), (2, 4), (9, 6)):
        for rank in (0, world_size - 1):
            what = f"{rows} rows, rank {rank} of {world_size}"
            tensor = draw.normal(rows, 12)
            observe.outcome(what, subject.shard, tensor, rank, world_size, mentions=(str(rows), str(world_size)))


def test_broadcast_parameters_frozen_or_not_saved(subject, draw, observe):
    """That includes frozen parameters (requires_grad is False), and buffers that a state dict leaves out."""
    for rank, (parameters, buffers) in enumerate(on_each_rank(subject.broadcast_parameters, draw, Unusual)):
        observe(f"parameters of rank {rank}", parameters)
        observe(f"buffers of rank {rank}", buffers)


def test_average_gradients_where_a_rank_has_none(subject, draw, observe):
    """Every parameter that requires a gradient should take part, on every process, or the calls would not match.
    One that got no gradient here counts as zeros."""
    sent, found = draw.normal(2, 4, 3), []

    def program(group):
        model = Unusual()
        draw.fill(model)
        if group.rank:
            model.first.weight.grad = sent[0].clone()
        else:
            model.inner[0].weight.grad = sent[1, :2, :].reshape(6)[:2, None].repeat(1, 4).clone()
        subject.average_gradients(model, group)
        found.append(gradients(model))

    play(2, program)
    observe("gradients on each rank", found)


def test_average_gradients_of_frozen_and_shared_parameters(subject, draw, observe):
    """Frozen ones take no part, and their `.grad` stays None. A parameter that two layers share should be
    averaged once."""
    model = Unusual()
    draw.fill(model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = draw.normal(*parameter.shape).clone()
    subject.average_gradients(model, Rank(1, 2, factor=5.0))
    observe("gradients", gradients(model))
    observe("require a gradient", [parameter.requires_grad for parameter in model.parameters()])


def test_average_gradients_of_another_dtype(subject, draw, observe):
    """A result must have its inputs' dtype."""
    model = nn.Linear(3, 4).double()
    draw.fill(model)
    model.bias.grad = draw.normal(4).double()
    subject.average_gradients(model, Rank(0, 2, factor=3.0))
    observe("gradients", gradients(model), tolerance=1e-12)


def test_update_distributed_refuses_uneven_batches(subject, draw, observe):
    """ValueError: the rows of a batch cannot be shared out equally, as in shard."""
    model = tiny(draw)
    pairs = batches(draw, (4, 5), (3, 5))
    arguments = (model, pairs, GradientDescent(model), 0.25, 1e6, "cpu", Rank(0, 2, 3.0))
    observe.outcome("3 rows, 2 processes", subject.update_distributed, *arguments, mentions=("3", "2"))


def test_state_dict_to_save_takes_one_prefix_away(subject, draw, observe):
    """Take only one away, and only at the beginning: "module.module.bias" becomes "module.bias", and
    "head.module.bias" stays."""
    inner = nn.ModuleDict({"module": nn.Linear(2, 3), "led": nn.Linear(3, 2), "e_module": nn.Linear(3, 4)})
    model = nn.ModuleDict({"module_list": nn.Linear(2, 4), "head": inner})
    draw.fill(model)
    observe("names in the middle", dict(subject.state_dict_to_save(model)))
    observe("wrapped", dict(subject.state_dict_to_save(Wrapped(model))))
    observe("twice", sorted(subject.state_dict_to_save(Wrapped(Wrapped(nn.Linear(2, 3))))))
    plain = nn.Linear(2, 3)
    plain.load_state_dict(subject.state_dict_to_save(Wrapped(inner["module"])))
    observe("loaded into a plain model", dict(plain.state_dict()))


def test_train_ddp_in_the_order_of_the_lesson(subject, draw, observe):
    """After each step, in this order: add to step and tokens_seen."""
    train = subject.train_ddp
    for rank in (0, 1):
        model, happened, given = tiny(draw), [], ex13(subject).History()

        def sample(model, happened=happened, given=given):
            happened.append(("sample", *counts(given)))
            model.eval()
            return "text"

        def on_step(history, happened=happened):
            happened.append(("on_step", *counts(history)))

        settings = config(subject, 2, accumulate=2, eval_every=2)
        training, validation, optimizer = (
            batches(draw, *[(2, 3)] * 3),
            batches(draw, (1, 3)),
            GradientDescent(model),
        )
        group = Rank(rank, 2, 2.0)
        returned = train(
            model, training, validation, optimizer, settings, group, "cpu", None, sample, on_step, given
        )
        observe(f"what was called on rank {rank}, with the history's counts", happened)
        observe(f"modes on rank {rank}", model.modes)
        observe(f"learning rates on rank {rank}", optimizer.rates)
        observe(f"history on rank {rank}", everything(given), tolerance=1e-4)
        returned.samples = ["another list"]
        observe("samples given, after a change of what was returned", given.samples)


def test_train_ddp_keeps_an_empty_sample(subject, draw, observe):
    """After the last step of an epoch append the sample, on rank 0 only."""
    train = subject.train_ddp
    model = tiny(draw)
    calls = {"sample": lambda _: "", "on_step": None}
    pairs, settings = batches(draw, (2, 3)), config(subject, 2, eval_every=9)
    history = train(model, pairs, [], GradientDescent(model), settings, Rank(0, 2, 2.0), **calls)
    observe("samples", history.samples)


def test_train_ddp_goes_on_from_a_history(subject, draw, observe):
    """A history that is passed in counts as in train_model: the same object is returned, and a training that goes
    on from it is the same to the last bit as one in one go."""
    train = subject.train_ddp
    pairs = [(draw.integers(5, high=VOCABULARY), draw.integers(5, high=VOCABULARY)) for _ in range(12)]
    settings = config(subject, 2, warmup_steps=2, accumulate=2, eval_every=2, eval_batches=1)
    validation, group, start = batches(draw, (2, 5)), Rank(0, 2, 2.0), torch.get_rng_state()
    whole = tiny(draw, dropout=0.5)
    loader = shuffling_loader(pairs, 4, seed=1)
    one_go = train(whole, loader, validation, GradientDescent(whole), settings, group)
    observe("history in one go", everything(one_go), tolerance=1e-4)
    for step in (1, 3):
        torch.set_rng_state(start)
        model, history = tiny(draw, dropout=0.5), ex13(subject).History()

        def stop(history, step=step):
            if history.step == step:
                raise Stop

        try:
            train(model, loader, validation, GradientDescent(model), settings, group, on_step=stop, history=history)
        except Stop:
            observe(f"stopped after step {step}", counts(history))
        loader.generator.manual_seed(step)
        again = train(model, loader, validation, GradientDescent(model), settings, group, history=history)
        observe(f"history, gone on after step {step}", everything(again), tolerance=1e-4)
        off = [(a - b).detach() for a, b in zip(model.parameters(), whole.parameters(), strict=True)]
        observe(f"weights, less those of one go, gone on after step {step}", off, tolerance=0.0)


def test_train_ddp_with_nothing_to_do(subject, draw, observe):
    """A history that is passed in counts as in train_model: the same object is returned, and a training that goes
    on from it is the same to the last bit as one in one go."""
    train = subject.train_ddp
    training, validation = batches(draw, *[(2, 3)] * 3), batches(draw, (1, 3))
    cases = (
        ("no epochs", training, 0, None),
        ("no batches", [], 2, ex13(subject).History(0, 99, [], ["a"])),
        ("finished", training, 2, ex13(subject).History(6, 99, [], ["a", "b"])),
    )
    for what, loader, epochs, history in cases:
        model, seen = tiny(draw), []
        calls = {"sample": lambda _: "text", "on_step": lambda history, seen=seen: seen.append(counts(history))}
        settings, optimizer = config(subject, epochs, eval_every=1), GradientDescent(model)
        returned = train(model, loader, validation, optimizer, settings, Rank(0, 2, 2.0), history=history, **calls)
        observe(f"{what}: history", everything(returned))
        observe(f"{what}: what happened", [seen, model.events, model.looked_at, model.learned_from])
