"""Probes of ex18: preferences and DPO. Each runs on the reference, on your code and on every known mistake.

The models are as small as can be: a table of logits, one row for each token. They write down what happens to them.
"""

import copy
import re
import zlib
from functools import partial
from importlib import import_module

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

VOCABULARY = 11


class Letters:
    """A token for each character. It writes down what it is given."""

    def __init__(self):
        self.texts = []

    def encode(self, text):
        self.texts.append(text)
        return [ord(letter) for letter in text]


class Words:
    """A token for each word, together with the line break before it, as a byte-pair encoding may have them."""

    def encode(self, text):
        return [zlib.crc32(piece.encode()) % 50000 for piece in re.findall(r"\s?\w+|.", text, re.DOTALL)]


def entry(draw, given=""):
    words = {name: f"{draw.word()} {draw.word()}" for name in ("instruction", "chosen", "rejected")}
    return words | {"input": given}


def pair(draw, prompt, chosen, rejected):
    """Three lists of ids with these lengths. The id 0, which pads, is among them."""
    return tuple(draw.integers(length, high=5).tolist() for length in (prompt, chosen, rejected))


class Table(nn.Module):
    """Predicts each next token from the one before it alone, and writes down what happens to it."""

    def __init__(self, dropout=0.0, events=None):
        super().__init__()
        self.table = nn.Parameter(torch.empty(VOCABULARY, VOCABULARY))
        self.shift = nn.Parameter(torch.empty(VOCABULARY))
        self.dropout = nn.Dropout(dropout)
        self.events = [] if events is None else events
        self.learned_from, self.looked_at, self.modes, self.graphs = set(), set(), set(), set()

    def note(self, event):
        """What comes several times in a row is written down once: both sides may come in one call or in two."""
        if self.events[-1:] != [event]:
            self.events.append(event)

    def forward(self, ids):
        logits = self.dropout(F.embedding(ids, self.table)) + self.shift
        (self.learned_from if logits.requires_grad else self.looked_at).update(map(tuple, ids.tolist()))
        self.modes.add("training" if self.training else "evaluation")
        self.graphs.add(logits.requires_grad)
        if logits.requires_grad:
            self.note("forward")
            logits.register_hook(lambda gradient: self.note("backward"))
        return logits


def models(draw, dropout=0.0, scale=1.0):
    """A policy and a reference that differ."""
    policy, reference = Table(dropout), Table(dropout)
    draw.fill(policy, scale)
    draw.fill(reference, scale)
    with torch.no_grad():
        reference.table += draw.normal(VOCABULARY, VOCABULARY, scale=0.7)
    return policy, reference


def batch(draw, rows, length):
    """Pairs as tensors: prompts of two or three tokens, answers that end somewhere, padding."""
    made = {}
    starts = draw.integers(rows, 1, low=2, high=4)
    for side in ("chosen", "rejected"):
        ends = draw.integers(rows, 1, low=4, high=length + 1)
        places = torch.arange(length)[None, :]
        made[side] = draw.integers(rows, length, high=VOCABULARY)
        made[f"{side}_mask"] = (places >= starts) & (places < ends)
    return made


def batches(draw, *shapes):
    return [batch(draw, rows, length) for rows, length in shapes]


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
        self.model.note("step")
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter -= group["lr"] * parameter.grad


def parts(result):
    """All of a DPOResult, as plain values."""
    return {
        "loss": result.loss,
        "chosen_rewards": result.chosen_rewards,
        "rejected_rewards": result.rejected_rewards,
        "margin": result.margin,
        "accuracy": result.accuracy,
    }


def state(model):
    """Numbers, gradients and mode of a model."""
    numbers = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    return numbers, [parameter.grad for parameter in model.parameters()], model.training


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def ex13(subject):
    """Exercise 13 of the same person. A file need not import what it does not call."""
    return import_module(".ex13_train", subject.__package__)


def config(subject, num_epochs, **named):
    """Steps large enough to be seen; no clipping unless it is asked for."""
    return ex13(subject).TrainConfig(num_epochs, **({"max_lr": 0.8, "min_lr": 0.1, "max_norm": 1e6} | named))


def points(history):
    """The curve, as plain values."""
    return [
        {
            "step": point.step,
            "pairs_seen": point.pairs_seen,
            "losses": (point.train_loss, point.val_loss),
            "margins": (point.train_margin, point.val_margin),
            "accuracies": (point.train_accuracy, point.val_accuracy),
            "learning_rate": point.learning_rate,
        }
        for point in history.evaluations
    ]


def everything(history):
    return {"step": history.step, "pairs_seen": history.pairs_seen, "evaluations": points(history)}


def counts(history):
    """Steps, pairs seen, evaluations."""
    return history.step, history.pairs_seen, len(history.evaluations)


# PreferenceDataset


