"""Probes of ex16: instructions. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings. A batch costs most of the time here: the model is as
small as can be, and the loaders hold two to five batches.
"""

from importlib import import_module

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

VOCABULARY = 13


class Pairs:
    """A tokenizer that makes one id of two letters: it matters where a text begins. It notes what it is given."""

    def __init__(self):
        self.texts = []

    def encode(self, text):
        self.texts.append(text)
        pairs = [text[start : start + 2] for start in range(0, len(text), 2)]
        return [sum(ord(letter) * 1000**place for place, letter in enumerate(pair)) for pair in pairs]


def entry(draw, instruction, given, output):
    """An entry whose three texts have these lengths; no input at all for None."""
    texts = {"instruction": "".join(draw.word() for _ in range(9))[:instruction]}
    if given is not None:
        texts["input"] = ("".join(draw.word() for _ in range(9)) * given)[:given]
    return texts | {"output": "".join(draw.word() for _ in range(9))[:output]}


def entries(draw):
    return [entry(draw, *lengths) for lengths in ((6, 4, 5), (7, None, 3), (5, 0, 4), (4, 3, 0), (9, 8, 1))]


def row(draw, length, prompt_length):
    """An item: ids that are never 0, the pad id of most probes."""
    return draw.integers(length, low=1, high=VOCABULARY).tolist(), prompt_length


def rows(draw, *shapes):
    return [row(draw, *shape) for shape in shapes]


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


def batch(draw, length, *counts):
    """Inputs and targets of this length; in each row only the last so many targets count."""
    inputs = draw.integers(len(counts), length, high=VOCABULARY)
    targets = draw.integers(len(counts), length, high=VOCABULARY).clone()
    for number, count in enumerate(counts):
        targets[number, : length - count] = -100
    return inputs, targets


def unequal(draw):
    """Five batches in which different numbers of targets count."""
    return [batch(draw, *shape) for shape in ((5, 1, 2), (4, 4), (7, 7, 5), (3, 1), (6, 6, 0))]


def short(draw, count):
    return [batch(draw, 3, 3, 1 + number % 3) for number in range(count)]


def shuffling_loader(draw, sequences, batch_size=2, seed=1):
    pairs = []
    for number in range(sequences):
        inputs, targets = batch(draw, 5, 1 + number % 5)
        pairs.append((inputs[0], targets[0]))
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


def ex13(subject):
    """Exercise 13 of the same person. A file need not import what it does not call."""
    return import_module(".ex13_train", subject.__package__)


def config(subject, num_epochs, **named):
    """Steps large enough to be seen; no clipping unless it is asked for."""
    return ex13(subject).TrainConfig(num_epochs, **({"max_lr": 0.4, "min_lr": 0.05, "max_norm": 1e6} | named))


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


def test_format_prompt(subject, draw, observe):
    """PREAMBLE, then "\\n\\n### Instruction:\\n" and the instruction; then, only if there is an input that is not
    empty, "\\n\\n### Input:\\n" and the input"""
    given = entry(draw, 7, 5, 3)
    observe("with an input", subject.format_prompt(given))
    observe("the entry afterwards", given)
    observe("the input is empty", subject.format_prompt(entry(draw, 7, 0, 3)))
    observe("there is no input", subject.format_prompt(entry(draw, 7, None, 3)))
    observe("the lesson's", subject.format_prompt({"instruction": "Add.", "input": "1, 2", "output": "3"}))


def test_format_prompt_leaves_the_texts_as_they_are(subject, draw, observe):
    """Instruction and input should be left as they are, white space included."""
    texts = {"instruction": f"  {draw.text(20)}\n", "input": f"\n{draw.text(20)} ", "output": "x"}
    observe("prompt", subject.format_prompt(texts))
    texts = {"instruction": "Explain {input} and %s.", "input": "### Input:", "output": "{output}"}
    observe("prompt with braces and headings", subject.format_prompt(texts))
    observe("without an input", subject.format_prompt({"instruction": " Say hello.\n\n", "output": "Hello."}))


