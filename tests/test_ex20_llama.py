"""Probes of ex20: Llama. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings. Positions 0 and 1 hide nearly all that can go wrong in
a rotation, so these go on to some dozens, and to hundreds where the rounding of right code allows it.
"""

import dataclasses

import torch
from torch.overrides import TorchFunctionMode

# Weights of this size keep the attention soft: a sharp one would magnify the rounding of right code.
SCALE = 0.3


def config(subject, **changes):
    sizes = {
        "vocab_size": 23,
        "context_length": 40,
        "emb_dim": 24,
        "n_heads": 6,
        "n_kv_groups": 2,
        "n_layers": 2,
        "hidden_dim": 20,
    }
    return subject.LlamaConfig(**{**sizes, **changes})


def filled(draw, module, scale=SCALE):
    draw.fill(module, scale)
    return module


def shapes(module):
    """All parameters by name, a tied one by both of its names."""
    return {name: value.shape for name, value in module.named_parameters(remove_duplicate=False)}


class Notes:
    """A cache with the interface of exercise 19's, which writes down what it is given."""

    def __init__(self, key=None, value=None):
        self.key, self.value, self.given = key, value, []

    @property
    def length(self):
        return 0 if self.key is None else self.key.shape[2]

    def append(self, key, value):
        self.given.append((key, value))
        if self.key is not None:
            key, value = torch.cat([self.key, key], dim=2), torch.cat([self.value, value], dim=2)
        self.key, self.value = key, value
        return key, value


# RMSNorm


def test_norm_divides_by_the_root_mean_square(subject, draw, observe):
    """the shape and dtype of x: weight · x / √(mean of x² + eps)"""
    example = subject.RMSNorm(4, 1e-5)(torch.tensor([[1.0, -1.0, 7.0, 7.0]]))
    observe("the lesson's example", example)
    norm = filled(draw, subject.RMSNorm(12, 1e-5))
    for shape in ((2, 7, 12), (5, 12), (2, 3, 7, 12)):
        observe(f"x of shape {shape}", norm(draw.normal(*shape, scale=2.0, shift=3.0)))


def test_norm_has_one_weight(subject, draw, observe):
    """`nn.Parameter`, float (D,), ones at first: the only parameter"""
    norm = subject.RMSNorm(12, 1e-5)
    observe("parameters", dict(norm.named_parameters()))
    observe("is it trained?", [value.requires_grad for value in norm.parameters()])


def test_norm_adds_eps_to_the_mean_square(subject, draw, observe):
    """added to the mean square"""
    coarse, fine = (filled(draw, subject.RMSNorm(12, eps)) for eps in (0.5, 1e-6))
    for name, norm in (("0.5", coarse), ("1e-6", fine)):
        observe(f"small numbers, eps={name}", norm(draw.normal(2, 7, 12, scale=1e-3)))
        observe(f"a vector of zeros, eps={name}", norm(torch.zeros(2, 7, 12)))
    observe("numbers near 1, eps=0.5", coarse(draw.normal(2, 7, 12)))


def test_gradients_pass_through_the_norm(subject, draw, observe):
    """Gradients must reach every float input."""
    norm, x = filled(draw, subject.RMSNorm(12, 1e-5)), draw.normal(2, 7, 12, shift=1.0).requires_grad_(True)
    (norm(x) * draw.normal(2, 7, 12)).sum().backward()
    observe("gradients of x and weight", [x.grad, norm.weight.grad])


# RoPE


def test_rope_rotates_each_pair(subject, draw, observe):
    """Numbers i and i + h/2 are pair i. At position p it turns by the angle p · base^(−2i/h)."""
    rope = subject.RoPE(4, 8, 10000.0)
    observe("the lesson's example", rope(torch.tensor([[[[1.0, 0.0, 0.0, 1.0]]]]), start=3))
    rope = subject.RoPE(8, 40, 10000.0)
    observe("2 sequences, 3 heads, 7 tokens", rope(draw.normal(2, 3, 7, 8)))
    observe("3 sequences, 1 head, 40 tokens", rope(draw.normal(3, 1, 40, 8)), tolerance=1e-4)


def test_rope_begins_anywhere(subject, draw, observe):
    """Rotate each vector to its position: x[:, :, t] is at position start + t."""
    rope = subject.RoPE(8, 40, 10000.0)
    for start in (1, 33, 0, 12):
        observe(f"from position {start} on", rope(draw.normal(2, 3, 7, 8), start), tolerance=1e-4)