def test_dataset_holds_prompt_and_both_answers(subject, draw, observe):
    """Item i is a tuple of three lists of ids: the prompt, the chosen answer, the rejected answer. The prompt is
    format_prompt(entry) followed by RESPONSE_HEADING."""
    dataset = subject.PreferenceDataset
    entries = [entry(draw), entry(draw, draw.word()), entry(draw)]
    made = dataset(entries, Letters())
    observe("how many", len(made))
    observe("items", [made[index] for index in (0, 1, 2)])


def test_dataset_encodes_the_texts_apart(subject, draw, observe):
    """The three texts should be encoded apart from each other, so that no token reaches from the prompt into an
    answer."""
    made = subject.PreferenceDataset([entry(draw), entry(draw, "word")], Words())
    observe("items", [made[0], made[1]])


# collate_preferences


def test_collate_lesson_example(subject, draw, observe):
    """A row is prompt, answer, one end-of-text, then padding; T fits the longest row of both sides. The mask is
    True at the answer and its end-of-text."""
    observe("batch", subject.collate_preferences([([5, 6], [8, 9], [4])], 0))


def test_collate_pads_to_the_longest_row(subject, draw, observe):
    """A row is prompt, answer, one end-of-text, then padding; T fits the longest row of both sides."""
    for what, sizes in (("chosen", (7, 2, 4)), ("rejected", (3, 5, 9))):
        given = [pair(draw, 4, 2, 3), pair(draw, *sizes), pair(draw, 2, 4, 1)]
        observe(f"the longest row is {what}", subject.collate_preferences(given, 9))
    observe("one pair", subject.collate_preferences([pair(draw, 3, 4, 2)], 9))


def test_collate_goes_by_places(subject, draw, observe):
    """Positions decide what counts, never ids: pad_token_id may also occur within a prompt or an answer."""
    given = [([0, 3, 0], [0, 0, 2], [0]), ([4, 0], [1, 0], [0, 0, 7, 0]), ([1], [5], [0, 5])]
    observe("the padding token is in the texts", subject.collate_preferences(given, 0))


def test_collate_cuts_at_the_end(subject, draw, observe):
    """A row longer than max_length is cut at its end, before padding."""
    for max_length in (7, 10, 30, 9, 6, 5):
        given = [pair(draw, 4, 4, 1), pair(draw, 2, 2, 6), pair(draw, 3, 1, 5)]
        observe(f"at most {max_length}", subject.collate_preferences(given, 9, max_length))


# sequence_logprobs


def test_sequence_logprobs(subject, draw, observe):
    """How likely a model finds the answers: the sum of the log probabilities of their tokens."""
    logits, ids = draw.normal(3, 7, 5), draw.integers(3, 7, high=5)
    mask = torch.tensor([[False] * start + [True] * (end - start) + [False] * (7 - end) for start, end in SPANS])
    observe("answers of several lengths", subject.sequence_logprobs(logits, ids, mask))
    observe("everything counts", subject.sequence_logprobs(logits, ids, torch.ones(3, 7, dtype=torch.bool)))
    scattered = draw.uniform(3, 7) < 0.5
    scattered[:, 4] = True
    observe("scattered", subject.sequence_logprobs(logits, ids, scattered))


SPANS = ((2, 4), (3, 7), (1, 6))


def test_sequence_logprobs_lesson_example(subject, draw, observe):
    """Example: probabilities 0.5, 0.8 and 0.5 give ln 0.2 = −1.609."""
    places = torch.zeros(1, 5, 10)
    for place, (token, share) in enumerate(((8, 0.5), (9, 0.8), (0, 0.5)), start=1):
        places[0, place] = (1 - share) / 9
        places[0, place, token] = share
    logits = (places + 1e-9).log()
    mask = torch.tensor([[False, False, True, True, True]])
    observe("ln 0.2", subject.sequence_logprobs(logits, torch.tensor([[5, 6, 8, 9, 0]]), mask))


def test_sequence_logprobs_by_one_token(subject, draw, observe):
    """The logits at position t are about the token at position t + 1."""
    logits, ids = draw.normal(6, 7, 5), draw.integers(6, 7, high=5)
    mask = torch.zeros(6, 7, dtype=torch.bool)
    mask[range(6), range(1, 7)] = True
    observe("row r counts position r + 1", subject.sequence_logprobs(logits, ids, mask))


# dpo_loss


def test_dpo_loss(subject, draw, observe):
    """The *reward* of an answer says how much likelier the policy finds it than the reference does, times a
    factor β"""
    for beta in (0.1, 0.7):
        logprobs = [draw.normal(6, scale=6.0, shift=-20.0) for _ in range(4)]
        observe(f"beta {beta}", parts(subject.dpo_loss(*logprobs, beta=beta)), tolerance=1e-4)
    observe("without beta", parts(subject.dpo_loss(*logprobs)), tolerance=1e-4)
    observe("one pair", parts(subject.dpo_loss(*(part[:1] for part in logprobs))), tolerance=1e-4)


