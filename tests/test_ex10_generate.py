"""Probes of ex10: generating text. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.
"""

import math

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# Probabilities that never bring a sum near the limits that the probes set: no rounding decides what stays.
STEEP = (0.46, 0.25, 0.13, 0.08, 0.05, 0.03)
FLAT = (0.22, 0.20, 0.18, 0.15, 0.13, 0.12)
SURE = (0.90, 0.05, 0.03, 0.01, 0.006, 0.004)
# A vocabulary of 11, the same logits in every row, in another order each time: differences from 0.5 down to 0.12.
LEVELS = tuple(-(0.5 * rank - 0.02 * rank**2) for rank in range(11))
MAX_LENGTH = 64


def logarithms(probabilities):
    return torch.tensor([math.log(probability) for probability in probabilities])


def in_any_order(draw, rows):
    """Each row (a tensor of V values) with its columns in an order of its own: (len(rows), V)."""
    return torch.stack([row[draw.permutation(len(row))] for row in rows])


def distinct(draw, *shape):
    """Different numbers around 0, in random order."""
    count = math.prod(shape)
    return (draw.permutation(count).reshape(shape) - count // 2) * 0.3 + 0.1


def flags(model):
    """The mode of the model and of each of its parts."""
    return [module.training for module in model.modules()]


class TinyModel(nn.Module):
    """Logits that depend on every id it sees and on where it stands; keeps a record of how it was called."""

    def __init__(self, draw, levels=LEVELS):
        super().__init__()
        self.levels = nn.Parameter(torch.tensor(levels))
        self.orders = torch.stack([draw.permutation(len(levels)) for _ in range(13)])
        self.weights = draw.integers(MAX_LENGTH, low=1, high=13)
        self.dropout = nn.Sequential(nn.Dropout(0.5))  # a part of a part
        self.given, self.training_flags, self.recording = [], [], []

    def forward(self, ids):
        self.given.append(ids.clone())
        self.training_flags.append(flags(self))
        self.recording.append(torch.is_grad_enabled())
        states = ((ids + 1) * self.weights[: ids.shape[1]]).cumsum(dim=1) % 13
        return self.dropout(self.levels[self.orders[states]])


class ScriptedModel(nn.Module):
    """At its n-th call the most likely next token of row b is script[b, n]."""

    def __init__(self, script, vocab_size):
        super().__init__()
        self.script, self.vocab_size = script, vocab_size
        self.given = []

    def forward(self, ids):
        step = min(len(self.given), self.script.shape[1] - 1)
        self.given.append(ids.clone())
        chosen = (ids + 1) % self.vocab_size
        chosen[:, -1] = self.script[:, step]
        return nn.functional.one_hot(chosen, self.vocab_size) * 4.0


class FailingModel(TinyModel):
    """Gives up at its third call."""

    def forward(self, ids):
        if len(self.given) == 2:
            raise KeyError("third call")
        return super().forward(ids)


class AsWithAGpu(TorchFunctionMode):
    """Tells apart, without a GPU, which tensors would be on it: all but those made without naming a device."""

    across = {"__getitem__", "__setitem__", "copy_", "to", "type_as", "expand_as", "view_as", "reshape_as"}

    def on_cpu(self, value):
        return getattr(value, "left_on_cpu", False)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        given = tensors_in((args, tuple(kwargs.values())))
        if name not in self.across and len({self.on_cpu(tensor) for tensor in given if tensor.dim() > 0}) == 2:
            raise RuntimeError("Expected all tensors to be on the same device, but found at least two devices")
        result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor):
            places = (*args[1:], *kwargs.values()) if name == "to" else (kwargs.get("device"),)
            named = any(isinstance(place, torch.device | str | torch.Tensor) for place in places)
            from_cpu = self.on_cpu(given[0]) if given else True
            result.left_on_cpu = name == "cpu" or (from_cpu and not named)
        return result