def test_rope_of_other_widths(subject, draw, observe):
    """Numbers i and i + h/2 are pair i. At position p it turns by the angle p · base^(−2i/h)."""
    for width in (2, 6, 12):
        rope = subject.RoPE(width, 40, 10000.0)
        observe(f"head_dim={width}", rope(draw.normal(2, 3, 7, width), start=20), tolerance=1e-4)


def test_rope_of_other_bases(subject, draw, observe):
    """At position p it turns by the angle p · base^(−2i/h)."""
    ropes = [subject.RoPE(8, 40, base) for base in (500000.0, 10.0)]
    for base, rope in zip(("500000", "10"), ropes, strict=True):
        observe(f"base={base}", rope(draw.normal(2, 3, 7, 8), start=20), tolerance=1e-4)


def test_rope_far_into_a_text(subject, draw, observe):
    # In float32 an angle of 1000 is good to about 1e-4.
    """Rotate each vector to its position: x[:, :, t] is at position start + t."""
    rope = subject.RoPE(8, 1200, 10000.0)
    observe("from position 1190 on", rope(draw.normal(2, 3, 7, 8), 1190), tolerance=5e-3)


def test_scores_depend_on_the_distance(subject, draw, observe):
    """So the score depends on the *distance* of the two tokens, and not on where in the text they are."""
    rope, query, key = subject.RoPE(8, 40, 10000.0), draw.normal(2, 3, 7, 8), draw.normal(2, 3, 7, 8)
    for start in (0, 25):
        scores = rope(query, start + 5) @ rope(key, start).mT
        observe(f"scores, the keys from {start} on, the queries 5 places later", scores, tolerance=1e-4)


def test_rope_has_tables_that_are_not_saved(subject, draw, observe):
    """Make its tables of cosines and sines once, as buffers that are not saved with the weights."""
    rope = subject.RoPE(8, 40, 10000.0)
    observe("names of the parameters", [name for name, _ in rope.named_parameters()])
    observe("what is saved", sorted(rope.state_dict()))
    observe(
        "where the buffers are on another device",
        sorted({str(value.device) for value in rope.to("meta").buffers()}),
    )


def test_gradients_pass_through_rope(subject, draw, observe):
    """Gradients must reach every float input."""
    rope, x = subject.RoPE(8, 40, 10000.0), draw.normal(2, 3, 7, 8).requires_grad_(True)
    (rope(x, 12) * draw.normal(2, 3, 7, 8)).sum().backward()
    observe("gradient of x", x.grad, tolerance=1e-4)


# SwiGLU


def test_swiglu(subject, draw, observe):
    """float (…, D): fc3(silu(fc1(x)) · fc2(x)), where silu(z) = z · sigmoid(z)"""
    ff = subject.SwiGLU(1, 1)
    with torch.no_grad():
        for parameter in ff.parameters():
            parameter.fill_(1.0)
    observe("the docstring's example", ff(torch.tensor([[2.0]])))
    ff = subject.SwiGLU(6, 10)
    observe("parameters", shapes(ff))
    filled(draw, ff, 0.5)
    for shape in ((2, 7, 6), (5, 6)):
        observe(f"x of shape {shape}", ff(draw.normal(*shape)), tolerance=1e-4)


def test_gradients_pass_through_swiglu(subject, draw, observe):
    """Gradients must reach every float input."""
    ff, x = filled(draw, subject.SwiGLU(6, 10), 0.5), draw.normal(2, 7, 6).requires_grad_(True)
    (ff(x) * draw.normal(2, 7, 6)).sum().backward()
    observe("gradient of x", x.grad, tolerance=1e-4)
    found = {name: value.grad for name, value in ff.named_parameters()}
    observe("gradients of the weights", found, tolerance=1e-4)


# GroupedQueryAttention


def test_attention_has_four_layers(subject, draw, observe):
    """Attributes: four `nn.Linear` layers without a bias, which hold all that is saved"""
    for groups in (2, 6):
        attention = subject.GroupedQueryAttention(config(subject, n_kv_groups=groups))
        observe(f"parameters, {groups} groups", shapes(attention))
        observe(f"what is saved, {groups} groups", sorted(attention.state_dict()))


def test_attention_with_grouped_queries(subject, draw, observe):
    """Query head i should use key head i // (H/G), and at position p see keys 0 … p."""
    for groups in (2, 3, 1, 6):
        attention = filled(draw, subject.GroupedQueryAttention(config(subject, n_kv_groups=groups)))
        observe(f"{groups} groups for 6 heads", attention(draw.normal(2, 7, 24)), tolerance=1e-4)