def test_instruction_dataset_encodes_prompt_and_output(subject, draw, observe):
    """The ids of an entry should be those of its prompt, that is `format_prompt(entry) + RESPONSE_HEADING`, and
    then those of its output, as two calls of `encode` give them."""
    given = entries(draw)
    data = subject.InstructionDataset(given, Pairs())
    observe("length", len(data))
    for number in range(len(given)):
        observe(f"item {number}", data[number])
    observe("entries afterwards", given)


def test_instruction_dataset_encodes_once(subject, draw, observe):
    """Everything should be encoded once, when the data set is made."""
    given, tokenizer = entries(draw), Pairs()
    data = subject.InstructionDataset(given, tokenizer)
    observe("what was encoded while it was made", sorted(tokenizer.texts))
    given[1]["output"] = "another"
    del given[2:]
    tokenizer.texts.clear()
    observe("length after a change of the entries", len(data))
    observe("items after a change of the entries", [data[number] for number in (0, 1, 1, 4)])
    observe("what was encoded for that", tokenizer.texts)


def test_instruction_dataset_shares_nothing_with_another(subject, draw, observe):
    """How many entries there are."""
    given = entries(draw)
    first, second = subject.InstructionDataset(given[:2], Pairs()), subject.InstructionDataset(given[2:], Pairs())
    none = subject.InstructionDataset([], Pairs())
    observe("lengths", [len(first), len(second), len(none)])
    observe("first items", [first[0], second[0]])


def test_collate_lesson_example(subject, draw, observe):
    """Targets are the inputs, moved by one: at every position the token that comes next."""
    both = [([5, 6, 7, 8, 4], 3), ([5, 3, 2], 2)]
    observe("plain", subject.collate(both, 0))
    observe("mask_prompt", subject.collate(both, 0, mask_prompt=True))
    observe("max_length=3", subject.collate(both, 0, max_length=3))
    observe("both", subject.collate(both, 0, max_length=3, mask_prompt=True))


def test_collate_pads_to_the_longest_of_the_batch(subject, draw, observe):
    """So the shorter rows are padded on the right, only up to the longest row of *this* batch."""
    for shapes in (((3, 2), (9, 4), (6, 6), (9, 1)), ((7, 2), (4, 3)), ((5, 2),), ((4, 1), (4, 2), (4, 3))):
        pad, several = draw.whole(VOCABULARY, 60000), rows(draw, *shapes)
        observe(f"lengths {[length for length, _ in shapes]}", subject.collate(several, pad))
        observe("the batch afterwards", several)


def test_collate_mask_prompt(subject, draw, observe):
    """The first token of the answer, 8 and 2, is a target in every column: the prompt's last token has to predict
    it."""
    for shapes in (((3, 2), (9, 4), (6, 5)), ((7, 2), (4, 3)), ((5, 4),)):
        several = rows(draw, *shapes)
        observe(f"masked, (length, prompt) {shapes}", subject.collate(several, 0, mask_prompt=True))
        observe("the batch afterwards", several)


def test_collate_max_length(subject, draw, observe):
    """Rows are cut after the shift: a target is the next token, also in the last column."""
    for mask_prompt in (False, True):
        several = rows(draw, (6, 2), (3, 2), (9, 1), (5, 2))
        for longest in (2, 3, 5, 8, 9, 10, 30):
            found = subject.collate(several, 0, max_length=longest, mask_prompt=mask_prompt)
            observe(f"max_length {longest}, mask_prompt {mask_prompt}", found)
        observe("the batch afterwards", several)


def test_collate_ignore_index(subject, draw, observe):
    """ignore_index the target where nothing is learned"""
    several = rows(draw, (3, 2), (9, 4), (6, 5))
    for mask_prompt in (False, True):
        found = subject.collate(several, 0, ignore_index=-1, mask_prompt=mask_prompt)
        observe(f"ignore_index -1, mask_prompt {mask_prompt}", found)