def tensors_in(value):
    """All tensors in nested tuples and lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for item in value for tensor in tensors_in(item)] if isinstance(value, tuple | list) else []


def other_tokens(draw, *shape, vocab_size, eos_id):
    """Random ids, none of which is eos_id."""
    return (draw.integers(*shape, high=vocab_size - 1) + eos_id + 1) % vocab_size


def record_graphs_again():
    """Whatever the code under test has left behind in earlier probes."""
    torch.set_grad_enabled(True)


def next_numbers(generator=None):
    """What a generator would draw now: this shows how much was drawn from it."""
    return torch.rand(3, generator=generator)


def test_greedy_takes_the_largest_logit(subject, draw, observe):
    """int64 (…): for each row, the id of its largest logit"""
    for shape in ((2, 7), (2, 3, 5), (9,), (4, 4), (3, 1)):
        observe(f"ids for logits of shape {shape}", subject.greedy(distinct(draw, *shape)))
    observe("all logits below 0", subject.greedy(distinct(draw, 3, 8) - 100))
    observe("large logits", subject.greedy(distinct(draw, 3, 8) + 1000))
    hidden = distinct(draw, 2, 8)
    hidden[:, 3:6] = -torch.inf
    observe("some are -inf", subject.greedy(hidden))
    observe("some are -inf, all others below 0", subject.greedy(hidden - 100))


def test_temperature_divides_the_logits(subject, draw, observe):
    """float (…, V): logits / temperature"""
    for temperature in (0.5, 2.0, 1.0, 3):
        observe(f"temperature {temperature}", subject.apply_temperature(draw.normal(2, 7, scale=3.0), temperature))
    observe("three axes", subject.apply_temperature(draw.normal(2, 3, 5), 0.7))
    observe("one axis", subject.apply_temperature(draw.normal(5), 0.01))
    observe("close to 0", subject.apply_temperature(draw.normal(2, 5), 0.0004))
    observe("lesson example", subject.apply_temperature(torch.tensor([2.0, 1.0, -4.0]), 0.5))


def test_top_k_keeps_the_k_largest(subject, draw, observe):
    """The k largest logits of each row stay exactly as they are, and the others become −∞."""
    for k in (1, 2, 3, 6):
        observe(f"k = {k}", subject.keep_top_k(distinct(draw, 3, 7), k), tolerance=0.0)
    observe("three axes", subject.keep_top_k(distinct(draw, 2, 3, 5), 2))
    observe("one axis", subject.keep_top_k(distinct(draw, 9), 4))
    observe("as many rows as tokens", subject.keep_top_k(distinct(draw, 5, 5), 2))


def test_top_k_keeps_ties_with_the_k_th(subject, draw, observe):
    """What equals the k-th largest stays too, so more than k may be left."""
    for values, ks in (
        ((4.0, 3.0, 3.0, 3.0, 1.0, 0.0), (1, 2, 3, 4, 5)),
        ((2.0, 2.0, 2.0, 2.0, 2.0, 2.0), (1, 3)),
    ):
        logits = in_any_order(draw, [torch.tensor(values)] * 3)
        for k in ks:
            observe(f"k = {k} of {values}", subject.keep_top_k(logits.clone(), k))


def test_top_p_lesson_example(subject, draw, observe):
    """Examples: the logarithms of [0.15, 0.5, 0.05, 0.3]
    p = 0.6:  those of 0.5 and 0.3 stay
    p = 0.4:  that of 0.5 stays
    p = 0.9:  all but that of 0.05 stay
    """
    logits = logarithms((0.15, 0.5, 0.05, 0.3))
    for p in (0.6, 0.4, 0.9, 0.01, 0.97):
        observe(f"p = {p}", subject.keep_top_p(logits[None].clone(), p))


def test_top_p_keeps_the_most_likely_until_they_reach_p(subject, draw, observe):
    """The likeliest tokens of each row stay exactly as they are until they reach p, and the others become −∞."""
    for p in (0.1, 0.5, 0.68, 0.8, 0.985):
        rows = in_any_order(draw, [logarithms(STEEP), logarithms(FLAT), logarithms(SURE), logarithms(STEEP)])
        observe(f"p = {p}", subject.keep_top_p(rows + draw.normal(4, 1, scale=3.0), p), tolerance=0.0)
    blocks = [in_any_order(draw, [logarithms(STEEP), logarithms(FLAT), logarithms(SURE)]) for _ in range(2)]
    observe("three axes", subject.keep_top_p(torch.stack(blocks), 0.8))
    observe("one axis", subject.keep_top_p(in_any_order(draw, [logarithms(FLAT)])[0], 0.5))


def test_top_p_of_many_tokens(subject, draw, observe):
    """The probabilities are the softmax of the row. Add them up from the largest down: a token stays if those
    before it do not reach p yet. So the likeliest one always stays.
    """
    levels = torch.arange(300, dtype=torch.float64) * -0.02
    reached = levels.softmax(dim=0).cumsum(dim=0)
    for count in (7, 60, 250, 298):
        p = (reached[count - 2] + reached[count - 1]).item() / 2  # far from what any rounding could move
        rows = in_any_order(draw, [levels.float()] * 2)
        observe(f"p = {p:.4f}", subject.keep_top_p(rows, p))


def test_top_p_with_as_many_rows_as_tokens(subject, draw, observe):
    """The probabilities are the softmax of the row. Add them up from the largest down: a token stays if those
    before it do not reach p yet. So the likeliest one always stays.
    """
    rows = in_any_order(draw, [logarithms(row) for row in (STEEP, FLAT, SURE, FLAT, SURE, STEEP)])
    observe("p = 0.68", subject.keep_top_p(rows, 0.68))


def test_simple_text(subject, draw, observe):
    """int64 (B, T + max_new_tokens): the whole prompts and the new tokens"""
    prompts = torch.tensor([[5, 7], [1, 2]])
    model = ScriptedModel(torch.ones(2, 3, dtype=torch.int64), vocab_size=9)
    observe("lesson example", subject.generate_text_simple(model, prompts, 3, 8))
    for new_tokens in (1, 3, 0):
        model, ids = TinyModel(draw), draw.integers(2, 5, high=11)
        observe(f"{new_tokens} new tokens", subject.generate_text_simple(model, ids, new_tokens, 20))
        observe("what the model was given", model.given)


def test_simple_text_of_one_row(subject, draw, observe):
    """int64 (B, T + max_new_tokens): the whole prompts and the new tokens"""
    model = TinyModel(draw)
    text = subject.generate_text_simple(model, draw.integers(1, 1, high=11), 6, context_length=20)
    observe("a prompt of one token", text)
    observe("what the model was given", model.given)


def test_simple_text_sees_no_more_than_its_context(subject, draw, observe):
    """When the text gets longer, the model sees only the last ones, but the text keeps everything."""
    for prompt, context in ((9, 4), (4, 4), (2, 4), (3, 1)):
        model, ids = TinyModel(draw), draw.integers(3, prompt, high=11)
        text = subject.generate_text_simple(model, ids, 5, context_length=context)
        observe(f"a prompt of {prompt} tokens, a context of {context}", text)
        observe("what the model was given", model.given)


def test_simple_text_in_evaluation_mode(subject, draw, observe):
    """Call the model once for each new token, in evaluation mode and within `torch.no_grad()`. Afterwards it should
    be in its former mode.
    """
    for training in (True, False):
        model, ids = TinyModel(draw), draw.integers(2, 5, high=11)
        model.train(training)
        observe("text", subject.generate_text_simple(model, ids, 4, 6))
        observe("training flags of the model and its parts during the calls", model.training_flags)
        observe("after", flags(model))
        observe("text without new tokens", subject.generate_text_simple(model, ids, 0, 3))
        observe("after a call for 0 tokens", flags(model))


def test_simple_text_records_no_graph(subject, draw, observe):
    """Call the model once for each new token, in evaluation mode and within `torch.no_grad()`. Afterwards it should
    be in its former mode.
    """
    record_graphs_again()
    model, ids = TinyModel(draw), draw.integers(2, 5, high=11)
    subject.generate_text_simple(model, ids, 3, 6)
    observe("does torch record a graph during the calls?", model.recording)
    observe("and after?", torch.is_grad_enabled())
    observe("can the model still learn?", [parameter.requires_grad for parameter in model.parameters()])
    with torch.no_grad():
        subject.generate_text_simple(TinyModel(draw), ids, 3, 6)
        observe("and after, where it did not before?", torch.is_grad_enabled())


def test_greedy_text(subject, draw, observe):
    """0: greedy; above 0: sampling"""
    for new_tokens in (0, 1, 3):
        model = TinyModel(draw)
        observe(f"{new_tokens} new tokens", subject.generate(model, draw.integers(2, 5, high=11), new_tokens, 20))
        observe("what the model was given", model.given)


def test_text_of_one_row(subject, draw, observe):
    """int64 (B, T + n), n at most max_new_tokens"""
    model = TinyModel(draw)
    observe("a prompt of one token", subject.generate(model, draw.integers(1, 1, high=11), 6, 20))
    generator = torch.Generator().manual_seed(draw.whole(0, 1000))
    text = subject.generate(model, draw.integers(1, 3, high=11), 6, 20, temperature=2.0, generator=generator)
    observe("a sampled text", text)
    observe("what the model was given", model.given)


def test_sampled_text(subject, draw, observe):
    """To sample: apply_temperature, keep_top_k, keep_top_p, softmax, then `torch.multinomial(probabilities,
    num_samples=1, generator=generator)`.
    """
    model, ids = TinyModel(draw), draw.integers(4, 5, high=11)
    generator = torch.Generator().manual_seed(draw.whole(0, 1000))
    text = subject.generate(model, ids, 12, 6, temperature=1.0, generator=generator)
    observe("text", text)
    observe("what the model was given", model.given)
    observe("text, once more", subject.generate(model, ids, 5, 6, temperature=1.0, generator=generator))


def test_sampled_text_from_the_global_generator(subject, draw, observe):
    """of random numbers; None: torch's global one"""
    model, ids = TinyModel(draw), draw.integers(4, 5, high=11)
    observe("text", subject.generate(model, ids, 8, 6, temperature=1.3))
    observe("text, once more", subject.generate(model, ids, 8, 6, temperature=1.3))


