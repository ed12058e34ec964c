"""Probes of ex13: the training loop. Each runs on the reference, on your code and on every known mistake.

A batch costs most of the time here, and there are hundreds of mistakes: the model is as small as can be, and the
loaders hold two to five batches. The core first, then the fine print, as in the docstrings.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

VOCABULARY = 13


class Tiny(nn.Module):
    """Predicts each next token from the one before it alone, and writes down what happens to it."""

    def __init__(self, dropout=0.0, name="tiny"):
        super().__init__()
        self.table = nn.Parameter(torch.empty(VOCABULARY, VOCABULARY))
        self.shift = nn.Parameter(torch.empty(VOCABULARY))
        self.dropout = nn.Dropout(dropout)
        self.name = name
        self.learned_from, self.looked_at, self.modes, self.events = [], [], [], []

    def forward(self, ids):
        logits = self.dropout(F.embedding(ids, self.table)) + self.shift
        (self.learned_from if logits.requires_grad else self.looked_at).append(ids.tolist())
        self.modes.append("training" if self.training else "evaluation")
        if logits.requires_grad:
            self.events.append("forward")
            logits.register_hook(lambda gradient: self.events.append("backward"))
        return logits


def tiny(draw, dropout=0.0, scale=1.0):
    model = Tiny(dropout)
    draw.fill(model, scale)
    return model


def batch(draw, rows, length):
    """A pair of inputs and targets; one target does not count."""
    targets = draw.integers(rows, length, high=VOCABULARY).clone()
    targets[draw.whole(0, rows), draw.whole(0, length)] = -100
    return draw.integers(rows, length, high=VOCABULARY), targets


def batches(draw, *shapes):
    return [batch(draw, rows, length) for rows, length in shapes]


def shuffling_loader(draw, sequences, batch_size=2, seed=1):
    pairs = [(draw.integers(5, high=VOCABULARY), draw.integers(5, high=VOCABULARY)) for _ in range(sequences)]
    return DataLoader(pairs, batch_size, shuffle=True, generator=torch.Generator().manual_seed(seed))


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


def config(subject, num_epochs, **named):
    """Steps large enough to be seen; no clipping unless it is asked for."""
    return subject.TrainConfig(num_epochs, **({"max_lr": 0.4, "min_lr": 0.05, "max_norm": 1e6} | named))


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


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


def noting(seen):
    """An on_step that writes down the counts."""
    return lambda history: seen.append(counts(history))


def test_steps_per_epoch(subject, draw, observe):
    """How many steps one epoch makes. A smaller group at its end makes a step too."""
    pairs = ((5, 2), (6, 2), (6, 3), (7, 3), (8, 3), (3, 1), (1, 4), (4, 4), (3, 4), (1, 1), (2001, 1000))
    for num_batches, accumulate in pairs:
        observe(f"{num_batches} batches by {accumulate}", subject.steps_per_epoch(num_batches, accumulate))
    observe("no batches", [subject.steps_per_epoch(0, accumulate) for accumulate in (1, 3)])
    num_batches, accumulate = draw.whole(20, 1000), draw.whole(2, 20)
    observe(f"{num_batches} batches by {accumulate}", subject.steps_per_epoch(num_batches, accumulate))


def test_seed_loader_decides_the_order(subject, draw, observe):
    """If the loader has an attribute `generator` that is not None, call its method `manual_seed`. The sampler,
    which draws the order, shares that generator, so you must not replace it.
    """
    loader = shuffling_loader(draw, 20)
    generator, first, second = loader.generator, draw.whole(2, 1000), draw.whole(1000, 2000)
    for seed in (first, second, first):
        subject.seed_loader(loader, seed)
        observe("seed of the loader's first generator", generator.initial_seed())
        observe(f"batches with seed {seed}", [inputs.tolist() for inputs, _ in loader])


def test_seed_loader_takes_whatever_has_a_generator(subject, draw, observe):
    """If the loader has an attribute `generator` that is not None, call its method `manual_seed`."""

    class Windows:
        def __init__(self):
            self.generator = torch.Generator()

        def __iter__(self):
            while True:
                yield torch.randint(100, (3,), generator=self.generator).tolist()

    loader = Windows()
    subject.seed_loader(loader, draw.whole(2, 1000))
    observe("what comes next", [next(iter(loader)), next(iter(loader))])


def test_seed_loader_without_a_generator(subject, draw, observe):
    """A list has none, and a DataLoader may have None: then do nothing."""
    for what, loader in (("a list", batches(draw, (2, 3), (1, 3))), ("no generator", DataLoader([1, 2, 3]))):
        observe.outcome(f"returned for {what}", subject.seed_loader, loader, 5)


def test_update_from_one_batch(subject, draw, observe):
    """One step of the optimizer, in the six points of the lesson."""
    model = tiny(draw)
    optimizer = GradientDescent(model)
    observe("tokens", subject.update(model, batches(draw, (2, 7)), optimizer, 0.25, 1e6, "cpu"))
    observe("gradients at the step", optimizer.gradients)
    observe("weights", weights(model))


def test_update_from_several_batches(subject, draw, observe):
    """The gradient should be that of the mean loss of the batches."""
    model = tiny(draw)
    optimizer = GradientDescent(model)
    group = batches(draw, (3, 5), (1, 4), (2, 7))
    observe("tokens", subject.update(model, group, optimizer, 0.25, 1e6, "cpu"))
    observe("gradients at the step", optimizer.gradients)
    observe("weights", weights(model))
    observe("tokens of two batches", subject.update(model, group[:2], optimizer, 0.25, 1e6, "cpu"))
    observe("weights after two batches more", weights(model))


def test_update_one_thing_after_the_other(subject, draw, observe):
    """Call `backward` for one batch before the next one comes, so that the memory of one batch suffices."""
    model = tiny(draw)
    group = batches(draw, (2, 5), (2, 5), (1, 5))
    subject.update(model, group, GradientDescent(model), 0.25, 1e6, "cpu")
    observe("what happened", model.events)
    observe("what the model was given", model.learned_from)


def test_update_starts_from_empty_gradients(subject, draw, observe):
    """The mode in which the model comes, and gradients that somebody left there, should not matter."""
    model = tiny(draw)
    optimizer = GradientDescent(model)
    for parameter in model.parameters():
        parameter.grad = draw.normal(*parameter.shape).clone()
    for step in (1, 2, 3):
        subject.update(model, batches(draw, (2, 5)), optimizer, 0.25, 1e6, "cpu")
        observe(f"gradients at step {step}", optimizer.gradients[-1])
    observe("weights", weights(model))


def test_update_clips_all_gradients_together(subject, draw, observe):
    """All parameters of the model should be clipped together, once."""
    for max_norm, shapes in ((0.05, [(3, 5), (1, 4), (2, 7)]), (0.3, [(3, 5), (1, 4)]), (50.0, [(1, 2)])):
        model = tiny(draw)
        optimizer = GradientDescent(model)
        subject.update(model, batches(draw, *shapes), optimizer, 0.25, max_norm, "cpu")
        observe(f"gradients at the step, max_norm {max_norm}", optimizer.gradients)
        observe(f"weights, max_norm {max_norm}", weights(model))


def test_update_sets_the_learning_rate(subject, draw, observe):
    """The learning rate belongs in *every* group of `optimizer.param_groups`, under "lr"."""
    model = tiny(draw)
    optimizer = GradientDescent(model, groups=1)
    for rate in (draw.number(0.1, 0.5), 0.0):
        subject.update(model, batches(draw, (2, 5)), optimizer, rate, 1e6, "cpu")
        observe("learning rate at the step", optimizer.rates[-1])
        observe("weights", weights(model))


class Moved(torch.Tensor):
    """A tensor that writes down to which device it is moved."""

    asked: list[str]

    def to(self, *arguments, **named):
        self.asked.append(str(torch.device(named["device"] if "device" in named else arguments[0])))
        return self.as_subclass(torch.Tensor)


def marked(draw, asked, count):
    """Batches that write down in `asked` to which device they are moved."""
    kind = type("Moved", (Moved,), {"asked": asked})
    return [tuple(part.as_subclass(kind) for part in batch(draw, 2, 5)) for _ in range(count)]


def test_update_moves_the_batches(subject, draw, observe):
    """device where the batches belong"""
    for device in ("cpu:0", torch.device("cpu", 0)):
        model, asked = tiny(draw), []
        observe("tokens", subject.update(model, marked(draw, asked, 2), GradientDescent(model), 0.25, 1e6, device))
        observe("devices asked for", sorted(set(asked)))


def test_train_epoch_groups_the_batches(subject, draw, observe):
    """What is left over at the end of an epoch makes a smaller group, divided by its own size."""
    epoch_of = subject.train_epoch
    for accumulate in (2, 3, 4):
        model, history = tiny(draw), subject.History()
        optimizer, training = GradientDescent(model), batches(draw, *[(2, 3)] * 3)
        for epoch in (1, 2):
            epoch_of(model, training, optimizer, config(subject, 2, accumulate=accumulate), history, epoch)
            observe("step and tokens seen", [history.step, history.tokens_seen])
        observe(f"what happened, {accumulate} at a time", model.events)
        observe(f"what it learned from, {accumulate} at a time", model.learned_from)
        observe(f"gradients at each step, {accumulate} at a time", optimizer.gradients)
        observe(f"weights, {accumulate} at a time", weights(model), tolerance=1e-4)


def test_train_epoch_shuffles_each_epoch_anew(subject, draw, observe):
    """Here the order of the batches depends only on a seed and the number of the epoch."""
    epoch_of = subject.train_epoch
    model, loader, history = tiny(draw), shuffling_loader(draw, 9), subject.History()
    optimizer, settings = GradientDescent(model), config(subject, 2, accumulate=3, seed=draw.whole(0, 1000))
    for epoch in (1, 2):
        epoch_of(model, loader, optimizer, settings, history, epoch)
    observe("what it learned from", model.learned_from)


def test_train_epoch_calls_after_step(subject, draw, observe):
    """after_step a function of the learning rate; or None"""
    epoch_of = subject.train_epoch
    model, history, called = tiny(draw), subject.History(), []

    def after_step(learning_rate):
        called.append((learning_rate, history.step, history.tokens_seen, model.events.count("step")))

    settings = config(subject, 1, accumulate=2, warmup_steps=1)
    training = batches(draw, (2, 5), (1, 5), (2, 4))
    observe(
        "what train_epoch returns",
        epoch_of(model, training, GradientDescent(model), settings, history, 1, "cpu", after_step),
    )
    observe("learning rate, step, tokens seen and steps of the optimizer at each call", called)


def test_train_epoch_goes_on_from_a_history(subject, draw, observe):
    """Make the steps of one epoch that are left."""
    epoch_of = subject.train_epoch
    for step, epoch in ((1, 1), (2, 2), (3, 2), (5, 3)):
        model, history, called = tiny(draw).eval(), subject.History(step, 5000), []
        optimizer, training = GradientDescent(model), batches(draw, *[(2, 3)] * 3)
        settings = config(subject, 3, accumulate=2, warmup_steps=2)
        epoch_of(model, training, optimizer, settings, history, epoch, after_step=called.append)
        observe(f"what it learned from, after step {step}", model.learned_from)
        observe(f"modes of the forward passes, after step {step}", model.modes)
        observe(f"learning rates, after step {step}", called)
        observe(f"step and tokens seen, after step {step}", [history.step, history.tokens_seen])


def test_lesson_example(subject, draw, observe):
    """the lesson's 6 steps give evaluations with steps 2, 4, 6 and tokens_seen 32, 56, 80."""
    train = subject.train_model
    model, seen = tiny(draw), []
    optimizer = GradientDescent(model)
    rates = {"max_lr": 1.0, "min_lr": 0.1, "warmup_steps": 2}
    settings = config(subject, 2, accumulate=2, eval_every=2, eval_batches=1, **rates)
    training, validation = batches(draw, *[(2, 4)] * 5), batches(draw, (2, 4))
    calls = {"sample": lambda _: "hello", "on_step": noting(seen)}
    history = train(model, training, validation, optimizer, settings, **calls)
    observe("step, tokens seen, evaluations and samples after each step", seen)
    observe("learning rates", optimizer.rates)
    observe("history", everything(history), tolerance=1e-4)