def test_collate_device(subject, draw, observe):
    """device where both tensors should be"""
    for device in ("meta", torch.device("meta")):
        inputs, targets = subject.collate(rows(draw, (5, 2), (3, 1)), 0, mask_prompt=True, device=device)
        observe("devices", [inputs.device.type, targets.device.type])
        observe("shapes", [inputs.shape, targets.shape])


def test_extract_response(subject, draw, observe):
    """what comes after the prompt, up to the first END_OF_TEXT if there is one, without white space at its
    ends"""
    extract, end = subject.extract_response, "<|endoftext|>"
    prompt = f"{draw.text(20)}\n\n### Response:\n"
    observe("the lesson's", extract(f"Add.\n\n### Response:\n 3 {end}", "Add.\n\n### Response:\n"))
    answer = f"{draw.word()} {draw.word()}\n{draw.word()}\n\n{draw.word()}."
    observe("never ended", extract(prompt + answer, prompt))
    observe("ended once", extract(prompt + answer + end, prompt))
    observe("filled up", extract(prompt + answer + end * 3, prompt))
    observe("white space", extract(f"{prompt}\n  {answer}\t\n{end}", prompt))
    observe("gone on after the end", extract(f"{prompt}{answer} {end}Something else.{end}", prompt))
    observe("nothing", extract(prompt, prompt))
    observe("ended at once", extract(prompt + end + answer, prompt))


def test_extract_response_prompt(subject, draw, observe):
    """what comes after the prompt, up to the first END_OF_TEXT if there is one, without white space at its
    ends"""
    extract, word = subject.extract_response, draw.word()
    prompt = f"What is this? Say {word}.\n"
    observe("prompt in the answer", extract(f"{prompt}You said: {prompt}{word}", prompt))
    observe("letters of the prompt", extract("abc\ncab abd", "abc\n"))
    observe("no white space between them", extract(f"abc{word}def", "abc"))
    observe("an empty prompt", extract(word, ""))


def test_update_instruct_from_one_batch(subject, draw, observe):
    """But the gradient should be that of this one number: the sum of the losses of all targets that count in the
    group, divided by how many count in the whole group."""
    model = tiny(draw)
    optimizer = GradientDescent(model)
    observe("tokens", subject.update_instruct(model, [batch(draw, 7, 3, 5)], optimizer, 0.25, 1e6, "cpu"))
    observe("gradients at the step", optimizer.gradients)
    observe("weights", weights(model))


def test_update_instruct_every_token_weighs_the_same(subject, draw, observe):
    """But the gradient should be that of this one number: the sum of the losses of all targets that count in the
    group, divided by how many count in the whole group."""
    model = tiny(draw)
    optimizer = GradientDescent(model)
    group = unequal(draw)
    observe("tokens", subject.update_instruct(model, group, optimizer, 0.25, 1e6, "cpu"))
    observe("gradients at the step", optimizer.gradients)
    observe("weights", weights(model))
    observe("tokens of two batches", subject.update_instruct(model, group[2:4], optimizer, 0.25, 1e6, "cpu"))
    observe("weights after two batches more", weights(model))


def test_update_instruct_starts_from_empty_gradients(subject, draw, observe):
    """Arguments and result are those of `update` in exercise 13, and all is done as there and in the same
    order."""
    model = tiny(draw)
    optimizer = GradientDescent(model)
    for parameter in model.parameters():
        parameter.grad = draw.normal(*parameter.shape).clone()
    for step in (1, 2, 3):
        subject.update_instruct(model, unequal(draw)[1:3], optimizer, 0.25, 1e6, "cpu")
        observe(f"gradients at step {step}", optimizer.gradients[-1])
    observe("weights", weights(model))


