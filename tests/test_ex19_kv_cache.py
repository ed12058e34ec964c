"""Probes of ex19: the KV cache. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings. No probe looks into a cache: what is in it shows in
what the next `append` returns.
"""

from importlib import import_module
from types import SimpleNamespace

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# Weights of this size keep the attention soft: a sharp one would magnify the rounding of right code.
SCALE = 0.3
# The logits that a stand-in model gives to a vocabulary of 11, in another order for every text.
LEVELS = tuple(-(0.5 * rank - 0.02 * rank**2) for rank in range(11))


def keys(draw, *shape):
    """Keys and values as split_heads makes them: the heads' axis lies behind that of the tokens in memory."""
    batch, heads, tokens, width = shape
    return tuple(draw.normal(batch, tokens, heads, width).transpose(1, 2) for _ in range(2))


def ex07(subject):
    """Exercise 7 of the same person. A file need not import what it does not call."""
    return import_module(".ex07_multihead", subject.__package__)


def ex09(subject):
    """Exercise 9 of the same person. A file need not import what it does not call."""
    return import_module(".ex09_gpt", subject.__package__)


def ex10(subject):
    """Exercise 10 of the same person. A file need not import what it does not call."""
    return import_module(".ex10_generate", subject.__package__)


def attention_of(subject, draw, *, d_in=6, d_out=12, context_length=9, dropout=0.0, bias=True):
    """Exercise 7's attention with 3 heads, every number of it random."""
    attention = ex07(subject).MultiHeadAttention(d_in, d_out, context_length, dropout, 3, bias)
    draw.fill(attention)
    return attention


def in_chunks(attend, attention, x, cache, *lengths):
    """What comes out when the tokens of x come in chunks of these lengths."""
    return torch.cat([attend(attention, 3, chunk, cache) for chunk in x.split(list(lengths), dim=1)], dim=1)


def model_of(subject, draw, tie_weights=True, **changes):
    """A small GPT in evaluation mode, every number of it random."""
    sizes = {"vocab_size": 23, "context_length": 9, "emb_dim": 12, "n_heads": 3, "n_layers": 2, "drop_rate": 0.0}
    gpt = ex09(subject).GPTModel(ex09(subject).GPTConfig(**{**sizes, **changes}), tie_weights)
    draw.fill(gpt, SCALE)
    with torch.no_grad():  # by which of its two names a tied table goes is open, so it is set by itself
        gpt.embedding.tok_emb.weight.copy_(draw.normal(*gpt.embedding.tok_emb.weight.shape, scale=SCALE))
    return gpt.eval()


def logits_in_chunks(model, ids, caches, *lengths):
    return [model(chunk, caches) for chunk in ids.split(list(lengths), dim=1)]


def lengths_of(caches):
    return [cache.length for cache in caches]


def flags(module):
    """The mode of a module and of each of its parts."""
    return [part.training for part in module.modules()]


def record_graphs_again():
    """Whatever the code under test has left behind in earlier probes."""
    torch.set_grad_enabled(True)


def next_numbers(generator=None):
    """What a generator would draw now: this shows how much was drawn from it."""
    return torch.rand(3, generator=generator)


class Squares(nn.Module):
    """Stands where a dropout was. On whatever it acts, and however often it is called, shows in the result."""

    def forward(self, x):
        return x * x