def test_train_model_without_anything_optional(subject, draw, observe):
    """where to resume; None to start afresh"""
    train = subject.train_model
    model = tiny(draw)
    training, validation = batches(draw, (2, 5), (1, 4)), batches(draw, (2, 5))
    history = train(model, training, validation, GradientDescent(model), subject.TrainConfig(5))
    observe("history", everything(history), tolerance=1e-4)
    observe("weights", weights(model), tolerance=1e-4)


def test_train_model_with_everything_at_once(subject, draw, observe):
    """Train a model, from the beginning or from where a history ends."""
    train = subject.train_model
    model = tiny(draw, dropout=0.5)
    optimizer = GradientDescent(model)
    training, validation = batches(draw, *[(3, 5)] * 3, (1, 4), (2, 7)), batches(draw, (2, 5), (2, 5), (1, 3))
    settings = config(subject, 2, warmup_steps=2, max_norm=0.4, accumulate=3, eval_every=2, eval_batches=2)
    history = train(model, training, validation, optimizer, settings, "cpu", lambda _: "text")
    observe("history", everything(history), tolerance=1e-4)
    observe("learning rates", optimizer.rates)
    observe("gradients at each step", optimizer.gradients, tolerance=1e-4)
    observe("weights", weights(model), tolerance=1e-4)