def test_update_instruct_clips_all_gradients_together(subject, draw, observe):
    """Arguments and result are those of `update` in exercise 13, and all is done as there and in the same
    order."""
    for max_norm, size in ((0.05, 3), (0.3, 2), (50.0, 1)):
        model = tiny(draw)
        optimizer = GradientDescent(model)
        subject.update_instruct(model, unequal(draw)[:size], optimizer, 0.25, max_norm, "cpu")
        observe(f"gradients at the step, max_norm {max_norm}", optimizer.gradients)


def test_update_instruct_sets_the_learning_rate_of_every_group(subject, draw, observe):
    """Arguments and result are those of `update` in exercise 13, and all is done as there and in the same
    order."""
    for groups in (2, 1, 3):
        model = tiny(draw)
        optimizer = GradientDescent(model, groups)
        for rate in (draw.number(0.1, 0.5), 0.0):
            subject.update_instruct(model, [batch(draw, 5, 2, 4)], optimizer, rate, 1e6, "cpu")
            observe("learning rates at the step", optimizer.rates[-1])
            observe("weights", weights(model))


def test_update_instruct_in_training_mode(subject, draw, observe):
    """Arguments and result are those of `update` in exercise 13, and all is done as there and in the same
    order."""
    for mode in (True, False):
        model = tiny(draw, dropout=0.5).train(mode)
        subject.update_instruct(model, unequal(draw)[:2], GradientDescent(model), 0.25, 1e6, "cpu")
        observe(f"modes of the forward passes, training={mode} before", model.modes)
        observe(f"weights, training={mode} before", weights(model))


class Moved(torch.Tensor):
    """A tensor that writes down to which device it is moved."""

    asked: list[str]

    def to(self, *arguments, **named):
        self.asked.append(str(torch.device(named["device"] if "device" in named else arguments[0])))
        return self.as_subclass(torch.Tensor)


def marked(draw, asked, count):
    """Batches that write down in `asked` to which device they are moved."""
    kind = type("Moved", (Moved,), {"asked": asked})
    return [tuple(part.as_subclass(kind) for part in batch(draw, 5, 2, 4)) for _ in range(count)]


def test_update_instruct_moves_the_batches(subject, draw, observe):
    """Arguments and result are those of `update` in exercise 13, and all is done as there and in the same
    order."""
    for device in ("cpu:0", torch.device("cpu", 0)):
        model, asked = tiny(draw), []
        group = marked(draw, asked, 2)
        observe("tokens", subject.update_instruct(model, group, GradientDescent(model), 0.25, 1e6, device))
        observe("devices asked for", sorted(set(asked)))


def test_train_instruct_lesson_example(subject, draw, observe):
    """Each step that `training_steps` gives should be one `update_instruct`."""
    train = subject.train_instruct
    model, seen = tiny(draw), []
    optimizer = GradientDescent(model)
    settings = config(subject, 2, accumulate=2, eval_every=2, eval_batches=1, warmup_steps=2)
    calls = {"sample": lambda _: "hello", "on_step": noting(seen)}
    history = train(model, unequal(draw), unequal(draw)[:2], optimizer, settings, **calls)
    observe("step, tokens seen, evaluations and samples after each step", seen)
    observe("learning rates", optimizer.rates)
    observe("gradients at each step", optimizer.gradients, tolerance=1e-4)
    observe("history", everything(history), tolerance=1e-4)


def test_train_instruct_without_anything_optional(subject, draw, observe):
    """Arguments and result are those of `train_model` in exercise 13. Each step that `training_steps` gives
    should be one `update_instruct`."""
    train = subject.train_instruct
    model = tiny(draw)
    training, validation = unequal(draw)[:2], unequal(draw)[2:3]
    history = train(model, training, validation, GradientDescent(model), ex13(subject).TrainConfig(5))
    observe("history", everything(history), tolerance=1e-4)
    observe("weights", weights(model), tolerance=1e-4)