def test_each_setting_shapes_the_text(subject, draw, observe):
    """To sample: apply_temperature, keep_top_k, keep_top_p, softmax, then `torch.multinomial(probabilities,
    num_samples=1, generator=generator)`.
    """
    model, ids, seed = TinyModel(draw), draw.integers(4, 5, high=11), draw.whole(0, 1000)
    for settings in (
        {"temperature": 0.3},
        {"temperature": 0.02},
        {"temperature": 4.0},
        {"temperature": 2.0, "top_k": 3},
        {"temperature": 2.0, "top_k": 50},
        {"temperature": 2.0, "top_k": 1},
        {"temperature": 2.0, "top_p": 0.52},
        {"temperature": 2.0, "top_p": 1.0},
        {"temperature": 2.0, "top_p": 0.01},
    ):
        generator = torch.Generator().manual_seed(seed)
        text = subject.generate(model, ids, 10, 6, **settings, generator=generator)
        observe(f"text with {settings}", text)


def test_temperature_then_top_k_then_top_p(subject, draw, observe):
    """To sample: apply_temperature, keep_top_k, keep_top_p, softmax, then `torch.multinomial(probabilities,
    num_samples=1, generator=generator)`.
    """
    # With these settings 4 tokens are left each time. Any other order leaves 2, 3 or 5.
    model, ids = TinyModel(draw), draw.integers(6, 5, high=11)
    generator = torch.Generator().manual_seed(draw.whole(0, 1000))
    text = subject.generate(model, ids, 20, 6, temperature=3.0, top_k=7, top_p=0.58, generator=generator)
    observe("text", text)