class Adapted(nn.Module):
    """A linear layer with something added to what it makes, as fine-tuning puts in the place of a layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x) + x.sum(dim=-1, keepdim=True)


class Seen:
    """Stands for a cache: it only remembers the ids."""

    def __init__(self):
        self.reset()

    @property
    def length(self):
        return self.ids.shape[1]

    def add(self, ids):
        self.ids = ids.clone() if self.length == 0 else torch.cat([self.ids, ids], dim=1)
        return self.ids

    def reset(self):
        self.ids = torch.zeros(0, 0, dtype=torch.int64)


class TinyModel(nn.Module):
    """Logits that depend on every id in the caches and on its place; keeps a record of how it was called."""

    def __init__(self, draw, context_length=64, fails_at=None, script=None):
        super().__init__()
        self.cfg = SimpleNamespace(context_length=context_length, n_layers=2)
        self.levels = nn.Parameter(torch.tensor(LEVELS))
        self.orders = torch.stack([draw.permutation(len(LEVELS)) for _ in range(13)])
        self.weights = draw.integers(64, low=1, high=13)
        self.dropout = nn.Sequential(nn.Dropout(0.5))  # a part of a part
        self.fails_at, self.script = fails_at, script
        self.given, self.before, self.training_flags, self.recording = [], [], [], []

    def new_caches(self):
        return [Seen(), Seen()]

    def forward(self, ids, caches=None):
        if len(self.given) == self.fails_at:
            raise KeyError("gives up")
        caches = self.new_caches() if caches is None else caches
        self.before.append([cache.length for cache in caches])
        self.given.append(ids.clone())
        self.training_flags.append(flags(self))
        self.recording.append(torch.is_grad_enabled())
        every = [cache.add(ids) for cache in caches][-1]
        if self.script is not None:  # at the n-th call the most likely next token of row b is script[b, n]
            chosen = (ids + 1) % len(LEVELS)
            chosen[:, -1] = self.script[:, len(self.given) - 1]
            return nn.functional.one_hot(chosen, len(LEVELS)) * 4.0
        states = ((every + 1) * self.weights[: every.shape[1]]).cumsum(dim=1) % 13
        return self.dropout(self.levels[self.orders[states[:, -ids.shape[1] :]]])


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


# KVCache


def test_cache_gives_back_all_so_far(subject, draw, observe):
    """all keys and all values so far, the oldest token first: (B, H, length, h) each, of the same dtype"""
    cache = subject.KVCache(9)
    observe("length and max_length at first", (cache.length, cache.max_length))
    for tokens in (3, 1, 2):
        observe(f"all, after {tokens} more", cache.append(*keys(draw, 2, 3, tokens, 4)), tolerance=0.0)
        observe("length", cache.length)


def test_cache_takes_exactly_what_it_has_room_for(subject, draw, observe):
    """Exactly max_length is fine."""
    for lengths in ((5,), (3, 2), (1, 1, 1, 1, 1)):
        cache = subject.KVCache(5)
        for tokens in lengths:
            found = cache.append(*keys(draw, 2, 3, tokens, 4))
        observe(f"all, of {lengths}", found, tolerance=0.0)
        observe("length", cache.length)


def test_reset_empties_the_cache(subject, draw, observe):
    """Empty it, ready for another text, whatever its B, H, h and dtype."""
    cache = subject.KVCache(5)
    cache.append(*keys(draw, 2, 3, 4, 4))
    cache.reset()
    observe("length after reset", cache.length)
    observe("all of the next text", cache.append(*keys(draw, 2, 3, 2, 4)), tolerance=0.0)
    observe("and more of it", cache.append(*keys(draw, 2, 3, 3, 4)), tolerance=0.0)
    cache.reset()
    key, value = keys(draw, 1, 2, 5, 6)
    observe("all of a text of other sizes", cache.append(key.double(), value.double()), tolerance=0.0)
    observe("length and max_length", (cache.length, cache.max_length))


def test_two_caches_share_nothing(subject, draw, observe):
    """The keys and values of one attention layer, for all tokens so far."""
    one, other = subject.KVCache(5), subject.KVCache(4)
    observe("all in the one", one.append(*keys(draw, 2, 3, 3, 4)), tolerance=0.0)
    observe("lengths", (one.length, other.length))
    observe("all in the other", other.append(*keys(draw, 2, 3, 1, 4)), tolerance=0.0)
    observe("all in the one", one.append(*keys(draw, 2, 3, 2, 4)), tolerance=0.0)
    other.reset()
    observe("lengths and room", (one.length, other.length, one.max_length, other.max_length))


# cached_attention


def test_attention_in_chunks(subject, draw, observe):
    """What `attention` would make of the new tokens if all tokens before them were in front."""
    attend = subject.cached_attention
    attention, x = attention_of(subject, draw), draw.normal(2, 7, 6)
    for lengths in ((7,), (1,) * 7, (4, 1, 2), (1, 6)):
        cache = subject.KVCache(9)
        observe(f"chunks of {lengths}", in_chunks(attend, attention, x, cache, *lengths))
        observe("length of the cache", cache.length)


def test_attention_of_the_lesson(subject, draw, observe):
    """Example: the one of the lesson gives 1, then 1.881."""
    attend = subject.cached_attention
    attention = ex07(subject).MultiHeadAttention(1, 1, 3, 0.0, 1)
    with torch.no_grad():
        for name, value in attention.named_parameters():
            value.fill_(0.0 if name.endswith("bias") else 1.0)
    cache = subject.KVCache(3)
    for token in (1.0, 2.0):
        observe(f"token {token}", attend(attention, 1, torch.tensor([[[token]]]), cache))


def test_attention_up_to_the_last_place(subject, draw, observe):
    """What `attention` would make of the new tokens if all tokens before them were in front."""
    attend = subject.cached_attention
    attention, x = attention_of(subject, draw, context_length=6), draw.normal(2, 6, 6)
    for lengths in ((3, 3), (5, 1)):
        cache = subject.KVCache(6)
        observe(f"chunks of {lengths}", in_chunks(attend, attention, x, cache, *lengths))


def test_a_change_reaches_later_tokens_only(subject, draw, observe):
    """A query at position p sees the keys 0 … p."""
    attend = subject.cached_attention
    attention, x = attention_of(subject, draw, d_in=5, bias=False), draw.normal(2, 7, 5)
    before = in_chunks(attend, attention, x, subject.KVCache(9), 3, 4)
    for place in (0, 2, 4):
        changed = x.clone()
        changed[:, place] += 1.0
        after = in_chunks(attend, attention, changed, subject.KVCache(9), 3, 4)
        observe(f"what moves when token {place} changes", after - before, tolerance=3e-5)


def test_one_attention_serves_two_texts(subject, draw, observe):
    """holds the tokens before them; the new ones should be put into it"""
    attend = subject.cached_attention
    attention = attention_of(subject, draw)
    one, other = subject.KVCache(9), subject.KVCache(7)
    for cache, batch, tokens in ((one, 2, 3), (other, 1, 4), (one, 2, 1), (other, 1, 2), (one, 2, 2)):
        observe(f"{batch} texts, {tokens} more tokens", attend(attention, 3, draw.normal(batch, tokens, 6), cache))
    one.reset()
    observe("after a reset", attend(attention, 3, draw.normal(1, 5, 6), one))


def test_dropout_acts_on_the_weights(subject, draw, observe):
    """exercise 7's; its layers and its dropout should be used, and its mask may be"""
    attend = subject.cached_attention
    attention, x = attention_of(subject, draw), draw.normal(2, 6, 6)
    attention.dropout = Squares()
    found = in_chunks(attend, attention, x, subject.KVCache(9), 3, 2, 1)
    observe("with something that squares in place of the dropout", found)
    attention.dropout = nn.Dropout(0.5)
    attention.eval()
    observe("evaluation mode", in_chunks(attend, attention, x, subject.KVCache(9), 3, 2, 1))