def test_dpo_loss_lesson_example(subject, draw, observe):
    """Example: ln 0.2, ln 0.1, ln 0.1, ln 0.2 give the loss 0.6262 of the lesson, margin 0.1386, accuracy 1.0."""
    logprobs = [torch.tensor([share]).log() for share in (0.2, 0.1, 0.1, 0.2)]
    observe("result", parts(subject.dpo_loss(*logprobs)))


def test_dpo_loss_at_the_start(subject, draw, observe):
    """At the start both models are equal, rewards and margin are 0, and the loss is −ln σ(0) = ln 2 = 0.693."""
    chosen, rejected = draw.normal(5, shift=-9.0), draw.normal(5, shift=-7.0)
    observe("both models are equal", parts(subject.dpo_loss(chosen, rejected, chosen, rejected)))


def test_dpo_loss_gradient(subject, draw, observe):
    """loss float (), the mean over the pairs, ready for `backward`"""
    policy = [draw.normal(6, scale=2.0).requires_grad_(True) for _ in range(2)]
    reference = [draw.normal(6, scale=2.0) for _ in range(2)]
    result = subject.dpo_loss(*policy, *reference, 0.4)
    observe(
        "the rewards need a gradient", [result.chosen_rewards.requires_grad, result.rejected_rewards.requires_grad]
    )
    result.loss.backward()
    observe("gradients of both log probabilities", [part.grad for part in policy])


# dpo_loss_batch


def test_dpo_loss_batch(subject, draw, observe):
    """a DPOResult; `backward` on its loss reaches the policy's parameters"""
    find = subject.dpo_loss_batch
    policy, reference = models(draw)
    for rows, beta in ((3, 0.1), (2, 0.8)):
        given = batch(draw, rows, 7)
        policy.zero_grad()
        result = find(given, policy, reference, beta)
        result.loss.backward()
        observe(f"result, beta {beta}", parts(result), tolerance=1e-4)
        gradients = [part.grad for part in policy.parameters()]
        observe(f"gradients of the policy, beta {beta}", gradients, tolerance=1e-4)
    observe("result without beta", parts(find(given, policy, reference)), tolerance=1e-4)


def test_dpo_loss_batch_leaves_the_reference_alone(subject, draw, observe):
    """The reference should run in evaluation mode and without a graph, and have its former mode afterwards."""
    find = subject.dpo_loss_batch
    for mode in (True, False):
        policy, reference = models(draw)
        reference.train(mode)
        find(batch(draw, 3, 7), policy, reference, 0.5).loss.backward()
        observe(f"the reference was in training mode: {mode}", state(reference))
        observe("its modes while it ran", sorted(reference.modes))
        observe("it had a graph", sorted(reference.graphs))
        observe("that of its parts", [part.training for part in reference.modules()])


def test_dpo_loss_batch_drops_nothing_in_the_reference(subject, draw, observe):
    """The reference should run in evaluation mode and without a graph, and have its former mode afterwards. The
    mode of the policy stays."""
    find = subject.dpo_loss_batch
    policy, reference = models(draw, dropout=0.5)
    given = batch(draw, 3, 7)
    policy.eval()
    observe("result", parts(find(given, policy, reference.train(), 0.5)), tolerance=3e-5)
    policy.train()
    find(given, policy, reference, 0.5)
    observe("modes of the policy", sorted(policy.modes))
    observe("the policy is in training mode", policy.training)


# evaluate_dpo


def test_evaluate_dpo(subject, draw, observe):
    """three Python floats: loss, margin and accuracy, each a mean over *pairs*"""
    evaluate = subject.evaluate_dpo
    policy, reference = models(draw)
    loader = batches(draw, (3, 7), (1, 5), (4, 6), (2, 9))
    for num_batches in (None, 1, 2, 9):
        observe(f"num_batches {num_batches}", evaluate(policy, reference, loader, 0.5, "cpu", num_batches))
    observe("without anything optional", evaluate(policy, reference, loader))
    observe("from a generator", evaluate(policy, reference, (given for given in loader), 0.5, num_batches=3))


def test_evaluate_dpo_only_looks(subject, draw, observe):
    """The policy runs in evaluation mode and without a graph. Afterwards it is in the mode in which it was
    before."""
    evaluate = subject.evaluate_dpo
    for mode in (True, False):
        policy, reference = models(draw, dropout=0.5)
        policy.train(mode)
        reference.train(mode)
        policy.shift.grad = draw.normal(VOCABULARY).clone()
        observe("loss, margin, accuracy", evaluate(policy, reference, batches(draw, (3, 7), (1, 5)), 0.5))
        observe(f"the policy, in training mode: {mode}", state(policy))
        observe("its modes, and whether it had a graph", [sorted(policy.modes), sorted(policy.graphs)])
        observe("that of its parts", [part.training for part in policy.modules()])
        observe("the reference", state(reference))


# update_dpo