def test_train_instruct_with_everything_at_once(subject, draw, observe):
    """Arguments and result are those of `train_model` in exercise 13. Each step that `training_steps` gives
    should be one `update_instruct`."""
    train = subject.train_instruct
    model = tiny(draw, dropout=0.5)
    optimizer = GradientDescent(model)
    settings = config(subject, 2, warmup_steps=2, max_norm=0.4, accumulate=3, eval_every=2, eval_batches=2)
    history = train(model, unequal(draw), unequal(draw)[2:], optimizer, settings, "cpu", lambda _: "text")
    observe("history", everything(history), tolerance=1e-4)
    observe("learning rates", optimizer.rates)
    observe("gradients at each step", optimizer.gradients, tolerance=1e-4)
    observe("weights", weights(model), tolerance=1e-4)


def test_train_instruct_evaluates_every_few_steps(subject, draw, observe):
    """If step is a multiple of config.eval_every: `seed_loader(train_loader, config.seed)`, then append an
    Evaluation, by `evaluate_model` on config.eval_batches."""
    train = subject.train_instruct
    for eval_every, eval_batches in ((1, 1), (3, None), (5, 9)):
        model = tiny(draw)
        settings = config(subject, 2, eval_every=eval_every, eval_batches=eval_batches)
        history = train(model, unequal(draw)[:3], unequal(draw)[2:4], GradientDescent(model), settings)
        observe(f"curve, every {eval_every}", points(history), tolerance=1e-4)
        observe(f"learned from, every {eval_every}", model.learned_from)
        observe(f"looked at, every {eval_every}", sorted(model.looked_at))


def test_train_instruct_shuffles_each_epoch_and_evaluates_on_the_same(subject, draw, observe):
    """If step is a multiple of config.eval_every: `seed_loader(train_loader, config.seed)`, then append an
    Evaluation, by `evaluate_model` on config.eval_batches."""
    train = subject.train_instruct
    model, loader, looked_at = tiny(draw), shuffling_loader(draw, 9), []
    settings = config(subject, 2, accumulate=2, eval_every=2, eval_batches=2, seed=draw.whole(0, 1000))

    def look(history):
        looked_at.append(sorted(model.looked_at))
        model.looked_at.clear()

    before = torch.get_rng_state().int()
    history = train(model, loader, unequal(draw)[:1], GradientDescent(model), settings, on_step=look)
    observe("change of the global random state", torch.get_rng_state().int() - before)
    observe("looked at after each step", looked_at)
    observe("what it learned from", model.learned_from)
    observe("curve", points(history), tolerance=1e-4)


def test_train_instruct_sample_then_on_step(subject, draw, observe):
    """After the last step of an epoch, append the sample, if any."""
    train = subject.train_instruct
    given, happened = ex13(subject).History(), []
    settings = config(subject, 2, accumulate=2, eval_every=2)

    def sample(model):
        happened.append(("sample", *counts(given)))
        model.eval()
        return f"{model.name} {len(happened)}"

    def on_step(history):
        happened.append(("on_step", *counts(history)))
        history.samples = [*history.samples, f"after step {history.step}"]

    model = tiny(draw, dropout=0.5)
    returned = train(
        model, short(draw, 3), short(draw, 1), GradientDescent(model), settings, "cpu", sample, on_step, given
    )
    observe("what was called, with the history's counts", happened)
    observe("history given", everything(given), tolerance=1e-4)
    observe("history returned", everything(returned), tolerance=1e-4)
    observe("modes of the forward passes", sorted(model.modes))


def test_train_instruct_keeps_every_sample(subject, draw, observe):
    """After the last step of an epoch, append the sample, if any."""
    train = subject.train_instruct
    texts = iter(("the same", "", "the same"))
    model = tiny(draw)
    calls = {"sample": lambda _: next(texts)}
    history = train(model, short(draw, 2), [], GradientDescent(model), config(subject, 3, eval_every=9), **calls)
    observe("samples", history.samples)


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