# CachedGPT


def test_model_without_caches_is_the_gpt(subject, draw, observe):
    """None: there is nothing before, and nothing is kept."""
    make = subject.CachedGPT
    for tie in (True, False):
        model = make(model_of(subject, draw, tie))
        observe(f"logits, tie_weights={tie}", model(draw.integers(2, 7, high=23)), tolerance=1e-4)
        observe("of fewer ids", model(draw.integers(2, 4, high=23), None), tolerance=1e-4)
        observe("of other ids", model(draw.integers(2, 3, high=23)), tolerance=1e-4)


def test_logits_in_chunks(subject, draw, observe):
    """float (B, T_new, V): without caches what gpt(ids) gives; with caches what gpt gives for the same positions
    of the whole text"""
    make = subject.CachedGPT
    for changes in ({}, {"n_layers": 3, "n_heads": 2, "qkv_bias": True}):
        model, ids = make(model_of(subject, draw, **changes)), draw.integers(2, 7, high=23)
        for lengths in ((7,), (1,) * 7, (4, 1, 2)):
            caches = model.new_caches()
            found = logits_in_chunks(model, ids, caches, *lengths)
            observe(f"logits of chunks of {lengths}", found, tolerance=1e-4)
            observe("lengths of the caches", lengths_of(caches))


def test_logits_of_one_token_repeated(subject, draw, observe):
    """After 3 tokens, the next one is at position 3. It should get row 3 of the position table, not row 0."""
    make = subject.CachedGPT
    model, ids = make(model_of(subject, draw, tie_weights=False)), draw.integers(2, 1, high=23).expand(2, 8)
    found = logits_in_chunks(model, ids, model.new_caches(), 2, 1, 1, 4)
    observe("logits of one token eight times: only the place differs", found, tolerance=1e-4)