def test_update_dpo_from_one_batch(subject, draw, observe):
    """the number of pairs in the group, a Python int"""
    update = subject.update_dpo
    policy, reference = models(draw)
    optimizer = GradientDescent(policy)
    reference.eval()
    observe("pairs", update(policy, reference, batches(draw, (3, 7)), optimizer, 0.25, 1e6, 0.5, "cpu"))
    observe("gradients at the step", optimizer.gradients)
    observe("weights", weights(policy))
    observe("the reference", state(reference))
    given = batches(draw, (2, 7))
    reference.train()
    observe("pairs, without anything optional", update(policy, reference, given, optimizer, 0.25, 1e6))
    observe("the reference, in training mode", state(reference))
    observe("gradients at that step", optimizer.gradients[1:])


def test_update_dpo_weighs_pairs_alike(subject, draw, observe):
    """As `update` of ex13, but the gradient should be that of the mean loss over all *pairs* of the group: a
    batch weighs as much as it has pairs."""
    update = subject.update_dpo
    policy, reference = models(draw)
    optimizer = GradientDescent(policy)
    group = batches(draw, (4, 7), (1, 5), (2, 9))
    observe("pairs", update(policy, reference, group, optimizer, 0.25, 1e6, 0.5))
    observe("gradients at the step", optimizer.gradients)
    observe("what happened", policy.events)
    observe("pairs of two batches", update(policy, reference, group[1:], optimizer, 0.25, 1e6, 0.5))
    observe("weights", weights(policy))


# train_dpo


def shuffling_loader(draw, pairs, batch_size=2):
    """A DataLoader with a generator of its own."""
    rows = [batch(draw, 1, 6) for _ in range(pairs)]
    generator = torch.Generator().manual_seed(1)
    return DataLoader(rows, batch_size, shuffle=True, generator=generator, collate_fn=joined)


def joined(rows):
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def test_train_dpo(subject, draw, observe):
    """training_steps gives each step's batches and learning rate. Each step is one update_dpo."""
    train = subject.train_dpo
    policy, reference = models(draw)
    optimizer, seen = GradientDescent(policy), []
    training, validation = batches(draw, (2, 6), (3, 7), (1, 5)), batches(draw, (2, 6), (1, 8))
    settings = config(subject, 2, accumulate=2, eval_every=2, warmup_steps=2, max_norm=0.3)
    note = {"on_step": lambda history: seen.append(counts(history))}
    history = train(policy, reference, training, validation, optimizer, settings, 0.5, "cpu", **note)
    observe("step, pairs seen and evaluations after each step", seen)
    observe("history", everything(history), tolerance=1e-4)
    observe("learning rates", optimizer.rates)
    observe("gradients at each step", optimizer.gradients, tolerance=1e-4)
    observe("weights", weights(policy), tolerance=1e-4)
    observe("the reference", state(reference))


def test_train_dpo_without_anything_optional(subject, draw, observe):
    """training_steps gives each step's batches and learning rate. Each step is one update_dpo."""
    train = subject.train_dpo
    policy, reference = models(draw)
    training, validation = batches(draw, (2, 6), (1, 7)), batches(draw, (2, 6))
    history = train(policy, reference, training, validation, GradientDescent(policy), ex13(subject).TrainConfig(5))
    observe("history", everything(history), tolerance=1e-4)
    observe("weights", weights(policy), tolerance=1e-4)


def test_train_dpo_evaluates_every_few_steps(subject, draw, observe):
    """If step is a multiple of config.eval_every: seed_loader(train_loader, config.seed), evaluate_dpo on both
    loaders, append a DPOEvaluation."""
    train = subject.train_dpo
    for eval_every, eval_batches in ((1, 1), (3, None)):
        policy, reference = models(draw)
        settings = config(subject, 2, eval_every=eval_every, eval_batches=eval_batches)
        training, validation = batches(draw, (3, 6), (1, 6)), batches(draw, (2, 6), (1, 7))
        history = train(policy, reference, training, validation, GradientDescent(policy), settings, 0.5)
        observe(f"curve, every {eval_every}", points(history), tolerance=1e-4)


def test_train_dpo_never_learns_from_the_validation_batches(subject, draw, observe):
    """training_steps gives each step's batches and learning rate. Each step is one update_dpo."""
    train = subject.train_dpo
    policy, reference = models(draw, dropout=0.5)
    training, validation = batches(draw, (2, 6), (1, 6)), batches(draw, (2, 7), (1, 8))
    history = train(
        policy, reference, training, validation, GradientDescent(policy), config(subject, 1, eval_every=2)
    )
    observe("learned from", sorted(policy.learned_from))
    observe("looked at", sorted(policy.looked_at))
    observe("counts", counts(history))