def test_train_model_evaluates_every_few_steps(subject, draw, observe):
    """Every few steps the loop computes the loss on training batches, and on validation batches, from which the
    model never learns.
    """
    train = subject.train_model
    for eval_every in (1, 3, 5):
        model = tiny(draw)
        settings = config(subject, 2, eval_every=eval_every, eval_batches=1)
        training, validation = batches(draw, (2, 3), (2, 3)), batches(draw, (1, 3))
        history = train(model, training, validation, GradientDescent(model), settings)
        observe(f"curve, every {eval_every}", points(history), tolerance=1e-4)


def test_train_model_never_learns_from_the_validation_batches(subject, draw, observe):
    """Every few steps the loop computes the loss on training batches, and on validation batches, from which the
    model never learns.
    """
    train = subject.train_model
    for eval_batches in (None, 1, 9):
        model = tiny(draw, dropout=0.5)
        training, validation = batches(draw, (2, 5), (2, 5), (1, 4)), batches(draw, (2, 6), (3, 6), (2, 6), (1, 6))
        settings = config(subject, 1, eval_every=2, eval_batches=eval_batches)
        history = train(model, training, validation, GradientDescent(model), settings)
        observe(f"learned from, eval_batches {eval_batches}", model.learned_from)
        observe(f"looked at, eval_batches {eval_batches}", sorted(model.looked_at))
        observe(f"in evaluation mode, eval_batches {eval_batches}", model.modes.count("evaluation"))
        observe(f"curve, eval_batches {eval_batches}", points(history), tolerance=1e-4)