def test_new_caches(subject, draw, observe):
    """Empty caches for one batch of texts: one for each layer, with room for cfg.context_length tokens."""
    make = subject.CachedGPT
    for layers, context_length in ((2, 9), (3, 6)):
        model = make(model_of(subject, draw, n_layers=layers, context_length=context_length))
        caches, others = model.new_caches(), model.new_caches()
        observe("room", [cache.max_length for cache in caches])
        observe("lengths", lengths_of(caches))
        caches[0].append(*keys(draw, 2, 3, 4, 4))
        observe("lengths when one has 4 tokens", lengths_of(caches))
        observe("lengths of others", lengths_of(others))
        observe("lengths of later ones", lengths_of(model.new_caches()))


def test_model_holds_the_gpt_itself(subject, draw, observe):
    """the very model that was given, nothing copied: it holds all the parameters"""
    make = subject.CachedGPT
    gpt = model_of(subject, draw, tie_weights=False, qkv_bias=True)
    model, ids = make(gpt), draw.integers(2, 6, high=23)
    observe("gpt and cfg are those of the model given", (model.gpt is gpt, model.cfg is gpt.cfg))
    mine, its = list(model.parameters()), list(gpt.parameters())
    observe("how many parameters", len(mine))
    observe("each is one of gpt's", [any(one is other for other in its) for one in mine])
    caches = model.new_caches()
    observe("logits before", model(ids[:, :4], caches), tolerance=1e-4)
    with torch.no_grad():
        gpt.final_norm.shift.add_(0.5)
        gpt.trf_blocks[1].norm2.scale.mul_(1.5)
    observe("logits of more, after gpt has changed", model(ids[:, 4:], caches), tolerance=1e-4)
    observe("and without caches", model(ids), tolerance=1e-4)


def test_model_in_the_middle_of_two_texts(subject, draw, observe):
    """One model can then be in the middle of several texts, and a forgotten reset cannot mix them."""
    make = subject.CachedGPT
    gpt = model_of(subject, draw)
    model, other_model = make(gpt), make(model_of(subject, draw, n_layers=1, context_length=5))
    one, other, third = model.new_caches(), model.new_caches(), other_model.new_caches()
    for which, caches, batch, tokens in (
        (model, one, 2, 3),
        (model, other, 1, 5),
        (other_model, third, 2, 2),
        (model, None, 2, 6),
        (model, one, 2, 2),
        (other_model, third, 2, 3),
        (model, other, 1, 1),
    ):
        logits = which(draw.integers(batch, tokens, high=23), caches)
        observe(f"logits, {batch} texts, {tokens} more tokens", logits, tolerance=1e-4)
    observe("lengths", [lengths_of(caches) for caches in (one, other, third)])
    for cache in one:
        cache.reset()
    observe("another text after a reset", model(draw.integers(3, 4, high=23), one), tolerance=1e-4)


def test_logits_of_a_model_in_training_mode(subject, draw, observe):
    """With caches too, dropout acts in training mode, where the model has it."""
    make = subject.CachedGPT
    model = make(model_of(subject, draw))
    gpt = model.gpt
    gpt.embedding.drop_emb = Squares()
    for block in gpt.trf_blocks:
        block.drop_shortcut, block.att.dropout = Squares(), Squares()
    model.train()
    found = logits_in_chunks(model, draw.integers(2, 6, high=23), model.new_caches(), 4, 2)
    observe("logits, with squares in place of the dropouts", found, tolerance=1e-4)
    observe("mode after", model.training)


def test_nothing_is_dropped_in_evaluation_mode(subject, draw, observe):
    """With caches too, dropout acts in training mode, where the model has it."""
    make = subject.CachedGPT
    model = make(model_of(subject, draw, drop_rate=0.5))
    found = logits_in_chunks(model, draw.integers(2, 6, high=23), model.new_caches(), 4, 2)
    observe("logits", found, tolerance=1e-4)


# generate_cached


