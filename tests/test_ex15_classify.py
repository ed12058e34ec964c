"""Probes of ex15: classification. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print. Only ClassifierGPT needs a GPT; everything else is tried on a small classifier
that writes down what happens to it.
"""

import random
from importlib import import_module

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader

V, CLASSES, D = 13, 3, 6


class Letters:
    """One token a letter: a = 1, b = 2, … l = 12. It notes what it was given."""

    def __init__(self):
        self.given = []

    def encode(self, text):
        self.given.append(text)
        return [(ord(letter) - 96) % V for letter in text]


def word(draw, length):
    """A text of so many tokens, each 1 … 12."""
    return draw.word("abcdefghijkl", length, length + 1)


def messages(draw, *counts):
    """So many messages of each label, all different, in random order."""
    every = [(f"{word(draw, 4)} {label} {i}", label) for label, count in enumerate(counts) for i in range(count)]
    return draw.shuffled(every)


def rows(dataset):
    """All items of a data set, as plain values."""
    items = [dataset[index] for index in range(len(dataset))]
    return [(ids.tolist(), int(length), int(label)) for ids, length, label in items]


def gpt_model(subject, draw, tied=True, layers=2, context=9):
    """A GPTModel with random numbers everywhere, in evaluation mode."""
    ex09 = import_module(".ex09_gpt", subject.__package__)
    sizes = {"vocab_size": V, "context_length": context, "emb_dim": D, "n_heads": 2, "n_layers": layers}
    gpt = ex09.GPTModel(ex09.GPTConfig(**sizes, drop_rate=0.1, qkv_bias=True), tied)
    draw.fill(gpt, 0.4)
    return gpt.eval()


class Tiny(nn.Module):
    """Classifies by the real tokens of a row and their number. It notes how it was called.

    `frozen` is a parameter that is not trained.
    """

    def __init__(self, draw, dropout=0.0, scale=0.7):
        super().__init__()
        self.table = nn.Parameter(torch.empty(V, CLASSES))
        self.shift = nn.Parameter(torch.empty(CLASSES))
        self.frozen = nn.Parameter(torch.empty(CLASSES), requires_grad=False)
        self.dropout = nn.Sequential(nn.Dropout(dropout))  # a part of a part
        self.given, self.learned_from, self.looked_at, self.modes, self.graphs, self.events = [], [], [], [], [], []
        draw.fill(self, scale)

    def forward(self, ids, lengths):
        self.given.append([row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)])
        self.modes.append({name: module.training for name, module in self.named_modules()})
        self.graphs.append(torch.is_grad_enabled())
        real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        read = self.dropout(F.embedding(ids, self.table)) * real[..., None]
        logits = read.sum(dim=1) + self.shift * lengths[:, None] / 7 + self.frozen
        (self.learned_from if logits.requires_grad else self.looked_at).append(self.given[-1])
        if logits.requires_grad:
            self.events.append("forward")
            logits.register_hook(lambda gradient: self.events.append("backward"))
        return logits


class Fixed(nn.Module):
    """Gives the logits of message i where the first id of a row is i."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids, lengths):
        return self.logits[ids[:, 0]]


LESSON = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])


def lesson(*sizes):
    """The three messages of the lesson, in batches of these sizes."""
    ids, lengths, labels = torch.tensor([[0, 0], [1, 0], [2, 0]]), torch.tensor([1, 2, 1]), torch.tensor([0, 1, 1])
    return list(zip(ids.split(sizes), lengths.split(sizes), labels.split(sizes), strict=True))


def batch(draw, size, room=5):
    """Random messages; each length and each label that fits."""
    lengths = draw.integers(size, low=1, high=room + 1)
    return draw.integers(size, room, high=V), lengths, draw.integers(size, high=CLASSES)


def batches(draw, *sizes, room=5):
    return [batch(draw, size, room) for size in sizes]


def shuffling_loader(draw, count, batch_size=2, seed=1):
    triples = [(draw.integers(5, high=V), draw.whole(1, 6), draw.whole(0, CLASSES)) for _ in range(count)]
    return DataLoader(triples, batch_size, shuffle=True, generator=torch.Generator().manual_seed(seed))


def record_graphs_again():
    """Whatever the code under test has left behind in earlier probes."""
    torch.set_grad_enabled(True)


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


def trained(model):
    return {name: parameter.requires_grad for name, parameter in model.named_parameters()}


def shapes(model):
    return {name: parameter.shape for name, parameter in model.named_parameters()}


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


class GradientDescent(torch.optim.Optimizer):
    """The plainest optimizer, for what trains, with one group for each parameter. It notes what it finds.

    It leaves out `Optimizer.__init__`, which would first import torch's compiler and take seconds for that.
    """

    def __init__(self, model):
        self.model, self.defaults, self.state = model, {"lr": 0.3}, {}
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.param_groups = [{"params": [parameter], "lr": 0.7} for parameter in trained]
        self.rates, self.gradients = [], []

    def zero_grad(self, set_to_none=True):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self, closure=None):
        self.rates.append([group["lr"] for group in self.param_groups])
        found = [group["params"][0].grad for group in self.param_groups]
        self.gradients.append([None if gradient is None else gradient.clone() for gradient in found])
        self.model.events.append("step")
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter -= group["lr"] * parameter.grad


class OneDevice(TorchFunctionMode):
    """Tells apart, without a GPU, what is on the device HERE: tensors that were moved to it or made on it.

    Tensors that bear no mark, such as weights, are on it.
    """

    HERE = torch.device("cpu", 0)
    across = {"__getitem__", "__setitem__", "copy_", "to"}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func == torch.Tensor.device.__get__:
            return torch.device("cpu") if elsewhere(args[0]) else self.HERE
        name = getattr(func, "__name__", "")
        given = tensors_in((args, tuple(kwargs.values())))
        if name not in self.across and len({elsewhere(tensor) for tensor in given if tensor.dim() > 0}) == 2:
            raise RuntimeError("Expected all tensors to be on the same device, but found at least two devices")
        result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor):
            places = [*(args[1:] if name == "to" else ()), kwargs.get("device")]
            devices = [torch.device(place) for place in places if isinstance(place, torch.device | str)]
            inherited = elsewhere(given[0]) if given else True
            result.elsewhere = devices[0].index is None if devices else inherited or name == "cpu"
            if devices and given and not result.elsewhere:
                given[0].was_moved = True
        return result


def elsewhere(tensor):
    return getattr(tensor, "elsewhere", False)


def tensors_in(value):
    """All tensors in nested tuples and lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for item in value for tensor in tensors_in(item)] if isinstance(value, tuple | list) else []