def test_attention_of_other_sizes(subject, draw, observe):
    """Scores should be divided by √h, which your function of exercise 6 does by itself."""
    attention = filled(draw, subject.GroupedQueryAttention(config(subject, emb_dim=32, n_heads=4, rope_base=7.0)))
    observe("4 heads of width 8, base 7", attention(draw.normal(2, 7, 32)), tolerance=3e-4)
    observe("40 tokens", attention(draw.normal(2, 40, 32)), tolerance=3e-4)
    observe("1 token", attention(draw.normal(2, 1, 32)), tolerance=3e-4)


def test_attention_reaches_the_past_only(subject, draw, observe):
    """Query head i should use key head i // (H/G), and at position p see keys 0 … p."""
    attention, x = filled(draw, subject.GroupedQueryAttention(config(subject))), draw.normal(2, 7, 24)
    before = attention(x)
    for place in (0, 4):
        changed = x.clone()
        changed[:, place] += 1.0
        observe(f"what moves when token {place} changes", attention(changed) - before, tolerance=1e-4)


def test_attention_with_a_cache(subject, draw, observe):
    """Positions should go on from `cache.length`. Rotate queries and keys, not values. The cache should get the G
    rotated key heads and the G value heads."""
    attention = filled(draw, subject.GroupedQueryAttention(config(subject)))
    cache, x = Notes(), draw.normal(2, 15, 24)
    for first, last in ((0, 5), (5, 6), (6, 9), (9, 15)):
        observe(f"tokens {first} to {last - 1}", attention(x[:, first:last], cache), tolerance=1e-4)
    observe("what the cache was given", cache.given)


def test_attention_with_a_long_past(subject, draw, observe):
    """Positions should go on from `cache.length`."""
    attention = filled(draw, subject.GroupedQueryAttention(config(subject, context_length=400)))
    cache = Notes(draw.normal(2, 2, 350, 4), draw.normal(2, 2, 350, 4))
    observe("3 tokens after 350", attention(draw.normal(2, 3, 24), cache), tolerance=1e-3)
    observe("what the cache was given", cache.given, tolerance=1e-3)


def test_attention_keeps_nothing_between_calls(subject, draw, observe):
    """the past, where new keys and values go; None if there is none"""
    attention = filled(draw, subject.GroupedQueryAttention(config(subject)))
    cache, other = Notes(), Notes()
    observe("4 tokens into a cache", attention(draw.normal(2, 4, 24), cache), tolerance=1e-4)
    observe("7 tokens without a cache", attention(draw.normal(3, 7, 24)), tolerance=1e-4)
    observe("5 tokens into another cache", attention(draw.normal(1, 5, 24), other), tolerance=1e-4)
    observe("2 more into the first one", attention(draw.normal(2, 2, 24), cache), tolerance=1e-4)


def test_gradients_pass_through_attention(subject, draw, observe):
    """Gradients must reach every float input."""
    attention = filled(draw, subject.GroupedQueryAttention(config(subject)))
    x = draw.normal(2, 7, 24).requires_grad_(True)
    (attention(x) * draw.normal(2, 7, 24)).sum().backward()
    observe("gradient of x", x.grad, tolerance=1e-4)
    found = {name: value.grad for name, value in attention.named_parameters()}
    observe("gradients of the weights", found, tolerance=1e-4)


# LlamaBlock


def test_block(subject, draw, observe):
    """float (B, T, D), in two steps: x plus what norm1 and att make of x; then that sum plus what norm2 and ff
    make of it"""
    block = subject.LlamaBlock(config(subject))
    observe("parameters", shapes(block))
    filled(draw, block)
    observe("2 sequences of 7 tokens", block(draw.normal(2, 7, 24)), tolerance=1e-4)
    block = filled(draw, subject.LlamaBlock(config(subject, norm_eps=0.5, rope_base=7.0, n_kv_groups=3)))
    observe("with another eps, base and number of groups", block(draw.normal(2, 7, 24)), tolerance=1e-4)


def test_block_hands_on_its_cache(subject, draw, observe):
    """cache for the attention, or None"""
    block, cache, x = filled(draw, subject.LlamaBlock(config(subject))), Notes(), draw.normal(2, 9, 24)
    for first, last in ((0, 5), (5, 6), (6, 9)):
        observe(f"tokens {first} to {last - 1}", block(x[:, first:last], cache), tolerance=1e-4)
    observe("what the cache was given", cache.given)