def test_rows_that_have_ended_are_filled(subject, draw, observe):
    """After its eos_id, a row gets only eos_id. Stop when all rows have produced it."""
    vocab_size = 9
    for eos_id in draw.sample(range(1, vocab_size), 2):
        script = other_tokens(draw, 3, 8, vocab_size=vocab_size, eos_id=eos_id)
        script[0, [1, 5]] = eos_id
        script[1, 3] = eos_id
        script[2, [0, 2]] = eos_id
        prompt = other_tokens(draw, 3, 5, vocab_size=vocab_size, eos_id=eos_id)
        model = ScriptedModel(script, vocab_size)
        observe(f"text until {eos_id}", subject.generate(model, prompt, 8, 6, eos_id=eos_id))
        observe("what the model was given", model.given)
        model = ScriptedModel(script, vocab_size)
        observe("the same without an eos_id", subject.generate(model, prompt, 8, 6))
        observe("calls", len(model.given))


def test_text_ends_when_all_rows_have(subject, draw, observe):
    """After its eos_id, a row gets only eos_id. Stop when all rows have produced it."""
    vocab_size, eos_id = 9, 4
    prompt = other_tokens(draw, 2, 5, vocab_size=vocab_size, eos_id=eos_id)
    for steps in ((0, 0), (2, 2), (4, 1), (4, 4), (None, 1), (None, None)):
        script = other_tokens(draw, 2, 5, vocab_size=vocab_size, eos_id=eos_id)
        for row, step in enumerate(steps):
            if step is not None:
                script[row, step] = eos_id
        model = ScriptedModel(script, vocab_size)
        observe(f"text, eos at steps {steps}", subject.generate(model, prompt, 5, 6, eos_id=eos_id))
        observe("calls", len(model.given))