def from_elsewhere(group):
    """The same batches, on another device than the model."""
    copies = [tuple(tensor.clone() for tensor in triple) for triple in group]
    for tensor in tensors_in(copies):
        tensor.elsewhere = True
    return copies


def config(subject, num_epochs, **named):
    """Steps large enough to be seen; no clipping unless it is asked for."""
    return subject.TrainConfig(num_epochs, **({"max_lr": 0.4, "min_lr": 0.05, "max_norm": 1e6} | named))


def points(history):
    """The curve, as plain values."""
    losses = [(e.train_loss, e.val_loss, e.train_accuracy, e.val_accuracy) for e in history.evaluations]
    return [
        (e.step, e.examples_seen, *four, e.learning_rate)
        for e, four in zip(history.evaluations, losses, strict=True)
    ]


def everything(history):
    return {"step": history.step, "examples_seen": history.examples_seen, "evaluations": points(history)}


def counts(history):
    return history.step, history.examples_seen, len(history.evaluations)


def noting(seen):
    """An on_step that writes down the counts."""
    return lambda history: seen.append(counts(history))


# The messages.


def test_balance_keeps_as_many_of_each(subject, draw, observe):
    """As many messages of each label as there are of the rarest."""
    seed = draw.whole(1, 1000)
    for numbers in ((9, 4), (3, 8), (7, 2, 5), (6, 1)):
        observe(f"of {numbers}", subject.balance(messages(draw, *numbers), seed))
    given = [("a", 1), ("b", 0), ("c", 0), ("d", 1), ("e", 0)]
    observe("the example", subject.balance(given, 3))


def test_balance_depends_on_the_seed_alone(subject, draw, observe):
    """Make one `random.Random(seed)`. For each label, the smallest first, call its `sample(all with this label,
    n)`, where n is how many messages the rarest label has, and join what comes.
    """
    given = messages(draw, 12, 5)
    for seed in (0, 1, 0, draw.whole(2, 1000)):
        observe(f"with the seed {seed}", subject.balance(given, seed))


def test_split_has_three_parts(subject, draw, observe):
    """Shuffle a copy of the list with `random.Random(seed).shuffle`."""
    given = messages(draw, 13, 7)
    observe("as it stands", subject.split_frames(given))
    observe("0.5 and 0.3", subject.split_frames(given, 0.5, 0.3, 7))
    observe("by name", subject.split_frames(given, seed=draw.whole(0, 1000), val_share=0.25, train_share=0.6))
    observe("13 messages", [len(part) for part in subject.split_frames(given[:13])])


def test_split_rounds_down(subject, draw, observe):
    """The first int(n · train_share) of the n messages are for training, the next int(n · val_share) for
    validation, and all the rest for the test.
    """
    given = messages(draw, 29)
    for count, train_share, val_share in ((29, 0.7, 0.1), (19, 0.55, 0.25), (11, 0.45, 0.45), (9, 0.85, 0.15)):
        observe(f"{count} messages", subject.split_frames(given[:count], train_share, val_share, 5))


# The data set.


def test_dataset_of_the_lesson(subject, draw, observe):
    """Messages as rows of equal length."""

    class Words:
        def encode(self, text):
            return [
                {"win": 5, "cash": 9, "now": 2, "see": 7, "you": 3, "at": 8, "nine": 4}[w] for w in text.split()
            ]

    given = [("win cash now", 1), ("", 0), ("see you at nine", 0), ("win win cash at nine", 1)]
    for room in (4, None):
        dataset = subject.SpamDataset(given, Words(), room, 0)
        observe(f"rows, max_length {room}", rows(dataset))
        observe("max_length", dataset.max_length)


def test_dataset_pads_to_the_longest_text(subject, draw, observe):
    """the length of every row; None: that of the longest of these texts"""
    given = [(word(draw, length), draw.whole(0, 3)) for length in (3, 7, 1, 5)]
    for pad in (0, 50256):
        dataset = subject.SpamDataset(given, Letters(), pad_token_id=pad)
        observe(f"rows, pad {pad}", rows(dataset))
        observe("max_length", dataset.max_length)
    observe("rows, no pad given", rows(subject.SpamDataset(given, Letters())))


def test_dataset_takes_a_length_from_elsewhere(subject, draw, observe):
    """Of a longer text the first L ids stay."""
    given = [(word(draw, length), draw.whole(0, 3)) for length in (6, 2, 5, 4, 9)]
    for room in (5, 1, 12, 9):
        dataset = subject.SpamDataset(given, Letters(), room, 0)
        observe(f"rows of {room}", rows(dataset))
        observe("max_length", dataset.max_length)


def test_dataset_decides_padding_by_place(subject, draw, observe):
    """length is the number of real tokens, 1 … L; the first `length` entries of ids are the text, the others
    padding.
    """
    given = [("aba", 0), ("a", 1), ("aa", 0), ("baaaa", 1), ("abab", 0)]
    for pad in (1, 2):
        observe(f"rows, pad {pad}", rows(subject.SpamDataset(given, Letters(), 4, pad)))