def test_block_that_adds_nothing(subject, draw, observe):
    """float (B, T, D), in two steps: x plus what norm1 and att make of x; then that sum plus what norm2 and ff
    make of it"""
    block = subject.LlamaBlock(config(subject))
    filled(draw, block)
    for part in ("out_proj", "fc3"):
        draw.fill(block)
        with torch.no_grad():
            for name, parameter in block.named_parameters():
                if name.endswith(f"{part}.weight"):
                    parameter.zero_()
        observe(f"with {part} at 0", block(draw.normal(2, 7, 24)), tolerance=1e-4)


# LlamaModel


def test_model_has_these_parameters(subject, draw, observe):
    """an `nn.ModuleList` of n_layers LlamaBlocks, each with weights of its own"""
    for tie in (False, True):
        model = subject.LlamaModel(config(subject, n_layers=3, tie_weights=tie))
        observe(f"parameters, tie_weights={tie}", shapes(model))
        observe(f"how many tensors, tie_weights={tie}", len(list(model.parameters())))
        observe(f"what is saved, tie_weights={tie}", sorted(model.state_dict()))


def test_logits(subject, draw, observe):
    """From ids to logits: token table, all blocks in order, final norm, head."""
    for tie in (False, True):
        model = filled(draw, subject.LlamaModel(config(subject, tie_weights=tie)))
        fill_table(draw, model)
        for batch, length in ((2, 7), (3, 1), (1, 40)):
            ids = draw.integers(batch, length, high=23)
            observe(f"logits of ids {batch} by {length}, tie_weights={tie}", model(ids), tolerance=1e-4)


def fill_table(draw, model):
    """A tied table may go by either of its two names, so it is set by itself."""
    table = model.tok_emb.weight
    with torch.no_grad():
        table.copy_(draw.normal(*table.shape, scale=SCALE))


def test_logits_of_other_sizes(subject, draw, observe):
    """From ids to logits: token table, all blocks in order, final norm, head."""
    changes = (
        {"n_layers": 1},
        {"n_layers": 4},
        {"n_kv_groups": 6},
        {"norm_eps": 0.3},
        {"rope_base": 7.0},
        {"hidden_dim": 5},
        {"emb_dim": 32, "n_heads": 4, "n_kv_groups": 4},
    )
    for change in changes:
        model = filled(draw, subject.LlamaModel(config(subject, **change)))
        observe(f"logits with {change}", model(draw.integers(2, 7, high=23)), tolerance=3e-4)


def test_logits_of_small_vectors(subject, draw, observe):
    # Here ε is felt in all three norms.
    """an RMSNorm with eps = norm_eps"""
    model = filled(draw, subject.LlamaModel(config(subject, norm_eps=0.01)), 0.05)
    observe("logits", model(draw.integers(2, 7, high=23)))


def test_logits_of_one_token_repeated(subject, draw, observe):
    # Equal tokens have equal values, and rotations do not show. What comes before them differs.
    """From ids to logits: token table, all blocks in order, final norm, head."""
    model = filled(draw, subject.LlamaModel(config(subject)))
    ids = draw.integers(2, 9, high=23)
    ids = torch.cat([ids[:, :2], ids[:, 2:3].expand(2, 7)], dim=1)
    observe("logits", model(ids), tolerance=1e-4)


def test_a_changed_id_reaches_later_logits_only(subject, draw, observe):
    """Query head i should use key head i // (H/G), and at position p see keys 0 … p."""
    model, ids = filled(draw, subject.LlamaModel(config(subject))), draw.integers(2, 7, high=23)
    before = model(ids)
    for place in (0, 4):
        changed = ids.clone()
        changed[:, place] = (changed[:, place] + 5) % 23
        observe(f"what moves when id {place} changes", model(changed) - before, tolerance=1e-4)


def test_model_keeps_its_config(subject, draw, observe):
    """cfg the config that was given"""
    cfg = config(subject, norm_eps=0.25)
    model, other = subject.LlamaModel(cfg), subject.LlamaModel(config(subject, n_layers=1))
    observe("cfg, when another model was made after this one", dataclasses.asdict(model.cfg))
    observe("cfg of the other model", dataclasses.asdict(other.cfg))