def test_text_of_one_row_ends(subject, draw, observe):
    """After its eos_id, a row gets only eos_id. Stop when all rows have produced it."""
    vocab_size, eos_id = 9, 4
    script = other_tokens(draw, 1, 6, vocab_size=vocab_size, eos_id=eos_id)
    script[0, 2] = eos_id
    model = ScriptedModel(script, vocab_size)
    prompt = other_tokens(draw, 1, 3, vocab_size=vocab_size, eos_id=eos_id)
    observe("text", subject.generate(model, prompt, 6, 4, eos_id=eos_id))
    observe("calls", len(model.given))


def test_sampled_text_that_ends(subject, draw, observe):
    """After its eos_id, a row gets only eos_id. Stop when all rows have produced it."""
    model, ids = TinyModel(draw, levels=(0.0, -0.3, -0.7, -1.2, -1.9)), draw.integers(3, 4, high=5)
    for eos_id in (1, 3):
        generator = torch.Generator().manual_seed(draw.whole(0, 1000))
        text = subject.generate(model, ids, 25, 6, 1.5, 4, None, eos_id, generator)
        observe(f"text until {eos_id}", text)
    observe("calls", len(model.given))


# The fine print.


def test_greedy_of_any_dtype_and_layout(subject, draw, observe):
    """int64 (…): for each row, the id of its largest logit"""
    near = 1.0 + distinct(draw, 3, 8).double() * 1e-12
    observe("float64, closer to each other than a float32 can tell", subject.greedy(near))
    observe("not contiguous", subject.greedy(distinct(draw, 5, 3, 2).transpose(0, 2)))


def test_temperature_of_0_or_less_is_refused(subject, draw, observe):
    """ValueError: temperature is 0 or below. The message should name it."""
    logits = draw.normal(2, 5)
    observe.outcome("temperature 0", subject.apply_temperature, logits, 0)
    observe.outcome("temperature 0.0", subject.apply_temperature, logits, 0.0)
    observe.outcome("temperature -0.7", subject.apply_temperature, logits, -0.7, mentions=("0.7",))


def test_temperature_in_float64(subject, draw, observe):
    """A result must have its inputs' dtype."""
    observe("float64", subject.apply_temperature(draw.normal(2, 5).double(), 0.7), tolerance=1e-12)


def test_top_k_of_the_whole_vocabulary_or_more(subject, draw, observe):
    """With k = V or more, everything stays."""
    for k in (5, 6, 50):
        observe(f"k = {k}, 5 tokens", subject.keep_top_k(distinct(draw, 2, 5), k))
    observe("k = 5, one axis of 4", subject.keep_top_k(distinct(draw, 4), 5))


def test_top_k_counts_repetitions(subject, draw, observe):
    """Repetitions count: in [3, 3, 2, 1] the second largest is 3."""
    logits = in_any_order(draw, [torch.tensor((3.0, 3.0, 2.0, 1.0, 0.0, -1.0))] * 3)
    for k in (1, 2, 3):
        observe(f"k = {k} of 3, 3, 2, 1, 0, -1", subject.keep_top_k(logits.clone(), k))


def test_top_k_beside_logits_that_are_minus_infinity(subject, draw, observe):
    """The k largest logits of each row stay exactly as they are, and the others become −∞."""
    row = torch.tensor([2.0, -torch.inf, 1.0, -torch.inf, -torch.inf, 3.0])
    logits = in_any_order(draw, [row, row])
    for k in (2, 3, 4):
        observe(f"k = {k}, three are -inf", subject.keep_top_k(logits.clone(), k))