def test_dataset_in_a_loader(subject, draw, observe):
    """A DataLoader makes of this: ids (B, L), lengths (B,), labels (B,), all int64."""
    given = [(word(draw, length), label) for length, label in ((3, 2), (5, 0), (1, 1), (4, 1), (2, 0))]
    loader = DataLoader(subject.SpamDataset(given, Letters(), None, 0), batch_size=2)
    observe("batches", list(loader))


def test_dataset_takes_an_empty_text(subject, draw, observe):
    """An empty text becomes one pad token, which counts as a real one."""
    for room in (None, 4, 1):
        dataset = subject.SpamDataset([("", 1), (word(draw, 3), 0), ("", 0)], Letters(), room, 0)
        observe(f"rows, max_length {room}", rows(dataset))
    dataset = subject.SpamDataset([("", 1), ("", 0)], Letters(), None, 7)
    observe("nothing but empty texts", (rows(dataset), dataset.max_length))


# The classifier.


def test_classifier_trains_only_its_end(subject, draw, observe):
    """Freeze all of gpt, give it a new `out_head`, and unfreeze its last block and its final_norm."""
    build = subject.ClassifierGPT
    for tied, layers, classes in ((True, 2, 3), (False, 3, 2), (True, 1, 5)):
        gpt = gpt_model(subject, draw, tied, layers)
        classifier = build(gpt, classes)
        observe("trained", trained(classifier.gpt))
        observe("shapes", shapes(classifier.gpt))
        observe("numbers in all", sum(parameter.numel() for parameter in classifier.parameters()))


def test_classifier_gets_a_new_head(subject, draw, observe):
    """The new head should be an `nn.Linear` from D to C with a bias; how torch fills it is fine. All other numbers
    stay.
    """
    build = subject.ClassifierGPT
    for tied in (True, False):
        gpt = gpt_model(subject, draw, tied)
        classifier = build(gpt, 3)
        classifier.gpt.final_norm.shift.data.fill_(0.25)
        observe("the very model", gpt.final_norm.shift)
        head = gpt.out_head
        sizes = [getattr(head, name, None) for name in ("in_features", "out_features")]
        observe("the head", [isinstance(head, nn.Linear), *sizes, getattr(head, "bias", None) is not None])
        others = {name: value for name, value in weights(gpt).items() if not name.startswith("out_head")}
        observe("all other numbers", others)


def test_classifier_unfreezes_what_was_frozen(subject, draw, observe):
    """If a parameter was frozen before, in the last block too, that does not matter: afterwards it is as said
    above.
    """
    build = subject.ClassifierGPT
    gpt = gpt_model(subject, draw).requires_grad_(False)
    gpt.trf_blocks[0].att.W_query.weight.requires_grad_(True)
    classifier = build(gpt, 2)
    observe("trained", trained(classifier.gpt))


def test_classifier_reads_the_last_real_token(subject, draw, observe):
    """The logits of the classes, at the last real token of each row."""
    build = subject.ClassifierGPT
    for tied, layers, size in ((True, 2, 4), (False, 1, 2)):
        classifier = build(gpt_model(subject, draw, tied, layers), 3)
        draw.fill(classifier.gpt, 0.4)
        ids = draw.integers(size, 7, high=V)
        for lengths in (draw.integers(size, low=1, high=8), torch.arange(size) + 1, torch.full((size,), 7)):
            observe(f"logits for the lengths {lengths.tolist()}", classifier(ids, lengths), tolerance=1e-4)
    observe("a single message", classifier(ids[:1], torch.tensor([3])), tolerance=1e-4)


def test_classifier_does_not_see_what_follows(subject, draw, observe):
    """What comes after the last real token should make no difference."""
    build = subject.ClassifierGPT
    classifier = build(gpt_model(subject, draw), 2)
    draw.fill(classifier.gpt, 0.4)
    ids, lengths = draw.integers(4, 8, high=V), torch.tensor([3, 8, 1, 5])
    hidden = torch.arange(8) >= lengths[:, None]
    logits = classifier(ids, lengths)
    for pad in (0, 7):
        found = classifier(ids.masked_fill(hidden, pad), lengths)
        observe(f"difference with the pad {pad}", found - logits, tolerance=1e-4)
    observe(
        "difference with fewer columns",
        classifier(ids[[0, 3], :6], lengths[[0, 3]]) - logits[[0, 3]],
        tolerance=1e-4,
    )
    changed = ids.clone()
    changed[:, 0] = (ids[:, 0] + 5) % V
    observe("what moves with the first token", classifier(changed, lengths) - logits, tolerance=1e-4)


def test_gradients_reach_what_is_trained(subject, draw, observe):
    """Gradients must reach every float input."""
    build = subject.ClassifierGPT
    record_graphs_again()
    classifier = build(gpt_model(subject, draw), 3)
    draw.fill(classifier.gpt, 0.4)
    logits = classifier(draw.integers(4, 7, high=V), torch.tensor([2, 7, 1, 4]))
    (logits * draw.normal(4, 3)).sum().backward()
    observe("gradients", gradients(classifier.gpt), tolerance=1e-4)


# Loss and accuracy.


def test_loss_of_the_lesson(subject, draw, observe):
    """the three messages of the lesson give 0.584."""
    (whole,) = lesson(3)
    observe("loss", subject.calc_class_loss(*whole, Fixed(LESSON.clone()), "cpu"))


def test_loss_is_the_mean_over_messages(subject, draw, observe):
    """the mean of −ln p(label) over the B messages"""
    model = Tiny(draw)
    for size in (5, 2, 1):
        observe(f"loss of {size}", subject.calc_class_loss(*batch(draw, size), model, "cpu"))
    observe("what the classifier was given", model.given)