def test_train_dpo_looks_at_the_same_batches_each_time(subject, draw, observe):
    """If step is a multiple of config.eval_every: seed_loader(train_loader, config.seed), evaluate_dpo on both
    loaders, append a DPOEvaluation."""
    train = subject.train_dpo
    (policy, reference), loader = models(draw), shuffling_loader(draw, 7)
    looked_at, learned_from = [], []

    def look(history):
        looked_at.append(sorted(policy.looked_at))
        learned_from.append(sorted(policy.learned_from))
        policy.looked_at.clear()
        policy.learned_from.clear()

    settings = config(subject, 2, accumulate=2, eval_every=2, eval_batches=2, seed=draw.whole(0, 1000))
    history = train(
        policy, reference, loader, batches(draw, (2, 5)), GradientDescent(policy), settings, 0.5, on_step=look
    )
    observe("looked at after each step", looked_at)
    observe("learned from in each step", learned_from)
    observe("curve", points(history), tolerance=1e-4)


# The fine print.


def test_dataset_encodes_once(subject, draw, observe):
    """Everything is encoded once, when the data set is made. What somebody does to `entries`, or to an item that
    was handed out, does not change the data set."""
    tokenizer, entries = Letters(), [entry(draw), entry(draw, "more")]
    made = subject.PreferenceDataset(entries, tokenizer)
    tokenizer.texts.clear()
    observe("items", [made[0], made[1], made[0]])
    observe("texts encoded for that", tokenizer.texts)
    entries[0]["chosen"] = "another"
    entries.append(entry(draw))
    observe("how many, after a change of the entries", len(made))
    for part in made[0]:
        part.append(7)
    observe("the item, after a change of what was handed out", made[0])


def test_datasets_share_nothing(subject, draw, observe):
    """`len` is the number of pairs; an index beyond it is an IndexError."""
    made = [subject.PreferenceDataset([entry(draw) for _ in range(number)], Letters()) for number in (2, 1, 0)]
    observe("how many", [len(one) for one in made])
    observe("first items", [made[0][0], made[1][0]])
    for index in (1, 3):
        observe.outcome(f"item {index} of one", lambda index=index: made[1][index])


def test_collate_of_empty_answers(subject, draw, observe):
    """An answer may be empty: its end-of-text counts."""
    given = [pair(draw, 3, 0, 2), pair(draw, 2, 3, 0), pair(draw, 4, 0, 0)]
    observe("batch", subject.collate_preferences(given, 9))


def test_collate_refuses_a_prompt_without_room(subject, draw, observe):
    """ValueError: a prompt has max_length tokens or more, so that no room is left for an answer. The message
    should name the row, counted from 0, and both numbers."""
    given = [pair(draw, 4, 2, 3), pair(draw, 5, 1, 1), pair(draw, 17, 2, 4)]
    observe("a room of 18", subject.collate_preferences(given, 9, max_length=18))
    for room in (17, 13):
        refused = partial(subject.collate_preferences, given, 9, max_length=room)
        observe.outcome(f"a room of {room}", refused, mentions=("2", "17", str(room)))
    observe.outcome("a room of 4", subject.collate_preferences, given[:2], 9, 4, mentions=("0", "4"))


def test_collate_changes_nothing(subject, draw, observe):
    """A call must not change its inputs."""
    given = [pair(draw, 3, 2, 4), pair(draw, 2, 3, 1)]
    first = subject.collate_preferences(given, 9, 6)
    observe("the pairs afterwards", given)
    first["chosen"].zero_()
    observe("once more", subject.collate_preferences(given, 9, 6))


def test_collate_onto_a_device(subject, draw, observe):
    """device where the tensors should be"""
    made = subject.collate_preferences([pair(draw, 3, 2, 4)], 9, device="meta")
    observe("where the tensors are", {name: str(made[name].device) for name in sorted(made)})


def test_sequence_logprobs_ignores_the_first_place(subject, draw, observe):
    """Nothing predicts the token at position 0, so mask[b, 0] has no influence."""
    logits, ids = draw.normal(2, 6, 5), draw.integers(2, 6, high=5)
    for first in (True, False):
        mask = torch.tensor([[first, False, False, True, True, False], [first, True, False, False, False, False]])
        observe(f"mask {first} at position 0", subject.sequence_logprobs(logits, ids, mask))
        observe("the mask afterwards", mask)


def test_sequence_logprobs_of_large_logits(subject, draw, observe):
    """Logits of ±2000 give finite sums."""
    logits, ids = draw.uniform(3, 7, 5, low=-2000, high=2000), draw.integers(3, 7, high=5)
    mask = torch.tensor([[False] * 3 + [True] * 3 + [False]]).expand(3, 7)
    observe("sums", subject.sequence_logprobs(logits, ids, mask), tolerance=1e-3)


def test_sequence_logprobs_gradient(subject, draw, observe):
    """Gradients must reach every float input."""
    logits, ids = draw.normal(3, 7, 5).requires_grad_(True), draw.integers(3, 7, high=5)
    mask = torch.tensor([[False] * start + [True] * (end - start) + [False] * (7 - end) for start, end in SPANS])
    (subject.sequence_logprobs(logits, ids, mask) * draw.normal(3)).sum().backward()
    observe("gradient of the logits", logits.grad)