def test_top_k_in_float64(subject, draw, observe):
    """The k largest logits of each row stay exactly as they are, and the others become −∞."""
    logits = in_any_order(draw, [torch.tensor([1.0, 1.0 + 1e-12, 1.0 + 2e-12, 0.5], dtype=torch.float64)] * 2)
    observe("k = 2", subject.keep_top_k(logits, 2), tolerance=0.0)
    observe("k = 2, thirds", subject.keep_top_k(distinct(draw, 3, 7).double() / 3, 2), tolerance=0.0)
    observe("k = 9", subject.keep_top_k(draw.normal(2, 5).double(), 9))


def test_top_k_of_any_layout(subject, draw, observe):
    """The k largest logits of each row stay exactly as they are, and the others become −∞."""
    observe("not contiguous", subject.keep_top_k(distinct(draw, 5, 3, 2).transpose(0, 2), 2))


def test_top_k_leaves_its_input_as_it_is(subject, draw, observe):
    """A call must not change its inputs."""
    logits = draw.normal(2, 5)
    subject.keep_top_k(logits, 2)
    observe("the logits after", logits)


def test_k_below_1_is_refused(subject, draw, observe):
    """ValueError: k is below 1. The message should name it."""
    logits = draw.normal(2, 5)
    observe.outcome("k = 0", subject.keep_top_k, logits, 0)
    observe.outcome("k = -3", subject.keep_top_k, logits, -3, mentions=("3",))


def test_top_p_of_1_keeps_everything(subject, draw, observe):
    """p = 1 changes nothing. Treat it by itself: probabilities are rounded, and their sum may reach 1 before the
    last token.
    """
    row = torch.tensor([30.0, 0.0, -10.0, -20.0, -60.0, -110.0, -torch.inf])
    logits = in_any_order(draw, [row, row])
    observe("p = 1", subject.keep_top_p(logits.clone(), 1))
    observe("p = 1.0", subject.keep_top_p(logits.clone(), 1.0))
    observe("p = 1.0, many tokens", subject.keep_top_p(distinct(draw, 2, 40), 1.0))


def test_top_p_of_large_logits(subject, draw, observe):
    """Logits of any size should give no NaN, and neither should −∞."""
    rows = in_any_order(draw, [logarithms(STEEP), logarithms(FLAT)])
    observe("logits near 1000", subject.keep_top_p(rows + 1000, 0.68))
    observe("logits near -1000", subject.keep_top_p(rows - 1000, 0.68))
    for p in (0.9, 0.001):
        far = in_any_order(draw, [torch.tensor([2000.0, -2000.0, 0.0]), torch.tensor([2000.0, 1999.0, -2000.0])])
        observe(f"far apart, p = {p}", subject.keep_top_p(far, p))


def test_top_p_beside_logits_that_are_minus_infinity(subject, draw, observe):
    """Logits of any size should give no NaN, and neither should −∞."""
    row = torch.cat([logarithms(STEEP), torch.full((3,), -torch.inf)])
    logits = in_any_order(draw, [row, row])
    for p in (0.4, 0.8, 0.98):
        observe(f"p = {p}, three are -inf", subject.keep_top_p(logits.clone(), p))


def test_top_p_in_float64(subject, draw, observe):
    """The likeliest tokens of each row stay exactly as they are until they reach p, and the others become −∞."""
    rows = in_any_order(draw, [logarithms(STEEP), logarithms(SURE)]).double() + 1.4
    # Now the second logit of the first row is near 0. With more digits, it is rounded if something is taken off
    # and added again.
    rows = rows + draw.normal(2, 1).double() * 1e-9
    for p in (0.68, 1.0):
        observe(f"p = {p}", subject.keep_top_p(rows.clone(), p), tolerance=0.0)


def test_top_p_of_any_layout(subject, draw, observe):
    """The likeliest tokens of each row stay exactly as they are until they reach p, and the others become −∞."""
    blocks = [in_any_order(draw, [logarithms(STEEP), logarithms(FLAT), logarithms(SURE)]) for _ in range(2)]
    observe("not contiguous", subject.keep_top_p(torch.stack(blocks, dim=-1).permute(2, 0, 1), 0.8))


def test_top_p_leaves_its_input_as_it_is(subject, draw, observe):
    """A call must not change its inputs."""
    logits = in_any_order(draw, [logarithms(STEEP), logarithms(FLAT)])
    subject.keep_top_p(logits, 0.68)
    observe("the logits after", logits)