def test_accuracy_of_the_lesson(subject, draw, observe):
    """the lesson's messages in batches of 2 and 1 give (0.584, 0.667)."""
    for sizes in ((2, 1), (1, 2), (3,)):
        model = Fixed(LESSON.clone())
        observe(f"loss and accuracy, batches of {sizes}", subject.evaluate_classifier(lesson(*sizes), model, "cpu"))
        observe(f"accuracy, batches of {sizes}", subject.calc_accuracy_loader(lesson(*sizes), model, "cpu"))


def test_evaluation_is_a_mean_over_messages(subject, draw, observe):
    """Both are means over the messages of these batches together, not over batches."""
    model, loader = Tiny(draw), batches(draw, 5, 1, 3, 2)
    for number in (None, 0, 1, 3, 4, 9):
        observe(f"num_batches={number}", subject.evaluate_classifier(loader, model, "cpu", num_batches=number))
    observe("3 batches, by place", subject.evaluate_classifier(loader, model, torch.device("cpu"), 3))


def test_evaluation_takes_any_loader(subject, draw, observe):
    """gives batches (ids, lengths, labels): a DataLoader, a list, a generator"""
    model, some = Tiny(draw), batches(draw, 5, 2, 1)
    for number in (None, 2):
        found = subject.evaluate_classifier((triple for triple in some), model, "cpu", number)
        observe(f"a generator, num_batches={number}", found)
    dataset = list(zip(*(torch.cat(parts) for parts in zip(*some, strict=True)), strict=True))
    observe("a DataLoader", subject.evaluate_classifier(DataLoader(dataset, 3), model, "cpu"))


def test_accuracy_is_a_mean_over_messages(subject, draw, observe):
    """Both are means over the messages of these batches together, not over batches."""
    accuracy = subject.calc_accuracy_loader
    model, loader = Tiny(draw), batches(draw, 5, 1, 3, 2)
    for number in (None, 0, 1, 3, 9):
        observe(f"num_batches={number}", accuracy(loader, model, "cpu", num_batches=number))
    observe("a generator", accuracy((triple for triple in loader), model, torch.device("cpu"), 2))
    for right in (0, 3):
        everything_alike = [(ids, lengths, torch.full_like(labels, right % 3)) for ids, lengths, labels in loader]
        observe(f"all labels {right % 3}", accuracy(everything_alike, model, "cpu"))


# Training.


def test_update_from_one_batch(subject, draw, observe):
    """As in that `update`: training mode and empty gradients; for each batch, calc_class_loss divided by the number
    of batches, and `backward`; all gradients clipped together; the learning rate into every group of the optimizer;
    one step.
    """
    update = subject.update_classifier
    record_graphs_again()
    model = Tiny(draw)
    optimizer = GradientDescent(model)
    observe("messages", update(model, batches(draw, 4), optimizer, 0.25, 1e6, "cpu"))
    observe("gradients at the step", optimizer.gradients)
    observe("weights", weights(model))


def test_update_from_several_batches(subject, draw, observe):
    """with two batches of 4 messages and one of 3 it returns 11. The gradient is (g₁ + g₂ + g₃) / 3."""
    update = subject.update_classifier
    record_graphs_again()
    model = Tiny(draw)
    optimizer = GradientDescent(model)
    group = [*batches(draw, 4, 1, room=5), *batches(draw, 3, room=2)]
    observe("messages", update(model, group, optimizer, 0.25, 1e6, "cpu"))
    observe("what happened", model.events)
    observe("what it learned from", model.learned_from)
    observe("gradients at the step", optimizer.gradients)
    observe("messages of two batches", update(model, group[1:], optimizer, 0.125, 1e6, "cpu"))
    observe("learning rates at the steps", optimizer.rates)
    observe("weights", weights(model))


def test_update_clips_all_gradients_together(subject, draw, observe):
    """all gradients clipped together"""
    update = subject.update_classifier
    record_graphs_again()
    for max_norm, sizes in ((0.05, (3, 1, 2)), (0.3, (3, 5)), (50.0, (2,))):
        model = Tiny(draw)
        optimizer = GradientDescent(model)
        update(model, batches(draw, *sizes), optimizer, 0.25, max_norm, "cpu")
        observe(f"gradients at the step, max_norm {max_norm}", optimizer.gradients)
        observe(f"weights, max_norm {max_norm}", weights(model))


def test_update_in_training_mode(subject, draw, observe):
    """training mode and empty gradients"""
    update = subject.update_classifier
    record_graphs_again()
    for mode in (True, False):
        model = Tiny(draw, dropout=0.5).train(mode)
        update(model, batches(draw, 3, 2), GradientDescent(model), 0.25, 1e6, "cpu")
        observe(f"modes of the forward passes, training={mode} before", model.modes)
        observe(f"weights, training={mode} before", weights(model))


def test_train_the_example(subject, draw, observe):
    """7 messages in batches of 2 are 4 steps an epoch. With eval_every=3, two epochs give evaluations at steps 3
    and 6, with 6 and 11 examples seen.
    """
    train = subject.train_classifier
    record_graphs_again()
    model, seen = Tiny(draw), []
    optimizer = GradientDescent(model)
    training, validation = batches(draw, 2, 2, 2, 1), batches(draw, 3, 1)
    history = train(model, training, validation, optimizer, config(subject, 2, eval_every=3), on_step=noting(seen))
    observe("step, examples seen, evaluations after each step", seen)
    observe("learning rates", optimizer.rates)
    observe("history", everything(history), tolerance=1e-4)
    observe("weights", weights(model), tolerance=1e-4)


def test_train_without_anything_optional(subject, draw, observe):
    """Train a classifier, from the beginning or from where a history is."""
    train = subject.train_classifier
    record_graphs_again()
    model = Tiny(draw)
    history = train(model, batches(draw, 3, 1), batches(draw, 2), GradientDescent(model), subject.TrainConfig(5))
    observe("history", everything(history), tolerance=1e-4)
    observe("weights", weights(model), tolerance=1e-4)