def test_new_caches(subject, draw, observe):
    """An empty cache for each block, with room for context_length tokens."""
    model, other = (subject.LlamaModel(config(subject, n_layers=n, context_length=9)) for n in (3, 2))
    new_caches = model.new_caches
    caches, again = new_caches(), new_caches()
    observe("tokens in them", [cache.length for cache in caches])
    observe("how many another model gets", len(other.new_caches()))
    key, value = draw.normal(2, 2, 9, 4), draw.normal(2, 2, 9, 4)
    observe("room for context_length tokens", caches[1].append(key, value))
    observe("tokens in them now", [cache.length for cache in caches])
    observe("tokens in those of the second call", [cache.length for cache in again])
    observe.outcome("one token more", caches[1].append, key[:, :, :1], value[:, :, :1])


def test_logits_with_new_caches(subject, draw, observe):
    """With caches, the result should be what the whole text gives at the new positions."""
    model, ids = filled(draw, subject.LlamaModel(config(subject))), draw.integers(2, 15, high=23)
    caches = model.new_caches()
    for first, last in ((0, 5), (5, 6), (6, 9), (9, 15)):
        observe(f"logits of tokens {first} to {last - 1}", model(ids[:, first:last], caches), tolerance=1e-4)
    observe("tokens in each cache", [cache.length for cache in caches])
    observe("the same ids without caches", model(ids), tolerance=1e-4)


def test_each_block_has_its_cache(subject, draw, observe):
    """a cache for each block, in order, as new_caches makes them; None if there is no past"""
    model, ids = filled(draw, subject.LlamaModel(config(subject, n_layers=3))), draw.integers(2, 7, high=23)
    caches = [Notes() for _ in range(3)]
    model(ids[:, :4], caches)
    model(ids[:, 4:], tuple(caches))
    observe("what the caches were given", [cache.given for cache in caches], tolerance=1e-4)


def test_gradients_reach_all_of_the_model(subject, draw, observe):
    """Gradients must reach every float input."""
    for tie in (False, True):
        model = filled(draw, subject.LlamaModel(config(subject, tie_weights=tie)))
        fill_table(draw, model)
        (model(draw.integers(2, 7, high=23)) * draw.normal(2, 7, 23)).sum().backward()
        found = {name: value.grad for name, value in model.named_parameters(remove_duplicate=False)}
        observe(f"gradients, tie_weights={tie}", found, tolerance=1e-2)


def test_tied_weights_are_one_tensor(subject, draw, observe):
    """If cfg.tie_weights, its weight and that of tok_emb should be one and the same Parameter; if not, two."""
    for tie in (True, False):
        model = subject.LlamaModel(config(subject, tie_weights=tie))
        table, head = model.tok_emb.weight, model.out_head.weight
        observe(f"rows in which both are equal at first, tie_weights={tie}", (table == head).all(dim=1))
        with torch.no_grad():
            head.fill_(0.0)
            table.copy_(draw.normal(*table.shape))
            observe(f"head when the token table changes, tie_weights={tie}", head)
            head.copy_(draw.normal(*head.shape))
            observe(f"token table when the head changes, tie_weights={tie}", table)


# The fine print.


def test_norm_of_half_precision_is_computed_in_float32(subject, draw, observe):
    """Squares, mean and root should be computed in float32, also where x is a float16 or a bfloat16: numbers near
    300 must not overflow."""
    for dtype in (torch.float16, torch.bfloat16):
        norm = filled(draw, subject.RMSNorm(12, 1e-5)).to(dtype)
        x = draw.normal(2, 7, 12, scale=20.0, shift=300.0).to(dtype)
        observe(f"numbers near 300, {dtype}", norm(x), tolerance=0.02)
    norm = filled(draw, subject.RMSNorm(12, 1e-5)).double()
    observe("dtype of a float64", norm(draw.normal(2, 7, 12).double()).dtype)


def test_rope_keeps_the_dtype(subject, draw, observe):
    """A result must have its inputs' dtype."""
    for dtype in (torch.bfloat16, torch.float64):
        rope = subject.RoPE(8, 40, 10000.0)
        observe(f"x alone is {dtype}", rope(draw.normal(2, 3, 7, 8).to(dtype), 12), tolerance=0.03)
        observe(
            f"the tables are {dtype} too", rope.to(dtype)(draw.normal(2, 3, 7, 8).to(dtype), 12), tolerance=0.03
        )


def test_rope_refuses_odd_heads(subject, draw, observe):
    """ValueError: head_dim is odd. The message should name it."""
    for width in (7, 1):
        observe.outcome(f"head_dim={width}", subject.RoPE, width, 40, 10000.0, mentions=(str(width),))