def test_train_model_evaluates_on_the_same_batches_each_time(subject, draw, observe):
    """Each evaluation looks at the same batches, or the curve would move because the batches do."""
    train = subject.train_model
    model, loader, looked_at = tiny(draw), shuffling_loader(draw, 9), []
    settings = config(subject, 2, accumulate=2, eval_every=2, eval_batches=2, seed=draw.whole(0, 1000))

    def look(history):
        looked_at.append(sorted(model.looked_at))
        model.looked_at.clear()

    history = train(model, loader, batches(draw, (2, 5)), GradientDescent(model), settings, on_step=look)
    observe("looked at after each step", looked_at)
    observe("what it learned from", model.learned_from)
    observe("curve", points(history), tolerance=1e-4)


def test_train_model_sample_then_on_step(subject, draw, observe):
    """if it was the last of its epoch: append sample(model) on_step(history)"""
    train = subject.train_model
    given, happened = subject.History(), []
    settings = config(subject, 2, accumulate=2, eval_every=2)

    def sample(model):
        happened.append(("sample", *counts(given)))
        return f"{model.name} {len(happened)}"

    def on_step(history):
        happened.append(("on_step", *counts(history)))

    model = tiny(draw)
    training, validation = batches(draw, *[(2, 3)] * 3), batches(draw, (1, 3))
    train(model, training, validation, GradientDescent(model), settings, "cpu", sample, on_step, given)
    observe("what was called, with the history's counts", happened)
    observe("history", everything(given), tolerance=1e-4)