def test_train_with_everything_at_once(subject, draw, observe):
    """For each step that `training_steps` gives: update_classifier; count step and examples_seen on; if step is a
    multiple of config.eval_every, seed_loader(train_loader, config.seed), then append a ClassifierEvaluation, with
    config.eval_batches of each loader; call on_step(history), if there is one.
    """
    train = subject.train_classifier
    record_graphs_again()
    model = Tiny(draw, dropout=0.5)
    optimizer = GradientDescent(model)
    training, validation = batches(draw, 3, 4, 3, 1, 2), batches(draw, 2, 5, 1)
    settings = config(subject, 2, warmup_steps=2, max_norm=0.4, accumulate=3, eval_every=2, eval_batches=2)
    history = train(model, training, validation, optimizer, settings, "cpu")
    observe("history", everything(history), tolerance=1e-4)
    observe("learning rates", optimizer.rates)
    observe("gradients at each step", optimizer.gradients, tolerance=1e-4)
    observe("weights", weights(model), tolerance=1e-4)


def test_train_evaluates_every_few_steps(subject, draw, observe):
    """if step is a multiple of config.eval_every, seed_loader(train_loader, config.seed), then append a
    ClassifierEvaluation, with config.eval_batches of each loader
    """
    train = subject.train_classifier
    record_graphs_again()
    for eval_every in (1, 3, 5):
        model = Tiny(draw)
        settings = config(subject, 2, eval_every=eval_every)
        history = train(model, batches(draw, 2, 1), batches(draw, 3, 2), GradientDescent(model), settings)
        observe(f"curve, every {eval_every}", points(history), tolerance=1e-4)


def test_train_never_learns_from_the_validation_batches(subject, draw, observe):
    """a part to learn from, a part to watch while you try things (validation), a part for the very end (test)."""
    train = subject.train_classifier
    record_graphs_again()
    for eval_batches in (None, 1, 9):
        model = Tiny(draw, dropout=0.5)
        training, validation = batches(draw, 3, 2, 1), batches(draw, 2, 3, 2, 1, room=4)
        settings = config(subject, 1, eval_every=2, eval_batches=eval_batches)
        history = train(model, training, validation, GradientDescent(model), settings)
        observe(f"learned from, eval_batches {eval_batches}", model.learned_from)
        looked_at = [read for i, read in enumerate(model.looked_at) if read not in model.looked_at[:i]]
        observe(f"looked at, eval_batches {eval_batches}", sorted(looked_at))
        observe(f"curve, eval_batches {eval_batches}", points(history), tolerance=1e-4)


def test_train_shuffles_each_epoch_anew_and_evaluates_on_the_same(subject, draw, observe):
    """For each step that `training_steps` gives: update_classifier; count step and examples_seen on; if step is a
    multiple of config.eval_every, seed_loader(train_loader, config.seed), then append a ClassifierEvaluation, with
    config.eval_batches of each loader; call on_step(history), if there is one.
    """
    train = subject.train_classifier
    record_graphs_again()
    model, loader, looked_at = Tiny(draw), shuffling_loader(draw, 9), []
    settings = config(subject, 2, accumulate=2, eval_every=2, eval_batches=2, seed=draw.whole(0, 1000))

    def look(history):
        looked_at.append(
            sorted([read for i, read in enumerate(model.looked_at) if read not in model.looked_at[:i]])
        )
        model.looked_at.clear()

    history = train(model, loader, batches(draw, 2), GradientDescent(model), settings, on_step=look)
    observe("what it learned from", model.learned_from)
    observe("looked at after each step", looked_at)
    observe("curve", points(history), tolerance=1e-4)


def test_train_goes_on_from_a_history(subject, draw, observe):
    """Train a classifier, from the beginning or from where a history is."""
    train = subject.train_classifier
    record_graphs_again()
    training, validation = batches(draw, 2, 3, 1), batches(draw, 2)
    for step in (1, 2, 5):
        model, seen = Tiny(draw), []
        optimizer = GradientDescent(model)
        earlier = subject.ClassifierEvaluation(1, 70, 2.5, 2.75, 0.5, 0.25, 0.125)
        given = subject.ClassifierHistory(step, 5000, [earlier])
        settings = config(subject, 3, accumulate=2, eval_every=3, warmup_steps=2, seed=70)
        returned = train(model, training, validation, optimizer, settings, on_step=noting(seen), history=given)
        observe(f"what it learned from, from step {step} on", model.learned_from)
        observe(f"learning rates, from step {step} on", optimizer.rates)
        observe(f"after each step, from step {step} on", seen)
        observe(f"history given, from step {step} on", everything(given), tolerance=1e-4)
        observe(f"history returned, from step {step} on", everything(returned), tolerance=1e-4)
        returned.step = -1
        observe("step in the history given, after a change of what was returned", given.step)


# One message.


def test_review_gets_a_label_and_its_probability(subject, draw, observe):
    """the class with the largest logit, a Python int, and its softmax, a Python float"""
    model = Tiny(draw)
    for length in (1, 4, 6, 3):
        text = word(draw, length)
        observe(text, subject.classify_review(text, model, Letters(), 6, 0))
    observe("pad by name", subject.classify_review("abc", model, Letters(), max_length=5, pad_token_id=0))
    observe("what the classifier was given", model.given)


def test_review_of_the_example(subject, draw, observe):
    """logits (0, 1) give (1, 0.731), because e¹ / (e⁰ + e¹) is 0.731."""
    logits = torch.zeros(V, 2)
    logits[3] = torch.tensor([0.0, 1.0])
    logits[4] = torch.tensor([3.0, 1.0])
    observe("(0, 1)", subject.classify_review("cd", Fixed(logits), Letters(), 4, 0))
    observe("(3, 1)", subject.classify_review("dc", Fixed(logits), Letters(), 4, 0))