def test_train_instruct_goes_on_from_a_history(subject, draw, observe):
    """One that stops and goes on with its history should be the same as one in one go, to the last bit."""
    train = subject.train_instruct
    for step in (1, 2, 5):
        model, seen, training = tiny(draw), [], Numbered(short(draw, 3))
        optimizer = GradientDescent(model)
        given = ex13(subject).History(step, 5000, [ex13(subject).Evaluation(3, 70, 2.5, 2.75, 0.125)], ["earlier"])
        settings = config(subject, 3, accumulate=2, eval_every=3, eval_batches=1, warmup_steps=2, seed=70)
        calls = {"sample": lambda _: "later", "on_step": noting(seen)}
        returned = train(model, training, short(draw, 1), optimizer, settings, history=given, **calls)
        observe(f"what it learned from, from step {step} on", model.learned_from)
        observe(f"seeds with which training batches were taken, from step {step} on", sorted(training.gone_through))
        observe(f"learning rates, from step {step} on", optimizer.rates)
        observe(f"after each step, from step {step} on", seen)
        observe(f"history given, from step {step} on", everything(given), tolerance=1e-4)
        observe(f"history returned, from step {step} on", everything(returned), tolerance=1e-4)
        returned.samples = ["another list"]
        observe("samples given, after a change of what was returned", given.samples)


class Stop(Exception):
    """What an on_step raises to stop the training."""


def stopping_after(step, error):
    def on_step(history):
        if history.step == step:
            raise error

    return on_step


def test_train_instruct_moves_the_batches(subject, draw, observe):
    """Arguments and result are those of `train_model` in exercise 13."""
    train = subject.train_instruct
    for eval_every in (1, 9):
        model, trained, judged = tiny(draw), [], []
        training, validation = marked(draw, trained, 2), marked(draw, judged, 1)
        settings = config(subject, 1, eval_every=eval_every)
        train(model, training, validation, GradientDescent(model), settings, torch.device("cpu", 0))
        observe("devices asked for, training", sorted(set(trained)))
        observe("devices asked for, validation", sorted(set(judged)))


# The fine print.


def test_instruction_dataset_hands_out_no_list_of_its_own(subject, draw, observe):
    """The list should be a new one each time: whoever changes it does not change the data set."""
    data = subject.InstructionDataset(entries(draw), Pairs())
    for number in (0, 3, 0):
        ids, prompt_length = data[number]
        observe(f"item {number}", (list(ids), prompt_length))
        ids.append(5)
        ids[0] = 7


def test_collate_ignores_by_place_and_not_by_value(subject, draw, observe):
    """The end-of-text that was appended is a target; padding is not. The position decides, never the value."""
    pad = draw.whole(1, VOCABULARY)
    several = [
        ([4, pad, 7, pad], 2),
        ([pad, pad, 3, pad, pad, pad, 8], 5),
        ([2, 9, pad], 1),
        ([pad] * 4, 2),
        ([6, 1], 2),
    ]
    observe("pad ids within the text", subject.collate(several, pad))
    observe("pad ids within the text, masked", subject.collate(several, pad, mask_prompt=True))
    observe("pad ids within the text, cut", subject.collate(several, pad, max_length=5))


def test_collate_prompt_of_one_id_or_none(subject, draw, observe):
    """A prompt of 1 id, or of none, has no target to hide."""
    several = rows(draw, (5, 1), (4, 0), (7, 2), (1, 0), (1, 1))
    observe("masked", subject.collate(several, 0, mask_prompt=True))
    observe("masked and cut", subject.collate(several, 0, mask_prompt=True, max_length=2))
    observe("the shortest that there is", subject.collate(several[-1:], 0, mask_prompt=True))