def test_p_out_of_range_is_refused(subject, draw, observe):
    """ValueError: p is 0 or below, or above 1. The message should name it."""
    logits = draw.normal(2, 5)
    observe.outcome("p = 0", subject.keep_top_p, logits, 0.0)
    observe.outcome("p = -0.25", subject.keep_top_p, logits, -0.25, mentions=("0.25",))
    observe.outcome("p = 1.75", subject.keep_top_p, logits, 1.75, mentions=("1.75",))
    observe.outcome("p = 1.01", subject.keep_top_p, logits, 1.01, mentions=("1.01",))


def test_simple_text_when_the_model_raises(subject, draw, observe):
    """An error of the model should be passed on, with the model back in its former mode."""
    for training in (True, False):
        record_graphs_again()
        model, ids = FailingModel(draw), draw.integers(2, 5, high=11)
        model.train(training)
        observe.outcome("a model that raises", subject.generate_text_simple, model, ids, 4, 6)
        observe("training flags of the model and its parts after", flags(model))
        observe("does torch record graphs after?", torch.is_grad_enabled())
        observe("calls before", len(model.given))


def test_one_draw_for_each_step(subject, draw, observe):
    """One draw for all rows together, ended ones too, and no other: then the same seed gives the same text."""
    model, ids = TinyModel(draw), draw.integers(4, 5, high=11)
    generator = torch.Generator().manual_seed(draw.whole(0, 1000))
    for settings in ({"temperature": 1.0}, {"temperature": 0.02}, {"temperature": 2.0, "top_k": 1}):
        observe("text", subject.generate(model, ids, 5, 6, **settings, generator=generator))
        observe("what the generator draws next", next_numbers(generator))
    observe("what torch's global generator draws next", next_numbers())
    observe("text from the global generator", subject.generate(model, ids, 5, 6, temperature=1.3))
    observe("what torch's global generator draws next, after it was used", next_numbers())
    levels = (0.0, -0.3, -0.7, -1.2, -1.9)
    text = subject.generate(TinyModel(draw, levels), draw.integers(3, 4, high=5), 25, 6, 1.5, 4, None, 2, generator)
    observe("text with rows that end", text)
    observe("what the generator draws next, after them", next_numbers(generator))


def test_temperature_0_draws_nothing(subject, draw, observe):
    """At temperature 0 nothing is drawn, and top_k and top_p play no part."""
    model, ids, generator = TinyModel(draw), draw.integers(2, 5, high=11), torch.Generator().manual_seed(5)
    observe("text", subject.generate(model, ids, 4, 6))
    text = subject.generate(model, ids, 4, 6, temperature=0, top_k=3, top_p=0.5, generator=generator)
    observe("text, with settings that play no part", text)
    text = subject.generate(model, ids, 4, 6, top_k=0, top_p=7.5)
    observe("text, with settings that would be out of range", text)
    observe("what the generator draws next", next_numbers(generator))
    observe("what torch's global generator draws next", next_numbers())


def test_eos_in_the_prompt_does_not_count(subject, draw, observe):
    """An eos_id in the prompt does not count. The one that ends a row is appended like any token."""
    vocab_size, eos_id = 9, 4
    script = other_tokens(draw, 2, 5, vocab_size=vocab_size, eos_id=eos_id)
    script[1, 3] = eos_id
    prompt = other_tokens(draw, 2, 5, vocab_size=vocab_size, eos_id=eos_id)
    prompt[0, 1] = prompt[0, -1] = prompt[1, -1] = eos_id
    model = ScriptedModel(script, vocab_size)
    observe("text", subject.generate(model, prompt, 5, 3, eos_id=eos_id))
    observe("calls", len(model.given))


def test_eos_id_may_be_0(subject, draw, observe):
    """The one that ends a row is appended like any token. It may be 0."""
    script = other_tokens(draw, 2, 8, vocab_size=9, eos_id=0)
    script[0, [1, 5]] = script[1, 3] = 0
    prompt = other_tokens(draw, 2, 5, vocab_size=9, eos_id=0)
    model = ScriptedModel(script, vocab_size=9)
    observe("text until 0", subject.generate(model, prompt, 8, 6, eos_id=0))
    observe("calls", len(model.given))