def test_review_is_cut_and_may_be_empty(subject, draw, observe):
    """The text should go into the classifier as a SpamDataset would give it, in a batch of one."""
    model = Tiny(draw)
    for text, room, pad in (("abcdefgh", 5, 0), ("abcdefgh", 7, 0), ("", 5, 0), ("", 5, 8), ("ghgh", 4, 8)):
        observe(f"{text!r}, {room} tokens, pad {pad}", subject.classify_review(text, model, Letters(), room, pad))
    observe("what the classifier was given", model.given)
    tokenizer = Letters()
    subject.classify_review(" WIN a\n", model, tokenizer, 9, 0)
    observe("what was encoded", sorted(set(tokenizer.given)))


# The fine print.


def test_balance_of_few(subject, draw, observe):
    """A label that no message has does not count. No messages give an empty list. Messages that are equal are
    different messages all the same.
    """
    observe("of no messages", subject.balance([], 1))
    observe("of one label", sorted(subject.balance([("a", 2), ("b", 2), ("c", 2)], 1)))
    observe("of equal messages", subject.balance([("a", 0), ("a", 0), ("a", 0), ("b", 1), ("b", 1)], 1))
    observe("of labels that are not the first", subject.balance([("a", 4), ("b", 2), ("c", 4), ("d", 7)], 1))


def test_balance_leaves_the_rest_alone(subject, draw, observe):
    """Python's global random state should stay as it is."""
    given = messages(draw, 5, 5)
    before = list(given)
    random.seed(5)
    found = subject.balance(given, 9)
    observe("what is drawn next", random.random())
    observe("balanced", list(found))
    found.clear()
    observe("the messages afterwards", given)
    observe("the messages before", before)


def test_split_of_few(subject, draw, observe):
    """A part may be empty."""
    for count in (0, 1, 2, 3):
        observe(f"of {count} messages", subject.split_frames(messages(draw, count)))
    observe("of equal messages", [len(part) for part in subject.split_frames([("a", 0)] * 7, 0.5, 0.3)])
    observe("all for training", subject.split_frames(messages(draw, 3, 2), 1.0, 0.0))
    observe("none for training", subject.split_frames(messages(draw, 3, 2), 0.0, 0.4))


def test_split_leaves_the_rest_alone(subject, draw, observe):
    """Python's global random state should stay as it is."""
    given = messages(draw, 5, 5)
    random.seed(5)
    parts = subject.split_frames(given, seed=9)
    observe("what is drawn next", random.random())
    for part in parts:
        part.clear()
    observe("the messages afterwards", given)


def test_dataset_refuses_a_length_below_1(subject, draw, observe):
    """ValueError: max_length is given and below 1. The message should name it."""
    for room in (0, -3):
        observe.outcome(
            f"max_length {room}", subject.SpamDataset, [("ab", 0)], Letters(), room, mentions=(str(room),)
        )


def test_dataset_encodes_once(subject, draw, observe):
    """Each text should be encoded once, here and not whenever it is asked for."""
    for room in (None, 2):
        tokenizer = Letters()
        dataset = subject.SpamDataset([("abc", 1), ("d", 0), ("", 1)], tokenizer, room, 0)
        observe("rows", [rows(dataset), rows(dataset)])
        observe("what was encoded", sorted(tokenizer.given))


def test_dataset_encodes_texts_as_they_are(subject, draw, observe):
    """its `encode` makes the ids of a text"""
    tokenizer = Letters()
    dataset = subject.SpamDataset([(" WIN a\n", 1), ("  ", 0), ("Cash\t!", 1)], tokenizer, None, 0)
    observe("rows", rows(dataset))
    observe("what was encoded", sorted(set(tokenizer.given)))


def test_dataset_without_messages(subject, draw, observe):
    """With max_length=None, no messages or none but empty ones give a max_length of 1."""
    for room in (None, 4):
        dataset = subject.SpamDataset([], Letters(), room, 0)
        observe("len and max_length", (len(dataset), dataset.max_length))


def test_dataset_ends(subject, draw, observe):
    """IndexError: index is len or above. A `for` loop over the data set ends by it."""
    dataset = subject.SpamDataset([("abc", 1), ("d", 0)], Letters())
    observe.outcome("index 2", dataset.__getitem__, 2)
    observe("in a loop", [(ids.tolist(), int(length), int(label)) for ids, length, label in dataset])


def test_dataset_hands_out_what_may_be_changed(subject, draw, observe):
    """Whoever changes the ids that came should change nothing here."""
    given = [("abc", 1), ("d", 0), ("abcde", 1)]
    dataset, other = (
        subject.SpamDataset(given, Letters(), None, 0),
        subject.SpamDataset(given[:2], Letters(), None, 9),
    )
    for index in range(3):
        ids, _, _ = dataset[index]
        ids.fill_(12)
    observe("rows", rows(dataset))
    observe("rows of another data set", (rows(other), other.max_length))
    observe("the messages", given)


def test_classifier_head_is_made_where_the_model_is(subject, draw, observe):
    """The head should be made on the device and in the dtype of the model."""
    build = subject.ClassifierGPT
    double = build(gpt_model(subject, draw).double(), 2)
    observe("dtypes", {name: parameter.dtype for name, parameter in double.gpt.named_parameters()})
    meta = build(gpt_model(subject, draw).to("meta"), 2)
    observe("devices", {name: parameter.device for name, parameter in meta.gpt.named_parameters()})


def test_classifiers_share_nothing(subject, draw, observe):
    """the new head is a tensor of its own."""
    build = subject.ClassifierGPT
    one, other = build(gpt_model(subject, draw), 2), build(gpt_model(subject, draw, layers=1), 3)
    observe("shapes of the first", shapes(one.gpt))
    draw.fill(one.gpt, 0.4)
    draw.fill(other.gpt, 0.4)
    ids, lengths = draw.integers(2, 7, high=V), torch.tensor([3, 6])
    observe("logits of both", [one(ids, lengths), other(ids, lengths)], tolerance=1e-4)