def test_collate_empty_answer(subject, draw, observe):
    """The end-of-text that was appended is a target; padding is not."""
    several = rows(draw, (5, 5), (3, 3), (7, 6))
    observe("plain", subject.collate(several, 0))
    observe("masked", subject.collate(several, 0, mask_prompt=True))


def test_collate_prompt_that_just_fits(subject, draw, observe):
    """ValueError: a prompt is longer than max_length, masked or not, so that no token of its answer would be a
    target."""
    several = rows(draw, (8, 4), (4, 4), (6, 3))
    for mask_prompt in (False, True):
        found = subject.collate(several, 0, max_length=4, mask_prompt=mask_prompt)
        observe(f"prompt as long as max_length, mask_prompt {mask_prompt}", found)


def test_collate_prompt_too_long(subject, draw, observe):
    """ValueError: a prompt is longer than max_length, masked or not, so that no token of its answer would be a
    target. The message should name the row, counted from 0, the length of its prompt, and max_length."""
    several = rows(draw, (30, 8), (5, 2), (30, 8), (11, 8), (28, 26))
    call, mentions = subject.collate, ("4", "26", "13")
    for mask_prompt in (False, True):
        named = {"max_length": 13, "mask_prompt": mask_prompt}
        observe.outcome(f"13 columns, mask_prompt {mask_prompt}", call, several, 0, mentions=mentions, **named)
    one_more = rows(draw, (8, 2), (7, 7))
    observe.outcome("one id more, and no answer", call, one_more, 0, max_length=6, mentions=("1", "7", "6"))
    observe("the batch afterwards", several)


def test_extract_response_heading(subject, draw, observe):
    """If what the model wrote begins with "### Response:", because the prompt lacked it, that heading is left
    out, once. Anywhere later it is part of the answer."""
    extract, heading = subject.extract_response, "### Response:"
    prompt, answer = draw.text(20), draw.word()
    observe("written by the model", extract(f"{prompt}\n\n{heading}\n{answer}<|endoftext|>", prompt))
    observe("on one line", extract(f"{prompt} {heading} {answer}", prompt))
    text = f"Write {heading}\nas a heading.\n\n{heading}\n{answer}"
    observe("part of the answer", extract(f"{prompt}\n\n{heading}\n{text}", f"{prompt}\n\n{heading}\n"))
    observe("written first, and part of the answer", extract(f"{prompt}\n\n{heading}\n{text}", prompt))
    observe("written twice", extract(f"{prompt}{heading}\n{heading}\n{answer}", prompt))


def test_extract_response_end_of_text_in_the_prompt(subject, draw, observe):
    """END_OF_TEXT within the prompt ends nothing."""
    extract, word = subject.extract_response, draw.word()
    prompt = f"What is <|endoftext|>? Say {word}.\n"
    observe("end of text in the prompt", extract(f"{prompt}{word}, or an end.<|endoftext|>", prompt))


def test_extract_response_text_without_its_prompt(subject, draw, observe):
    """ValueError: the text does not begin with the prompt. The message should contain the word "prompt"."""
    extract, word = subject.extract_response, draw.word()
    prompt = f"What is this? Say {word}.\n"
    observe.outcome("another text", extract, f"Something {word}", f"Nothing {word}", mentions=("prompt",))
    observe.outcome("prompt not first", extract, f"Well: {prompt}{word}", prompt, mentions=("prompt",))
    observe.outcome("prompt cut off", extract, prompt[:-3], prompt, mentions=("prompt",))


def test_update_instruct_one_thing_after_the_other(subject, draw, observe):
    """As there, each batch should go backward before the next one goes forward."""
    model = tiny(draw)
    subject.update_instruct(model, unequal(draw)[:3], GradientDescent(model), 0.25, 1e6, "cpu")
    observe("what happened", model.events)
    observe("what the model was given", model.learned_from)