def test_train_model_keeps_every_sample(subject, draw, observe):
    """After each epoch comes a sample of text, which says more to you than a loss."""
    train = subject.train_model
    texts = iter(("the same", "", "the same"))
    model = tiny(draw)
    settings = config(subject, 3, eval_every=9)
    calls = {"sample": lambda _: next(texts)}
    history = train(model, batches(draw, (1, 2)), [], GradientDescent(model), settings, **calls)
    observe("samples", history.samples)
    observe("weights", weights(model), tolerance=1e-4)


class Numbered:
    """Batches with a length and a `generator`, itself. It notes with which seeds it is gone through."""

    def __init__(self, batches):
        self.batches, self.generator, self.seed, self.gone_through = batches, self, None, set()

    def manual_seed(self, seed):
        self.seed = seed

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        self.gone_through.add(self.seed)
        return iter(self.batches)


def test_train_model_goes_on_from_a_history(subject, draw, observe):
    """Train a model, from the beginning or from where a history ends."""
    train = subject.train_model
    validation = batches(draw, (1, 3))
    for step in (1, 2, 5):
        model, seen, training = tiny(draw), [], Numbered(batches(draw, *[(2, 3)] * 3))
        optimizer = GradientDescent(model)
        given = subject.History(step, 5000, [subject.Evaluation(3, 70, 2.5, 2.75, 0.125)], ["earlier"])
        settings = config(subject, 3, accumulate=2, eval_every=3, eval_batches=1, warmup_steps=2, seed=70)
        calls = {"sample": lambda _: "later", "on_step": noting(seen)}
        returned = train(model, training, validation, optimizer, settings, history=given, **calls)
        observe(f"what it learned from, from step {step} on", model.learned_from)
        observe(f"batches looked at, from step {step} on", len(model.looked_at))
        observe(f"seeds with which training batches were taken, from step {step} on", sorted(training.gone_through))
        observe(f"learning rates, from step {step} on", optimizer.rates)
        observe(f"after each step, from step {step} on", seen)
        observe(f"history given, from step {step} on", everything(given), tolerance=1e-4)
        observe(f"history returned, from step {step} on", everything(returned), tolerance=1e-4)
        returned.samples = ["another list"]
        observe("samples given, after a change of what was returned", given.samples)


# The fine print.


def test_seed_loader_leaves_the_random_state_alone(subject, draw, observe):
    """torch's global random state, from which dropout draws, must stay as it is."""
    plain, seeded = batches(draw, (2, 3), (1, 3)), shuffling_loader(draw, 6)
    for what, loader in (("a list", plain), ("no generator", DataLoader([1, 2, 3])), ("a generator", seeded)):
        before = torch.get_rng_state().int()
        observe.outcome(f"returned for {what}", subject.seed_loader, loader, 5)
        observe(f"change of the global random state, {what}", torch.get_rng_state().int() - before)


def test_update_in_training_mode(subject, draw, observe):
    """The mode in which the model comes, and gradients that somebody left there, should not matter."""
    for mode in (True, False):
        model = tiny(draw, dropout=0.5).train(mode)
        subject.update(model, batches(draw, (2, 5), (2, 5)), GradientDescent(model), 0.25, 1e6, "cpu")
        observe(f"modes of the forward passes, training={mode} before", model.modes)
        observe(f"weights, training={mode} before", weights(model))


def test_update_sets_the_learning_rate_of_every_group(subject, draw, observe):
    """The learning rate belongs in *every* group of `optimizer.param_groups`, under "lr"."""
    for groups in (2, 3):
        model = tiny(draw)
        optimizer = GradientDescent(model, groups)
        subject.update(model, batches(draw, (2, 5)), optimizer, draw.number(0.1, 0.5), 1e6, "cpu")
        observe("learning rates at the step", optimizer.rates[-1])
        observe("weights", weights(model))