def test_loss_stays_finite_at_large_logits(subject, draw, observe):
    """Logits of any size give a finite loss."""
    model = Fixed(torch.tensor([[2000.0, -2000.0, 0.0], [-2000.0, 1999.0, 2000.0]]))
    ids, lengths = torch.tensor([[0], [1]]), torch.tensor([1, 1])
    for labels in ([0, 2], [1, 1]):
        loss = subject.calc_class_loss(ids, lengths, torch.tensor(labels), model, "cpu")
        observe(f"loss, labels {labels}", loss, tolerance=1e-3)  # at 2000 a float32 is good to 1e-4


def test_loss_keeps_its_graph_and_the_mode(subject, draw, observe):
    """The classifier is called once, in whichever mode it is."""
    record_graphs_again()
    for training in (True, False):
        model = Tiny(draw).train(training)
        subject.calc_class_loss(*batch(draw, 4), model, "cpu").backward()
        observe("gradients", gradients(model))
        observe("modes while the classifier ran", model.modes)
        observe("modes afterwards", modes(model))


def test_loss_on_a_device(subject, draw, observe):
    """where the classifier is; all three should be moved there with `.to(device)`"""
    (triple,) = from_elsewhere(batches(draw, 4))
    with OneDevice():
        observe("loss", subject.calc_class_loss(*triple, Tiny(draw), OneDevice.HERE))
    observe("were ids, lengths, labels moved", [getattr(tensor, "was_moved", False) for tensor in triple])


def test_evaluation_of_nothing(subject, draw, observe):
    """(nan, nan) if there is no message."""
    model = Tiny(draw)
    for mode in (True, False):
        model.train(mode)
        observe("no batches", subject.evaluate_classifier([], model, "cpu"))
        observe("modes afterwards", modes(model))


def test_evaluation_drops_nothing(subject, draw, observe):
    """The classifier should be called once a batch, in evaluation mode and without a graph. Afterwards it should be
    in the mode it came in, with all its parts, also after an error.
    """
    record_graphs_again()
    for mode in (True, False):
        model = Tiny(draw, dropout=0.5).train(mode)
        observe("loss and accuracy", subject.evaluate_classifier(batches(draw, 3, 2), model, "cpu"))
        observe("modes while the classifier ran", model.modes)
        observe(f"modes afterwards, training={mode} before", modes(model))
        observe("was there a graph, at each call", model.graphs)
        observe("what the classifier was given", model.given)
        observe("is one kept afterwards", torch.is_grad_enabled())


def test_evaluation_puts_the_mode_back_after_an_error(subject, draw, observe):
    """Afterwards it should be in the mode it came in, with all its parts, also after an error."""

    def interrupted():
        yield batch(draw, 2)
        raise ConnectionError("the data stopped coming")

    for mode in (True, False):
        model = Tiny(draw).train(mode)
        observe.outcome("the data breaks off", subject.evaluate_classifier, interrupted(), model, "cpu")
        observe(f"modes afterwards, training={mode} before", modes(model))


def test_evaluation_leaves_gradients_alone(subject, draw, observe):
    """A call must not change its inputs."""
    model = Tiny(draw)
    for parameter in model.parameters():
        parameter.grad = draw.normal(*parameter.shape)
    subject.evaluate_classifier(batches(draw, 3, 2), model, "cpu")
    observe("gradients", gradients(model))
    observe("can the model still learn", [parameter.requires_grad for parameter in model.parameters()])


def test_evaluation_on_a_device(subject, draw, observe):
    """where the classifier is; all three should be moved there with `.to(device)`"""
    loader = from_elsewhere(batches(draw, 4, 2))
    with OneDevice():
        observe("loss and accuracy", subject.evaluate_classifier(loader, Tiny(draw), OneDevice.HERE))


def test_accuracy_drops_nothing_and_cleans_up(subject, draw, observe):
    """The classifier should be called once a batch, in evaluation mode and without a graph. Afterwards it should be
    in the mode it came in, with all its parts, also after an error.
    """
    accuracy = subject.calc_accuracy_loader
    record_graphs_again()
    for mode in (True, False):
        model = Tiny(draw, dropout=0.5).train(mode)
        observe("accuracy", accuracy(batches(draw, 3, 2), model, "cpu"))
        observe("modes while the classifier ran", model.modes)
        observe("modes afterwards", modes(model))
        observe("was there a graph", sorted(set(model.graphs)))
        observe("is one kept afterwards", torch.is_grad_enabled())
    loader = from_elsewhere(batches(draw, 4, 2))
    with OneDevice():
        observe("accuracy on a device", accuracy(loader, Tiny(draw), OneDevice.HERE))


def test_update_starts_from_empty_gradients(subject, draw, observe):
    """Gradients that were there before should not count, those of frozen parameters neither: they may be left over
    from pretraining, and the optimizer does not know them.
    """
    update = subject.update_classifier
    record_graphs_again()
    model = Tiny(draw)
    optimizer = GradientDescent(model)
    for parameter in model.parameters():
        parameter.grad = draw.normal(*parameter.shape).clone()
    for step in (1, 2, 3):
        update(model, batches(draw, 3), optimizer, 0.25, 0.5, "cpu")
        observe(f"gradients at step {step}", optimizer.gradients[-1])
    observe("weights", weights(model))


def test_update_on_a_device(subject, draw, observe):
    """where the classifier is; all three should be moved there with `.to(device)`"""
    update = subject.update_classifier
    record_graphs_again()
    model, group = Tiny(draw), from_elsewhere(batches(draw, 4, 2))
    with OneDevice():
        observe("messages", update(model, group, GradientDescent(model), 0.25, 1e6, OneDevice.HERE))
    observe("weights", weights(model))