def test_rope_refuses_positions_beyond_its_context(subject, draw, observe):
    """ValueError: start + T is larger than context_length. The message should name both numbers."""
    rope, other = subject.RoPE(8, 9, 10000.0), subject.RoPE(8, 40, 10000.0)
    for start, length in ((0, 9), (3, 6), (8, 1)):
        observe(f"{length} tokens from {start} on", rope(draw.normal(2, 3, length, 8), start))
    for start, length in ((0, 12), (4, 6), (9, 1), (50, 3)):
        x = draw.normal(2, 3, length, 8)
        observe.outcome(f"{length} tokens from {start} on", rope, x, start, mentions=(str(start + length), "9"))
    observe.outcome("41 tokens in a context of 40", other, draw.normal(2, 3, 41, 8), mentions=("41", "40"))


def test_attention_refuses_heads_that_do_not_divide(subject, draw, observe):
    """ValueError: n_heads does not divide emb_dim, or n_kv_groups does not divide n_heads. The message should
    name both numbers."""
    for width, heads, groups in ((25, 6, 2), (6, 12, 2)):
        cfg = config(subject, emb_dim=width, n_heads=heads, n_kv_groups=groups)
        what = f"emb_dim={width}, n_heads={heads}"
        observe.outcome(what, subject.GroupedQueryAttention, cfg, mentions=(str(width), str(heads)))
    for heads, groups in ((6, 4), (6, 5), (3, 12)):
        cfg = config(subject, n_heads=heads, n_kv_groups=groups)
        what = f"n_heads={heads}, n_kv_groups={groups}"
        observe.outcome(what, subject.GroupedQueryAttention, cfg, mentions=(str(heads), str(groups)))


def test_attention_refuses_too_many_tokens(subject, draw, observe):
    """ValueError: the tokens do not fit into context_length. RoPE raises it; the cache must not change then."""
    attention = filled(draw, subject.GroupedQueryAttention(config(subject, context_length=9)))
    observe.outcome("12 tokens", attention, draw.normal(2, 12, 24), mentions=("12", "9"))
    cache = Notes()
    observe("7 tokens", attention(draw.normal(2, 7, 24), cache), tolerance=1e-4)
    observe.outcome("4 more", attention, draw.normal(2, 4, 24), cache, mentions=("11", "9"))
    observe("tokens in the cache", cache.length)
    observe("2 more", attention(draw.normal(2, 2, 24), cache), tolerance=1e-4)


def test_model_refuses_too_many_tokens(subject, draw, observe):
    """ValueError: the tokens do not fit into context_length. RoPE raises it; let it pass through."""
    model = filled(draw, subject.LlamaModel(config(subject, context_length=9)))
    observe("9 tokens", model(draw.integers(2, 9, high=23)), tolerance=1e-4)
    observe.outcome("12 tokens", model, draw.integers(2, 12, high=23), mentions=("12", "9"))
    caches = model.new_caches()
    observe("7 tokens", model(draw.integers(2, 7, high=23), caches), tolerance=1e-4)
    observe.outcome("4 more", model, draw.integers(2, 4, high=23), caches, mentions=("11", "9"))
    observe("tokens in the caches", [cache.length for cache in caches])
    observe("2 more", model(draw.integers(2, 2, high=23), caches), tolerance=1e-4)


def test_attention_works_on_the_device_of_x(subject, draw, observe):
    """Any tensor that you make on the way should be on the device of x."""
    x = draw.normal(2, 7, 24)
    with AsWithAGpu() as machine:
        attention = filled(draw, subject.GroupedQueryAttention(config(subject)))
        machine.move(attention)
        cache = Notes()
        found = [attention(x), attention(x[:, :4], cache), attention(x[:, 4:], cache)]
    observe("context, as with a GPU", found, tolerance=1e-4)


class AsWithAGpu(TorchFunctionMode):
    """Tells apart, without a GPU, which tensors would be on it and which would have been left on the CPU.

    What is made without naming a device is on the CPU, and what is computed from that alone. As on a real GPU,
    the two do not go together, except where torch allows it: an index in square brackets may be on the CPU.
    (The device "meta" would tell less, and takes torch seconds to set up.)
    """

    across = {"__getitem__", "__setitem__", "copy_", "to", "type_as", "expand_as", "view_as", "reshape_as"}

    def move(self, module):
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.left_on_cpu = False

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