def test_train_epoch_learning_rates(subject, draw, observe):
    """lr_at counts from 0, so the step with the number s gets the rate for s - 1. Its total_steps are those of all
    config.num_epochs epochs.
    """
    epoch_of = subject.train_epoch
    largest, least = draw.number(0.2, 0.4), draw.number(0.01, 0.1)
    for warmup_steps, accumulate, epochs in ((0, 1, 2), (2, 2, 3), (5, 2, 2)):
        model, history, training = tiny(draw), subject.History(), batches(draw, *[(1, 3)] * 3)
        optimizer = GradientDescent(model)
        rates = {"max_lr": largest, "min_lr": least, "warmup_steps": warmup_steps}
        settings = config(subject, epochs, accumulate=accumulate, **rates)
        for epoch in range(1, epochs + 1):
            epoch_of(model, training, optimizer, settings, history, epoch)
        observe(f"rates, warmup {warmup_steps}, {accumulate} at a time", optimizer.rates)


def test_train_epoch_passes_over_batches_unseen(subject, draw, observe):
    """A finished epoch should take no batch from the loader. Batches that are skipped must not go through the
    model.
    """
    epoch_of = subject.train_epoch
    for step, epoch in ((4, 2), (4, 1), (2, 1)):
        model, history, training = (
            tiny(draw, dropout=0.5),
            subject.History(step, 99),
            Numbered(batches(draw, *[(2, 3)] * 3)),
        )
        settings = config(subject, 3, accumulate=2, seed=70)
        epoch_of(model, training, GradientDescent(model), settings, history, epoch)
        what = f"epoch {epoch}, after step {step}"
        observe(f"modes of the forward passes, {what}", model.modes)
        observe(f"seeds with which training batches were taken, {what}", sorted(training.gone_through))
        observe(f"step and tokens seen, {what}", [history.step, history.tokens_seen])


def test_train_epoch_without_batches(subject, draw, observe):
    """train_loader may be empty."""
    epoch_of = subject.train_epoch
    model, history, called = tiny(draw), subject.History(0, 99), []
    observe.outcome(
        "no batches",
        epoch_of,
        model,
        [],
        GradientDescent(model),
        config(subject, 2),
        history,
        1,
        after_step=called.append,
    )
    observe("step, tokens seen and what was called", [history.step, history.tokens_seen, called])


def test_train_epoch_leaves_the_random_state_alone(subject, draw, observe):
    """The loop itself should neither seed torch's global random state nor draw from it, as that is for dropout."""
    epoch_of = subject.train_epoch
    model, loader = tiny(draw), shuffling_loader(draw, 5)
    before = torch.get_rng_state().int()
    epoch_of(model, loader, GradientDescent(model), config(subject, 1), subject.History(), 1)
    observe("change of the global random state", torch.get_rng_state().int() - before)


def test_train_epoch_moves_the_batches(subject, draw, observe):
    """device where the batches belong"""
    epoch_of = subject.train_epoch
    model, asked = tiny(draw), []
    settings, history = config(subject, 1), subject.History()
    epoch_of(model, marked(draw, asked, 2), GradientDescent(model), settings, history, 1, torch.device("cpu", 0))
    observe("devices asked for", sorted(set(asked)))


def test_train_model_on_step_gets_the_history_itself(subject, draw, observe):
    """A history that is handed in is changed, and is the very object that on_step gets and that is returned."""
    train = subject.train_model
    model = tiny(draw)

    def note(history):
        history.samples = [*history.samples, f"after step {history.step}"]

    settings = config(subject, 2, eval_every=2)
    training, validation = batches(draw, *[(2, 3)] * 3), batches(draw, (1, 3))
    calls = {"sample": lambda _: "end of an epoch", "on_step": note}
    history = train(model, training, validation, GradientDescent(model), settings, **calls)
    observe("history", everything(history), tolerance=1e-4)


def test_train_model_lets_the_sample_draw(subject, draw, observe):
    """The loop itself should leave torch's global random state alone."""
    train = subject.train_model
    model = tiny(draw)
    settings = config(subject, 3, eval_every=9)
    calls = {"sample": lambda _: str(torch.randint(1000, (2,)).tolist())}
    history = train(model, batches(draw, (2, 3)), [], GradientDescent(model), settings, **calls)
    observe("samples", history.samples)
    observe("what is drawn next", torch.randint(1000, (2,)))


class Stop(Exception):
    """What an on_step raises to stop the training."""


def stopping_after(step, error):
    def on_step(history):
        if history.step == step:
            raise error

    return on_step