def test_cached_text(subject, draw, observe):
    """Call the model once for each new token: first with the whole prompt, then with what was appended last, (B,
    1)."""
    for new_tokens in (1, 3, 6):
        model = TinyModel(draw)
        text = subject.generate_cached(model, draw.integers(2, 5, high=11), new_tokens)
        observe(f"{new_tokens} new tokens", text)
        observe("what the model was given", model.given)
        observe("how much its caches held before", model.before)


def test_cached_text_of_a_gpt(subject, draw, observe):
    """Write what exercise 10's `generate` writes, but read each token only once."""
    write, make, generate = subject.generate_cached, subject.CachedGPT, ex10(subject).generate
    model = make(model_of(subject, draw, context_length=12).double())  # no rounding decides between two tokens
    ids = draw.integers(2, 3, high=23)
    observe("text", write(model, ids, 9))
    observe("by the generate of exercise 10, the model without caches", generate(model, ids, 9, 12))
    generator = torch.Generator().manual_seed(draw.whole(0, 1000))
    observe("sampled text", write(model, ids, 9, 1.0, generator=generator))


def test_one_prompt_after_the_other(subject, draw, observe):
    """All calls share the caches of one `new_caches()`."""
    model = TinyModel(draw)
    for batch, tokens in ((2, 5), (2, 3), (1, 4), (1, 1)):
        observe("text", subject.generate_cached(model, draw.integers(batch, tokens, high=11), 3))
    observe("what the model was given", model.given)
    observe("how much its caches held before", model.before)


def test_cached_text_by_sampling(subject, draw, observe):
    """int64 (B, T + n), as from `generate` with the same seed"""
    model, ids, seed = TinyModel(draw), draw.integers(4, 5, high=11), draw.whole(0, 1000)
    for settings in (
        {"temperature": 1.0},
        {"temperature": 0.3},
        {"temperature": 2.0, "top_k": 3},
        {"temperature": 2.0, "top_p": 0.52},
        {"temperature": 3.0, "top_k": 7, "top_p": 0.58},
    ):
        generator = torch.Generator().manual_seed(seed)
        text = subject.generate_cached(model, ids, 10, **settings, generator=generator)
        observe(f"text with {settings}", text)
        observe("what the generator draws next", next_numbers(generator))
    generator = torch.Generator().manual_seed(seed)
    text = subject.generate_cached(model, ids, 10, 2.0, 5, 0.8, None, generator)
    observe("text with settings in their order", text)
    observe("text from torch's global generator", subject.generate_cached(model, ids, 8, 1.3))
    observe("what torch's global generator draws next", next_numbers())


def test_cached_text_ends(subject, draw, observe):
    """Evaluation mode while it runs, the mode restored, no graph, errors and the end by eos_id: all as in
    `generate`."""
    for eos_id in (4, 0):
        for steps in ((0, 0), (2, 1), (None, 1)):
            script = (draw.integers(2, 5, high=10) + eos_id + 1) % 11  # eos_id does not occur in it
            prompt = (draw.integers(2, 4, high=10) + eos_id + 1) % 11
            prompt[0, -1] = eos_id  # in the prompt it does not count
            for row, step in enumerate(steps):
                if step is not None:
                    script[row, step] = eos_id
            model = TinyModel(draw, script=script)
            observe(f"text until {eos_id}, at {steps}", subject.generate_cached(model, prompt, 5, eos_id=eos_id))
            observe("what the model was given", model.given)


# cache_bytes


def test_bytes_of_caches(subject, draw, observe):
    """How much memory the keys and values of all layers take."""
    cfg = ex09(subject).GPTConfig(vocab_size=23, context_length=9, emb_dim=12, n_heads=3, n_layers=5)
    observe("7 tokens of 2 texts", subject.cache_bytes(cfg, 2, 7))
    observe("one token", subject.cache_bytes(cfg, 1, 1))
    observe("bfloat16", subject.cache_bytes(cfg, batch_size=3, length=4, bytes_per_number=2))
    observe("no tokens", subject.cache_bytes(cfg, 3, 0))


def test_bytes_of_the_lesson(subject, draw, observe):
    """Example: for GPT-2 small, cache_bytes(cfg, 1, 1024) is 75497472."""
    cache_bytes = subject.cache_bytes
    for length in (1, 1024):
        observe(f"GPT-2 small, {length} tokens", cache_bytes(ex09(subject).GPTConfig(), 1, length))


# The fine print.