class Stop(Exception):
    """What an on_step raises to stop the training."""


def stopping_after(step, error):
    def on_step(history):
        if history.step == step:
            raise error

    return on_step


def test_train_lets_errors_out_and_goes_on_as_in_one_go(subject, draw, observe):
    """Errors of on_step should come out. A training that is finished, has 0 epochs or no batches returns at once. A
    training that stops and goes on should be the same as one in one go, to the last bit.
    """
    train = subject.train_classifier
    record_graphs_again()
    training, validation = shuffling_loader(draw, 6), batches(draw, 2, 1)
    settings = config(subject, 2, warmup_steps=2, max_norm=0.5, accumulate=2, eval_every=2, eval_batches=1)
    start = torch.get_rng_state()
    whole_model = Tiny(draw, dropout=0.5)
    whole = train(whole_model, training, validation, GradientDescent(whole_model), settings)
    observe("history in one go", everything(whole), tolerance=1e-4)
    for step, error in ((1, Stop), (3, KeyboardInterrupt)):
        torch.set_rng_state(start)
        model, history = Tiny(draw, dropout=0.5), subject.ClassifierHistory()
        stop = {"on_step": stopping_after(step, error), "history": history}
        try:
            train(model, training, validation, GradientDescent(model), settings, **stop)
        except error:
            observe(f"stopped after step {step}", counts(history))
        left = torch.get_rng_state()
        training.generator.manual_seed(step)
        model_again = Tiny(draw, dropout=0.5)
        model_again.load_state_dict(model.state_dict())
        copied = subject.ClassifierHistory(history.step, history.examples_seen, [*history.evaluations])
        torch.set_rng_state(left)
        optimizer = GradientDescent(model_again)
        again = train(model_again, training, validation, optimizer, settings, history=copied)
        observe(f"history, gone on after step {step}", everything(again), tolerance=1e-4)
        pairs = zip(model_again.parameters(), whole_model.parameters(), strict=True)
        difference = [(one - other).detach() for one, other in pairs]
        observe(f"difference from one go, gone on after step {step}", difference, tolerance=0.0)


def test_train_on_step_gets_the_history_itself(subject, draw, observe):
    """the history; if one was handed in, that very object, changed"""
    train = subject.train_classifier
    record_graphs_again()
    model = Tiny(draw)

    def note(history):
        history.examples_seen += 1000

    training = batches(draw, 2, 1)
    history = train(model, training, [], GradientDescent(model), config(subject, 2, eval_every=2), on_step=note)
    observe("history", everything(history), tolerance=1e-4)


def test_train_leaves_the_random_state_alone(subject, draw, observe):
    """The loop should leave torch's global random state to the dropout."""
    train = subject.train_classifier
    record_graphs_again()
    model, loader = Tiny(draw), shuffling_loader(draw, 5)
    before = torch.get_rng_state().int()
    train(model, loader, batches(draw, 2), GradientDescent(model), config(subject, 1, eval_every=2))
    observe("change of the global random state", torch.get_rng_state().int() - before)


def test_train_with_nothing_to_do(subject, draw, observe):
    """A training that is finished, has 0 epochs or no batches returns at once."""
    train = subject.train_classifier
    training, validation = batches(draw, 2, 1, 2), batches(draw, 2)
    cases = (
        ("no epochs", training, 0, None),
        ("no batches", [], 2, None),
        ("no batches, a history", [], 2, subject.ClassifierHistory(0, 99)),
        ("finished", training, 2, subject.ClassifierHistory(6, 99)),
        ("more than finished", training, 1, subject.ClassifierHistory(6, 99)),
    )
    for what, loader, epochs, history in cases:
        model, seen = Tiny(draw), []
        settings = config(subject, epochs, eval_every=1)
        optimizer = GradientDescent(model)
        returned = train(model, loader, validation, optimizer, settings, on_step=noting(seen), history=history)
        observe(f"{what}: history", everything(returned))
        observe(f"{what}: what happened", [seen, model.events, model.looked_at])


def test_train_on_a_device(subject, draw, observe):
    """where the classifier is; all three should be moved there with `.to(device)`"""
    train = subject.train_classifier
    record_graphs_again()
    model, training, validation = Tiny(draw), from_elsewhere(batches(draw, 2, 1)), from_elsewhere(batches(draw, 2))
    with OneDevice():
        settings = config(subject, 1, eval_every=2)
        history = train(model, training, validation, GradientDescent(model), settings, OneDevice.HERE)
    observe("history", everything(history), tolerance=1e-4)


def test_review_cleans_up(subject, draw, observe):
    """Evaluation mode, no graph, and the mode as it was afterwards, as in evaluate_classifier."""
    record_graphs_again()
    for mode in (True, False):
        model = Tiny(draw, dropout=0.5).train(mode)
        observe("label and probability", subject.classify_review("abcd", model, Letters(), 6, 0))
        observe("modes while the classifier ran", model.modes)
        observe(f"modes afterwards, training={mode} before", modes(model))
        observe("was there a graph", model.graphs)
        observe("is one kept afterwards", torch.is_grad_enabled())


class Failing(Tiny):
    def forward(self, ids, lengths):
        raise KeyError("no verdict")


def test_review_puts_the_mode_back_after_an_error(subject, draw, observe):
    """Evaluation mode, no graph, and the mode as it was afterwards, as in evaluate_classifier."""
    for mode in (True, False):
        model = Failing(draw).train(mode)
        observe.outcome("the classifier fails", subject.classify_review, "abcd", model, Letters(), 6, 0)
        observe(f"modes afterwards, training={mode} before", modes(model))


def test_review_on_a_device(subject, draw, observe):
    """device where the classifier is"""
    with OneDevice():
        found = subject.classify_review("abcd", Tiny(draw), Letters(), 6, 0, OneDevice.HERE)
        observe("label and probability", found)