def differences(one, other):
    """Between two pairs of a history and a model: of the curves, and of the weights."""
    (history, model), (other_history, other_model) = one, other
    curves = zip(points(history), points(other_history), strict=False)
    parameters = zip(model.parameters(), other_model.parameters(), strict=True)
    return {
        "curve": [[a - b for a, b in zip(*pair, strict=True)] for pair in curves],
        "weights": [(a - b).detach() for a, b in parameters],
    }


def test_train_model_interrupted_is_as_in_one_go(subject, draw, observe):
    """The curve is the same to the last bit, if model, optimizer and torch's random state are as they were."""
    train = subject.train_model
    training, validation = shuffling_loader(draw, 6), batches(draw, (2, 5), (1, 5))
    settings = config(subject, 2, warmup_steps=2, max_norm=0.5, accumulate=2, eval_every=2, eval_batches=1)
    sample = {"sample": lambda _: "text"}
    start = torch.get_rng_state()
    whole_model = tiny(draw, dropout=0.5)
    whole = train(whole_model, training, validation, GradientDescent(whole_model), settings, **sample)
    observe("history in one go", everything(whole), tolerance=1e-4)
    for step, error in ((1, Stop), (3, KeyboardInterrupt)):
        torch.set_rng_state(start)
        model, history = tiny(draw, dropout=0.5), subject.History()
        stop = {"on_step": stopping_after(step, error), "history": history}
        try:
            train(model, training, validation, GradientDescent(model), settings, **sample, **stop)
        except error:
            observe(f"stopped after step {step}", counts(history))
        left = torch.get_rng_state()
        torch.rand(step)
        training.generator.manual_seed(step)
        model_again = tiny(draw, dropout=0.5)
        model_again.load_state_dict(model.state_dict())
        copied = subject.History(history.step, history.tokens_seen, [*history.evaluations], [*history.samples])
        torch.set_rng_state(left)
        again = train(
            model_again, training, validation, GradientDescent(model_again), settings, **sample, history=copied
        )
        observe(f"history, gone on after step {step}", everything(again), tolerance=1e-4)
        difference = differences((again, model_again), (whole, whole_model))
        observe(f"difference from one go, gone on after step {step}", difference, tolerance=0.0)


def test_train_model_leaves_the_random_state_alone(subject, draw, observe):
    """The loop itself should leave torch's global random state alone."""
    train = subject.train_model
    model, loader = tiny(draw), shuffling_loader(draw, 5)
    before = torch.get_rng_state().int()
    train(model, loader, batches(draw, (2, 5)), GradientDescent(model), config(subject, 1, eval_every=2))
    observe("change of the global random state", torch.get_rng_state().int() - before)


def test_train_model_with_nothing_to_do(subject, draw, observe):
    """If there is no step to make, nothing is evaluated, sampled or called."""
    train = subject.train_model
    training, validation = batches(draw, *[(2, 3)] * 3), batches(draw, (1, 3))
    cases = (
        ("no epochs", training, 0, None),
        ("no epochs, a history", training, 0, subject.History(4, 99, [], ["a"])),
        ("no batches", [], 2, None),
        ("no batches, a history", [], 2, subject.History(0, 99, [], ["a"])),
        ("finished", training, 2, subject.History(6, 99, [], ["a", "b"])),
        ("more than finished", training, 1, subject.History(6, 99, [], ["a", "b"])),
    )
    for what, loader, epochs, history in cases:
        model, seen = tiny(draw), []
        calls = {"sample": lambda _: "text", "on_step": noting(seen)}
        settings = config(subject, epochs, eval_every=1)
        returned = train(model, loader, validation, GradientDescent(model), settings, history=history, **calls)
        observe(f"{what}: history", everything(returned))
        observe(f"{what}: what happened", [seen, model.events, model.looked_at])
        observe(f"{what}: weights", weights(model))


def test_train_model_moves_the_batches(subject, draw, observe):
    """device where the batches belong"""
    train = subject.train_model
    for eval_every in (1, 9):
        model, trained, judged = tiny(draw), [], []
        training, validation = marked(draw, trained, 2), marked(draw, judged, 1)
        settings = config(subject, 1, eval_every=eval_every)
        train(model, training, validation, GradientDescent(model), settings, torch.device("cpu", 0))
        observe("devices asked for, training", sorted(set(trained)))
        observe("devices asked for, validation", sorted(set(judged)))