def test_cache_refuses_more_than_it_has_room_for(subject, draw, observe):
    """ValueError: there would be more than max_length tokens. The message should name how many, and
    max_length."""
    for held, more in ((5, 1), (3, 4), (0, 6)):
        cache = subject.KVCache(5)
        if held:
            cache.append(*keys(draw, 2, 3, held, 4))
        mentions = (str(held + more), "5")
        observe.outcome(f"{held} and {more}", cache.append, *keys(draw, 2, 3, more, 4), mentions=mentions)
        observe("length after", cache.length)
        if held < 5:
            observe("all, with what fits", cache.append(*keys(draw, 2, 3, 2, 4)), tolerance=0.0)
            observe("length", cache.length)


def test_cache_refuses_what_does_not_fit_together(subject, draw, observe):
    """ValueError: B, H, h or dtype of key or value differs from what is in the cache. An empty cache takes any.
    An error should leave the cache as it was."""
    cache = subject.KVCache(7)
    good = keys(draw, 2, 3, 2, 4)
    cache.append(*good)
    for what, shape in {
        "more texts": (3, 3, 2, 4),
        "fewer texts": (1, 3, 2, 4),
        "more heads": (2, 6, 2, 4),
        "fewer heads": (2, 1, 2, 4),
        "wider heads": (2, 3, 2, 8),
        "narrower heads": (2, 3, 2, 1),
        "texts and heads exchanged": (3, 2, 2, 4),
    }.items():
        bad = keys(draw, *shape)
        observe.outcome(what, cache.append, *bad)
        observe.outcome(f"{what}, the key only", cache.append, bad[0], good[1])
        observe.outcome(f"{what}, the value only", cache.append, good[0], bad[1])
    for what, dtype in {"float64": torch.float64, "bfloat16": torch.bfloat16}.items():
        bad = [tensor.to(dtype) for tensor in good]
        observe.outcome(what, cache.append, *bad)
        observe.outcome(f"{what}, the key only", cache.append, bad[0], good[1])
        observe.outcome(f"{what}, the value only", cache.append, good[0], bad[1])
    observe("length after", cache.length)
    observe("all, with what fits", cache.append(*keys(draw, 2, 3, 1, 4)), tolerance=0.0)
    observe("length", cache.length)


def test_cache_keeps_every_digit(subject, draw, observe):
    """A result must have its inputs' dtype."""
    for dtype in (torch.float64, torch.bfloat16):
        cache = subject.KVCache(7)
        for tokens in (2, 1):
            new = [tensor.to(dtype) / 3 for tensor in keys(draw, 2, 3, tokens, 4)]
            observe(f"all, {dtype}", cache.append(*new), tolerance=0.0)


def test_cache_stays_on_the_device(subject, draw, observe):
    """all keys and all values so far, the oldest token first: (B, H, length, h) each, of the same dtype"""
    chunks = [keys(draw, 2, 3, tokens, 4) for tokens in (2, 1)]
    with AsWithAGpu() as gpu:
        cache = subject.KVCache(7)
        for chunk in chunks:
            found = cache.append(*chunk)
            observe("is what comes back on the CPU", [gpu.on_cpu(tensor) for tensor in found])


def test_attention_beyond_the_room_of_the_cache(subject, draw, observe):
    """ValueError: the cache has no room for the new tokens; `append` raises it, let it pass through."""
    attend = subject.cached_attention
    attention, cache, x = attention_of(subject, draw), subject.KVCache(5), draw.normal(2, 7, 6)
    attend(attention, 3, x[:, :4], cache)
    observe.outcome("4 and 2 more", attend, attention, 3, x[:, 4:6], cache, mentions=("6", "5"))
    observe("length after", cache.length)
    observe("the one that fits", attend(attention, 3, x[:, 4:5], cache))


def test_attention_calls_its_layers(subject, draw, observe):
    """Call each layer and the dropout as a module: something else may have been put in its place."""
    attend = subject.cached_attention
    for name in ("W_query", "W_key", "W_value", "out_proj"):
        attention = attention_of(subject, draw)
        setattr(attention, name, Adapted(getattr(attention, name)))
        found = in_chunks(attend, attention, draw.normal(2, 5, 6), subject.KVCache(9), 3, 2)
        observe(f"with something else in place of {name}", found)