def test_settings_out_of_range_are_refused(subject, draw, observe):
    """ValueError: while sampling, temperature, top_k or top_p is out of range. Their functions raise it; let it
    pass through. top_k=0 does not mean None.
    """
    ids = draw.integers(2, 5, high=11)
    for settings in ({"temperature": -0.7}, {"top_k": 0}, {"top_k": -3}, {"top_p": 0.0}, {"top_p": 1.75}):
        model = TinyModel(draw)
        (value,) = settings.values()
        mentions = (str(abs(value)),) if value else ()
        chosen = {"temperature": 1.0, **settings}
        observe.outcome(f"text with {chosen}", subject.generate, model, ids, 3, 6, mentions=mentions, **chosen)
        observe("training flags of the model and its parts after", flags(model))


def test_text_is_on_the_device_of_the_ids(subject, draw, observe):
    """The result is on the device of ids."""
    vocab_size, eos_id = 9, 4
    prompt = other_tokens(draw, 2, 5, vocab_size=vocab_size, eos_id=eos_id)
    script = other_tokens(draw, 2, 5, vocab_size=vocab_size, eos_id=eos_id)
    script[0, 1] = script[1, 3] = eos_id
    for settings in ({"eos_id": eos_id}, {}):
        with AsWithAGpu() as gpu:
            text = subject.generate(ScriptedModel(script, vocab_size), prompt, 5, 4, **settings)
            observe(f"text with {settings}, as with a GPU", text)
            observe("is it on the CPU", gpu.on_cpu(text))


def test_model_sees_no_more_than_its_context(subject, draw, observe):
    """What the model sees, how often it is called, mode, graph and errors are as in generate_text_simple."""
    for prompt, context in ((9, 4), (4, 4), (2, 4), (3, 1)):
        model = TinyModel(draw)
        text = subject.generate(model, draw.integers(3, prompt, high=11), 5, context_length=context)
        observe(f"a prompt of {prompt} tokens, a context of {context}", text)
        observe("what the model was given", model.given)


def test_model_is_in_evaluation_mode_and_back_after(subject, draw, observe):
    """What the model sees, how often it is called, mode, graph and errors are as in generate_text_simple."""
    for training in (True, False):
        model = TinyModel(draw)
        model.train(training)
        observe("text", subject.generate(model, draw.integers(2, 5, high=11), 4, 6))
        observe("training flags of the model and its parts during the calls", model.training_flags)
        observe("after", flags(model))
        observe("text without new tokens", subject.generate(model, draw.integers(2, 5, high=11), 0, 3))
        observe("after a call for 0 tokens", flags(model))


def test_mode_is_back_after_an_early_end(subject, draw, observe):
    """What the model sees, how often it is called, mode, graph and errors are as in generate_text_simple."""
    for training in (True, False):
        script = other_tokens(draw, 2, 5, vocab_size=9, eos_id=4)
        script[0, 1] = script[1, 2] = 4
        prompt = other_tokens(draw, 2, 5, vocab_size=9, eos_id=4)
        model = ScriptedModel(script, vocab_size=9)
        model.train(training)
        observe("text", subject.generate(model, prompt, 5, 6, eos_id=4))
        observe("is the model in training mode after?", model.training)


def test_model_is_back_in_its_mode_when_it_raised(subject, draw, observe):
    """What the model sees, how often it is called, mode, graph and errors are as in generate_text_simple."""
    for training in (True, False):
        record_graphs_again()
        model = FailingModel(draw)
        model.train(training)
        observe.outcome("a model that raises", subject.generate, model, draw.integers(2, 5, high=11), 4, 6)
        observe("training flags of the model and its parts after", flags(model))
        observe("does torch record graphs after?", torch.is_grad_enabled())
        observe("calls before", len(model.given))


def test_no_graph_is_recorded(subject, draw, observe):
    """What the model sees, how often it is called, mode, graph and errors are as in generate_text_simple."""
    record_graphs_again()
    model = TinyModel(draw)
    subject.generate(model, draw.integers(2, 5, high=11), 3, 6)
    observe("does torch record a graph during the calls?", model.recording)
    observe("and after?", torch.is_grad_enabled())
    observe("can the model still learn?", [parameter.requires_grad for parameter in model.parameters()])
    with torch.no_grad():
        subject.generate(TinyModel(draw), draw.integers(2, 5, high=11), 3, 6)
        observe("and after, where it did not before?", torch.is_grad_enabled())