def test_sequence_logprobs_in_float64(subject, draw, observe):
    """A result must have its inputs' dtype."""
    logits, ids = draw.normal(3, 7, 5).double(), draw.integers(3, 7, high=5)
    mask = torch.ones(3, 7, dtype=torch.bool)
    observe("to more digits than a float32 has", subject.sequence_logprobs(logits, ids, mask), tolerance=1e-12)


def test_sequence_logprobs_refuses_an_empty_answer(subject, draw, observe):
    """ValueError: a row in which no token counts. The message should name the row, counted from 0."""
    logits, ids = draw.normal(4, 6, 5), draw.integers(4, 6, high=5)
    for row in (3, 0):
        mask = torch.ones(4, 6, dtype=torch.bool)
        mask[row] = False
        observe.outcome(f"nothing in row {row}", subject.sequence_logprobs, logits, ids, mask, mentions=(str(row),))
        mask[row, 0] = True
        observe.outcome("only position 0", subject.sequence_logprobs, logits, ids, mask, mentions=(str(row),))
        mask[row, 5] = True
        observe("only the last place", subject.sequence_logprobs(logits, ids, mask))
    nothing = torch.zeros(4, 6, dtype=torch.bool)
    observe.outcome("nothing in any row", subject.sequence_logprobs, logits, ids, nothing)


def test_dpo_loss_of_large_margins(subject, draw, observe):
    """Margins of ±1000 should give a finite loss and a finite gradient; `F.logsigmoid` does."""
    for far in (120.0, 1000.0, 10000.0):
        chosen = torch.tensor([far, -far, 0.0]).requires_grad_(True)
        rejected = torch.zeros(3, requires_grad=True)
        result = subject.dpo_loss(chosen, rejected, torch.zeros(3), torch.zeros(3), 1.0)
        observe(f"margins of {far}", parts(result), tolerance=1e-4)
        result.loss.backward()
        observe(f"gradients at {far}", [chosen.grad, rejected.grad])


def test_dpo_loss_of_equal_rewards(subject, draw, observe):
    """Equal rewards do not count as right."""
    chosen, rejected = torch.tensor([-3.0, -4.0, -5.0, -2.0]), torch.tensor([-7.0, -1.0, -6.0, -2.0])
    found = subject.dpo_loss(chosen, rejected, chosen - 1.0, rejected - torch.tensor([1.0, 1.0, 0.5, 2.0]), 0.5)
    observe("two equal, one right, one wrong", parts(found))


def test_dpo_loss_in_float64(subject, draw, observe):
    """A result must have its inputs' dtype."""
    logprobs = [draw.normal(6).double() for _ in range(4)]
    found = parts(subject.dpo_loss(*logprobs, 0.3))
    observe("accuracy", found.pop("accuracy"))  # a share of the pairs, whatever it is computed in
    observe("to more digits than a float32 has", found, tolerance=1e-12)


def test_dpo_loss_batch_keeps_gradients_of_the_reference(subject, draw, observe):
    """Gradients that the reference has stay as they are."""
    find = subject.dpo_loss_batch
    policy, reference = models(draw)
    for parameter in reference.parameters():
        parameter.grad = draw.normal(*parameter.shape).clone()
    given = batch(draw, 3, 7)
    find(given, policy, reference, 0.5).loss.backward()
    observe("the reference", state(reference))
    observe("the batch", given)


class Broken(Table):
    """A model that fails."""

    def forward(self, ids):
        raise KeyError("a model that fails")


def test_dpo_loss_batch_restores_the_mode_after_an_error(subject, draw, observe):
    """Its mode is restored also if a model raises an error."""
    find = subject.dpo_loss_batch
    policy, reference = models(draw)
    observe.outcome("the reference fails", find, batch(draw, 2, 6), policy, broken := Broken())
    observe("it is in training mode", broken.training)
    observe.outcome("the policy fails", find, batch(draw, 2, 6), Broken(), reference)
    observe("the reference is in training mode", reference.training)


class Moved(torch.Tensor):
    """A tensor that writes down to which device it is moved."""

    name: str
    asked: list[str]

    def to(self, *arguments, **named):
        device = torch.device(named["device"] if "device" in named else arguments[0])
        self.asked.append(f"{self.name} to {device}")
        return self.as_subclass(torch.Tensor)


def marked(draw, asked, *shapes):
    """Batches whose tensors write down in `asked` to which device they are moved."""
    names = ("chosen", "rejected", "chosen_mask", "rejected_mask")
    kinds = {name: type("Moved", (Moved,), {"name": name, "asked": asked}) for name in names}
    return [{name: part.as_subclass(kinds[name]) for name, part in one.items()} for one in batches(draw, *shapes)]


def test_dpo_loss_batch_moves_the_batch(subject, draw, observe):
    """device where both models are, and each tensor of the batch should go"""
    find = subject.dpo_loss_batch
    for device in ("cpu:0", torch.device("cpu", 0)):
        (policy, reference), asked = models(draw), []
        (given,) = marked(draw, asked, (3, 6))
        observe("result", parts(find(given, policy, reference, 0.5, device)), tolerance=1e-4)
        observe("what was moved", sorted(set(asked)))