def test_attention_in_float64(subject, draw, observe):
    """A result must have its inputs' dtype."""
    attend = subject.cached_attention
    attention, x = attention_of(subject, draw).double(), draw.normal(2, 6, 6).double()
    observe("in chunks", in_chunks(attend, attention, x, subject.KVCache(9), 3, 2, 1), tolerance=1e-12)


def test_attention_stays_on_the_device(subject, draw, observe):
    """What `attention` would make of the new tokens if all tokens before them were in front."""
    attend = subject.cached_attention
    attention, x = attention_of(subject, draw), draw.normal(2, 6, 6)
    with AsWithAGpu() as gpu:
        found = in_chunks(attend, attention, x, subject.KVCache(9), 3, 1, 2)
        observe("is the result on the CPU", gpu.on_cpu(found))


def test_model_comes_in_the_mode_of_the_gpt(subject, draw, observe):
    """A CachedGPT should be in the mode (`training`) in which gpt comes."""
    make = subject.CachedGPT
    for training in (True, False):
        gpt = model_of(subject, draw, n_layers=1).train(training)
        model = make(gpt)
        observe(f"modes of all parts, gpt.training={training}", {*flags(model), *flags(gpt)} == {training})
        ids = draw.integers(2, 3, high=23)
        model(ids, model.new_caches())
        model(ids)
        observe("after a pass", {*flags(model), *flags(gpt)} == {training})
        observe("no graph is needed", torch.is_grad_enabled())
    observe("a mode that is set", flags(make(gpt).train())[1:])


def test_generate_leaves_the_gpt_in_its_mode(subject, draw, observe):
    """A CachedGPT should be in the mode (`training`) in which gpt comes."""
    make, generate = subject.CachedGPT, ex10(subject).generate
    for training in (True, False):
        gpt = model_of(subject, draw, n_layers=1).train(training)
        generate(make(gpt), draw.integers(2, 3, high=23), 2, 9)
        observe(f"modes of gpt's parts after, gpt.training={training}", flags(gpt))


def test_model_refuses_too_many_tokens(subject, draw, observe):
    """ValueError: the text would be longer than cfg.context_length. The message should name both numbers, and the
    caches should be as they were."""
    make = subject.CachedGPT
    model = make(model_of(subject, draw, context_length=6))
    for held, more in ((6, 1), (4, 4), (0, 7)):
        caches, ids = model.new_caches(), draw.integers(2, 8, high=23)
        if held:
            model(ids[:, :held], caches)
        mentions = (str(held + more), "6")
        observe.outcome(f"{held} and {more}", model, ids[:, :more], caches, mentions=mentions)
        observe("lengths after", lengths_of(caches))
        if held < 6:
            observe("logits of what fits", model(ids[:, -6 + held :], caches), tolerance=1e-4)
            observe("lengths", lengths_of(caches))
    observe.outcome("7, without caches", model, draw.integers(2, 7, high=23), mentions=("7", "6"))


def test_model_of_adapted_parts(subject, draw, observe):
    """Call each layer and the dropout as a module: something else may have been put in its place."""
    make = subject.CachedGPT
    gpt = model_of(subject, draw, tie_weights=False)
    gpt.out_head = Adapted(gpt.out_head)
    for block in gpt.trf_blocks:
        block.att.W_key, block.ff.layers[0] = Adapted(block.att.W_key), Adapted(block.ff.layers[0])
    model, ids = make(gpt), draw.integers(2, 6, high=23)
    observe("logits", logits_in_chunks(model, ids, model.new_caches(), 4, 2), tolerance=1e-4)


def test_gradients_without_caches(subject, draw, observe):
    """Gradients must reach every float input."""
    record_graphs_again()
    make = subject.CachedGPT
    gpt = model_of(subject, draw, tie_weights=False, n_layers=1)
    model = make(gpt)
    (model(draw.integers(2, 5, high=23)) * draw.normal(2, 5, 23)).sum().backward()
    observe("gradients", {name: value.grad for name, value in gpt.named_parameters()}, tolerance=1e-4)


def test_model_in_float64(subject, draw, observe):
    """A result must have its inputs' dtype."""
    make = subject.CachedGPT
    model, ids = make(model_of(subject, draw, n_layers=1).double()), draw.integers(2, 6, high=23)
    observe("logits", logits_in_chunks(model, ids, model.new_caches(), 4, 2), tolerance=1e-11)