def test_update_instruct_batch_in_which_nothing_counts(subject, draw, observe):
    """A batch in which no target counts should have no influence on the step."""
    for order in ((0, 1, 2), (1, 0, 2), (1, 2, 0), (0, 0, 1)):
        model = tiny(draw)
        optimizer = GradientDescent(model)
        several = batch(draw, 5, 0, 0), batch(draw, 4, 2, 3), batch(draw, 3, 1)
        group = [several[number] for number in order]
        tokens = subject.update_instruct(model, group, optimizer, 0.25, 1e6, "cpu")
        observe(f"tokens, order {order}", tokens)
        observe(f"gradients at the step, order {order}", optimizer.gradients)
        observe(f"weights, order {order}", weights(model))


def test_update_instruct_group_in_which_nothing_counts(subject, draw, observe):
    """If no target of the whole group counts, the optimizer should not step, and the weights should stay."""
    for size in (1, 2):
        model = tiny(draw)
        optimizer = GradientDescent(model)
        for parameter in model.parameters():
            parameter.grad = draw.normal(*parameter.shape).clone()
        group = [batch(draw, 5, 0, 0), batch(draw, 4, 0)][:size]
        observe(f"tokens, {size} batches", subject.update_instruct(model, group, optimizer, 0.25, 1e6, "cpu"))
        observe(f"steps of the optimizer, {size} batches", len(optimizer.rates))
        observe(f"weights, {size} batches", weights(model))


def test_train_instruct_interrupted_is_as_in_one_go(subject, draw, observe):
    """One that stops and goes on with its history should be the same as one in one go, to the last bit."""
    train = subject.train_instruct
    training, validation = shuffling_loader(draw, 6), unequal(draw)[:2]
    settings = config(subject, 2, warmup_steps=2, max_norm=0.5, accumulate=2, eval_every=2, eval_batches=1)
    sample = {"sample": lambda _: "text"}
    start = torch.get_rng_state()
    whole_model = tiny(draw, dropout=0.5)
    whole = train(whole_model, training, validation, GradientDescent(whole_model), settings, **sample)
    observe("history in one go", everything(whole), tolerance=1e-4)
    for step, error in ((1, Stop), (3, KeyboardInterrupt)):
        torch.set_rng_state(start)
        model, history = tiny(draw, dropout=0.5), ex13(subject).History()
        stop = {"on_step": stopping_after(step, error), "history": history}
        try:
            train(model, training, validation, GradientDescent(model), settings, **sample, **stop)
        except error:
            observe(f"stopped after step {step}", counts(history))
        again = train(model, training, validation, GradientDescent(model), settings, **sample, history=history)
        observe(f"history, gone on after step {step}", everything(again), tolerance=1e-4)
        pairs = zip(model.parameters(), whole_model.parameters(), strict=True)
        differences = [(one - other).detach() for one, other in pairs]
        observe(f"difference from one go, gone on after step {step}", differences, tolerance=0.0)


def test_train_instruct_with_nothing_to_do(subject, draw, observe):
    """A training that is finished, has 0 epochs or no batches returns at once."""
    train = subject.train_instruct
    training = short(draw, 3)
    cases = (
        ("no epochs", training, 0, None),
        ("no batches", [], 2, None),
        ("no batches, a history", [], 2, ex13(subject).History(0, 99, [], ["a"])),
        ("finished", training, 2, ex13(subject).History(6, 99, [], ["a", "b"])),
        ("more than finished", training, 1, ex13(subject).History(6, 99, [], ["a", "b"])),
    )
    for what, loader, epochs, history in cases:
        model, seen = tiny(draw), []
        calls = {"sample": lambda _: "text", "on_step": noting(seen)}
        settings = config(subject, epochs, eval_every=1)
        returned = train(model, loader, short(draw, 1), GradientDescent(model), settings, history=history, **calls)
        observe(f"{what}: history", everything(returned))
        observe(f"{what}: what happened", [seen, model.events, model.looked_at])