def test_evaluate_dpo_of_nothing(subject, draw, observe):
    """Without any pair: nan, nan, nan."""
    evaluate = subject.evaluate_dpo
    policy, reference = models(draw)
    observe("no batches", evaluate(policy, reference, []))
    observe("num_batches 0", evaluate(policy, reference, batches(draw, (2, 6)), num_batches=0))


def test_evaluate_dpo_restores_the_mode_after_an_error(subject, draw, observe):
    """The mode is restored also after an error."""
    evaluate = subject.evaluate_dpo
    (policy, reference), given = models(draw), batches(draw, (2, 6))
    observe.outcome("the policy fails", evaluate, broken := Broken(), reference, given)
    observe("it is in training mode", broken.training)
    observe.outcome("the reference fails", evaluate, policy, Broken(), given)
    observe("the policy is in training mode", policy.training)


def test_evaluate_dpo_moves_the_batches(subject, draw, observe):
    """policy, reference, beta, device as dpo_loss_batch takes them"""
    evaluate = subject.evaluate_dpo
    (policy, reference), asked = models(draw), []
    observe("found", evaluate(policy, reference, marked(draw, asked, (2, 6), (1, 7)), 0.5, "cpu:0"))
    observe("what was moved", sorted(set(asked)))


def test_update_dpo_starts_from_empty_gradients(subject, draw, observe):
    """Gradients that were there before do not count."""
    update = subject.update_dpo
    policy, reference = models(draw)
    optimizer = GradientDescent(policy)
    for parameter in policy.parameters():
        parameter.grad = draw.normal(*parameter.shape).clone()
    for step in (1, 2):
        update(policy, reference, batches(draw, (2, 6)), optimizer, 0.25, 1e6, 0.5)
        observe(f"gradients at step {step}", optimizer.gradients[-1])
    observe("weights", weights(policy))


def test_update_dpo_clips_all_gradients_together(subject, draw, observe):
    """Then all gradients are clipped together, the learning rate is in every group of the optimizer, and it steps
    once."""
    update = subject.update_dpo
    for max_norm in (0.01, 0.05, 50.0):
        policy, reference = models(draw)
        optimizer = GradientDescent(policy)
        update(policy, reference, batches(draw, (2, 6), (3, 5)), optimizer, 0.25, max_norm, 0.5)
        observe(f"gradients at the step, max_norm {max_norm}", optimizer.gradients)
        observe(f"weights, max_norm {max_norm}", weights(policy))
    # Between equal models every pair pulls with half its strength, so with a large beta the norm is well above 1.
    policy, _ = models(draw)
    optimizer = GradientDescent(policy)
    update(policy, copy.deepcopy(policy), batches(draw, (2, 6), (3, 5)), optimizer, 0.25, 1e6, 50.0)
    observe("gradients at the step, beta 50, max_norm 1e6", optimizer.gradients, tolerance=1e-3)


def test_update_dpo_sets_the_learning_rate_of_every_group(subject, draw, observe):
    """Then all gradients are clipped together, the learning rate is in every group of the optimizer, and it steps
    once."""
    update = subject.update_dpo
    for groups in (2, 1, 3):
        policy, reference = models(draw)
        optimizer = GradientDescent(policy, groups)
        update(policy, reference, batches(draw, (2, 6)), optimizer, draw.number(0.1, 0.5), 1e6, 0.5)
        observe("learning rates at the step", optimizer.rates)
        observe("weights", weights(policy))


def test_update_dpo_in_training_mode(subject, draw, observe):
    """The policy is put into training mode first."""
    update = subject.update_dpo
    policy, reference = models(draw)
    policy.eval()
    update(policy, reference, batches(draw, (2, 6), (1, 6)), GradientDescent(policy), 0.25, 1e6, 0.5)
    observe("modes of the policy", sorted(policy.modes))
    observe("modes of the reference", sorted(reference.modes))
    observe("what the policy learned from", sorted(policy.learned_from))


def test_update_dpo_moves_the_batches(subject, draw, observe):
    """policy, reference, beta, device as dpo_loss_batch takes them"""
    update = subject.update_dpo
    (policy, reference), asked = models(draw), []
    update(policy, reference, marked(draw, asked, (2, 6)), GradientDescent(policy), 0.25, 1e6, 0.5, "cpu:0")
    observe("what was moved", sorted(set(asked)))