def test_model_stays_on_the_device(subject, draw, observe):
    """float (B, T_new, V): without caches what gpt(ids) gives; with caches what gpt gives for the same positions
    of the whole text"""
    make = subject.CachedGPT
    model, ids = make(model_of(subject, draw)), draw.integers(2, 6, high=23)
    with AsWithAGpu() as gpu:
        found = logits_in_chunks(model, ids, model.new_caches(), 4, 2)
        observe("are the logits on the CPU", [gpu.on_cpu(logits) for logits in found])


def test_text_that_does_not_fit_is_refused(subject, draw, observe):
    """ValueError: T + max_new_tokens is larger than cfg.context_length. The message should name both numbers, and
    the model should not be called."""
    for tokens, new_tokens in ((5, 4), (9, 0), (1, 8), (8, 1)):
        text = subject.generate_cached(TinyModel(draw, 9), draw.integers(2, tokens, high=11), new_tokens)
        observe(f"{tokens} and {new_tokens} new ones", text)
    for tokens, new_tokens in ((5, 5), (9, 1), (3, 20), (12, 0)):
        model, ids = TinyModel(draw, 9), draw.integers(2, tokens, high=11)
        what, mentions = f"{tokens} and {new_tokens} new ones", (str(tokens + new_tokens), "9")
        observe.outcome(what, subject.generate_cached, model, ids, new_tokens, mentions=mentions)
        observe("calls", len(model.given))
        observe("modes", flags(model))


def test_text_without_new_tokens(subject, draw, observe):
    """Call the model once for each new token: first with the whole prompt, then with what was appended last, (B,
    1)."""
    model = TinyModel(draw)
    observe("text", subject.generate_cached(model, draw.integers(2, 5, high=11), 0))
    observe("calls", len(model.given))


def test_mode_and_graph(subject, draw, observe):
    """Evaluation mode while it runs, the mode restored, no graph, errors and the end by eos_id: all as in
    `generate`."""
    record_graphs_again()
    for training in (True, False):
        model = TinyModel(draw).train(training)
        observe("text", subject.generate_cached(model, draw.integers(2, 5, high=11), 4))
        observe("modes while it runs", model.training_flags)
        observe("modes after", flags(model))
        observe("does torch record a graph while it runs?", model.recording)
        observe("and after?", torch.is_grad_enabled())
        observe("can the model still learn?", [value.requires_grad for value in model.parameters()])


def test_mode_after_an_error(subject, draw, observe):
    """Evaluation mode while it runs, the mode restored, no graph, errors and the end by eos_id: all as in
    `generate`."""
    record_graphs_again()
    for training in (True, False):
        for fails_at in (0, 2):
            model = TinyModel(draw, fails_at=fails_at).train(training)
            observe.outcome("text", subject.generate_cached, model, draw.integers(2, 5, high=11), 4)
            observe("modes after", flags(model))
            observe("does torch record graphs after?", torch.is_grad_enabled())
    for settings in ({"temperature": -0.7}, {"temperature": 1.0, "top_k": 0}, {"temperature": 1.0, "top_p": 1.75}):
        model = TinyModel(draw)
        ids = draw.integers(2, 5, high=11)
        observe.outcome(f"text with {settings}", subject.generate_cached, model, ids, 3, **settings)
        observe("modes after", flags(model))


def test_settings_that_play_no_part(subject, draw, observe):
    """Write what exercise 10's `generate` writes, but read each token only once."""
    model, generator = TinyModel(draw), torch.Generator().manual_seed(5)
    ids = draw.integers(2, 5, high=11)
    observe("greedy text", subject.generate_cached(model, ids, 4, 0.0, 3, 0.5, None, generator))
    observe("what the generator draws next", next_numbers(generator))
    observe("what torch's global generator draws next", next_numbers())


def test_text_of_a_gpt_with_one_layer(subject, draw, observe):
    """Write what exercise 10's `generate` writes, but read each token only once."""
    write, make = subject.generate_cached, subject.CachedGPT
    for layers in (1, 3):
        model = make(model_of(subject, draw, n_layers=layers).double())  # no rounding decides between two tokens
        observe(f"text, {layers} layers", write(model, draw.integers(2, 3, high=23), 4))