def test_train_dpo_goes_on_from_a_history(subject, draw, observe):
    """A training that was stopped goes on, with its history, as if it had never stopped, to the last bit."""
    train = subject.train_dpo
    training, validation = batches(draw, (2, 6), (1, 6), (3, 6)), batches(draw, (2, 6))
    for step in (1, 3):
        (policy, reference), seen = models(draw), []
        optimizer = GradientDescent(policy)
        point = subject.DPOEvaluation(1, 40, 0.5, 0.75, 0.25, 0.125, 0.5, 0.25, 0.125)
        given = subject.DPOHistory(step, 5000, [point])
        settings = config(subject, 3, accumulate=2, eval_every=2, warmup_steps=2)
        calls = {"on_step": lambda history, seen=seen: seen.append(counts(history)), "history": given}
        returned = train(policy, reference, training, validation, optimizer, settings, 0.5, **calls)
        observe(f"after each step, from step {step} on", seen)
        observe(f"learning rates, from step {step} on", optimizer.rates)
        observe(f"history given, from step {step} on", everything(given), tolerance=1e-4)
        returned.pairs_seen = -1
        observe("pairs of the history given, after a change of what was returned", given.pairs_seen)


def test_train_dpo_on_step_gets_the_history_itself(subject, draw, observe):
    """Call on_step(history)."""
    train = subject.train_dpo
    policy, reference = models(draw)

    def note(history):
        history.pairs_seen += 1000

    settings = config(subject, 2, eval_every=2)
    loaders = batches(draw, (2, 6), (1, 6)), batches(draw, (1, 6))
    history = train(policy, reference, *loaders, GradientDescent(policy), settings, on_step=note)
    observe("history", everything(history), tolerance=1e-4)


class Stop(Exception):
    """What an on_step raises to stop the training."""


def test_train_dpo_interrupted_is_as_in_one_go(subject, draw, observe):
    """A training that was stopped goes on, with its history, as if it had never stopped, to the last bit."""
    train = subject.train_dpo
    training, validation = shuffling_loader(draw, 6), batches(draw, (2, 5))
    settings = config(subject, 2, warmup_steps=2, max_norm=0.5, accumulate=2, eval_every=2, eval_batches=1)
    start = torch.get_rng_state()
    policy, reference = models(draw, dropout=0.5)
    again, _ = models(draw, dropout=0.5)
    again.load_state_dict(policy.state_dict())
    whole = train(policy, reference, training, validation, GradientDescent(policy), settings, 0.5)
    observe("counts in one go", counts(whole))
    torch.set_rng_state(start)
    history = subject.DPOHistory()

    def stop(history):
        if history.step == 1:
            raise Stop

    try:
        loaders = reference, training, validation
        train(again, *loaders, GradientDescent(again), settings, 0.5, on_step=stop, history=history)
    except Stop:
        observe("stopped", counts(history))
    train(again, *loaders, GradientDescent(again), settings, 0.5, history=history)
    observe("counts, gone on", counts(history))
    losses = [
        [point.train_loss, point.val_loss, point.train_margin, point.val_margin] for point in whole.evaluations
    ]
    later = [
        [point.train_loss, point.val_loss, point.train_margin, point.val_margin] for point in history.evaluations
    ]
    pairs = zip(policy.parameters(), again.parameters(), strict=True)
    observe("difference of the weights", [(one - other).detach() for one, other in pairs], tolerance=0.0)
    observe("difference of the curves", (torch.tensor(losses) - torch.tensor(later)), tolerance=0.0)


def test_train_dpo_leaves_the_random_state_alone(subject, draw, observe):
    """Nothing but the policy draws from torch's global random state, and nothing seeds it."""
    train = subject.train_dpo
    (policy, reference), loader = models(draw), shuffling_loader(draw, 5)
    before = torch.get_rng_state().int()
    train(
        policy, reference, loader, batches(draw, (2, 5)), GradientDescent(policy), config(subject, 1, eval_every=2)
    )
    observe("change of the global random state", torch.get_rng_state().int() - before)


def test_train_dpo_with_nothing_to_do(subject, draw, observe):
    """the history: the given one, if any"""
    train = subject.train_dpo
    training, validation = batches(draw, (2, 6), (1, 6)), batches(draw, (1, 6))
    cases = (
        ("no epochs", training, 0, None),
        ("no batches", [], 2, None),
        ("finished", training, 2, subject.DPOHistory(4, 99, [])),
    )
    for what, loader, epochs, history in cases:
        policy, reference = models(draw)
        seen = []
        settings = config(subject, epochs, eval_every=1)
        calls = {"history": history, "on_step": lambda history, seen=seen: seen.append(history.step)}
        returned = train(policy, reference, loader, validation, GradientDescent(policy), settings, **calls)
        observe(f"{what}: history", everything(returned))
        observe(f"{what}: what happened", [seen, policy.events, sorted(policy.looked_at)])


def test_train_dpo_moves_the_batches(subject, draw, observe):
    """policy, reference, beta, device as dpo_loss_batch takes them"""
    train = subject.train_dpo
    for eval_every in (1, 9):
        (policy, reference), trained, judged = models(draw), [], []
        training, validation = marked(draw, trained, (2, 6)), marked(draw, judged, (1, 6))
        settings = config(subject, 1, eval_every=eval_every)
        train(policy, reference, training, validation, GradientDescent(policy), settings, device="cpu:0")
        observe("what was moved of the training batches", sorted(set(trained)))
        observe("what was moved of the validation batches", sorted(set(judged)))
