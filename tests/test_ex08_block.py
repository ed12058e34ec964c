"""Probes of ex08: the transformer block. Each runs on the reference, on your code and on every known mistake."""

from types import SimpleNamespace
from typing import NamedTuple

import torch

# Weights of this size keep the attention soft: a sharp one would magnify the rounding of right code.
SCALE = 0.3


class Config(NamedTuple):
    """An object with these attributes and nothing else, that cannot be written to."""

    emb_dim: int = 12
    context_length: int = 9
    n_heads: int = 3
    drop_rate: float = 0.0
    qkv_bias: bool = False


def config(**changes):
    return Config(**changes)


def shapes(module):
    return {name: value.shape for name, value in module.named_parameters()}


def gradients(module):
    return {name: value.grad for name, value in module.named_parameters()}


def silence(linear, result=0.0):
    """Let a linear layer give this number, whatever comes in."""
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.fill_(result)


def observe_dropping(observe, block, x, probability):
    """What one part adds while training. Every right code drops other numbers, but these are the same for all."""
    in_training = block(x) - x
    added = block.eval()(x) - x
    dropped = in_training == 0
    kept = torch.where(dropped, added / (1 - probability), in_training)
    observe("what is added in training mode, the dropped numbers put back", kept, tolerance=1e-4)
    observe("tokens of which every number is dropped", dropped.all(dim=-1))
    observe("tokens of which no number is dropped", (~dropped).all(dim=-1))
    observe("places that are dropped in every token", dropped.flatten(0, 1).all(dim=0))
    observe("places that are dropped in no token", (~dropped).flatten(0, 1).all(dim=0))


def test_layer_norm_lesson_example(subject, draw, observe):
    """Example: LayerNorm(4)(torch.tensor([[1.0, 3.0, 5.0, 7.0]])) is about [[-1.342, -0.447, 0.447, 1.342]]."""
    observe("norm of [1, 3, 5, 7]", subject.LayerNorm(4)(torch.tensor([[1.0, 3.0, 5.0, 7.0]])))


def test_layer_norm_begins_with_scale_one_and_shift_zero(subject, draw, observe):
    """scale  `nn.Parameter`, float (D,), ones at first
    shift  `nn.Parameter`, float (D,), zeros at first
    eps    0.00001 (1e-5), a Python float
    """
    norm = subject.LayerNorm(7)
    observe("parameters", dict(norm.named_parameters()))
    observe("are they trained?", {name: value.requires_grad for name, value in norm.named_parameters()})
    observe("eps", norm.eps, tolerance=1e-9)


def test_layer_norm_works_on_the_last_axis(subject, draw, observe):
    """Mean and variance should be those of the last axis, and the variance should be divided by D."""
    norm = subject.LayerNorm(8)
    draw.fill(norm)
    for shape in ((2, 5, 8), (3, 8), (2, 3, 5, 8)):
        observe(f"norm of shape {shape}", norm(draw.normal(*shape, scale=2.0, shift=3.0)), tolerance=2e-5)


def test_layer_norm_of_numbers_that_hardly_differ(subject, draw, observe):
    """the shape of x: scale · (x − mean) / √(variance + eps) + shift"""
    norm = subject.LayerNorm(8)
    draw.fill(norm)
    for size in (1e-2, 1e-3, 1e-4):
        observe(f"norm of numbers around {size}", norm(draw.normal(2, 5, 8, scale=size)))


def test_gelu_lesson_example(subject, draw, observe):
    """Example: GELU()(torch.tensor([-1.0, 0.0, 1.0])) is about [-0.1588, 0, 0.8412]."""
    observe("GELU of [-1, 0, 1]", subject.GELU()(torch.tensor([-1.0, 0.0, 1.0])))


def test_gelu_from_minus_6_to_6(subject, draw, observe):
    """the same shape: 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))"""
    observe("GELU of -6.00, -5.95, … 6.00", subject.GELU()(torch.linspace(-6, 6, 241)))
    observe("GELU of ±2.69", subject.GELU()(torch.tensor([[-2.69], [2.69]])))


def test_gelu_of_any_shape(subject, draw, observe):
    """Apply it to every number by itself."""
    gelu = subject.GELU()
    for shape in ((5,), (2, 7, 3), (2, 3, 4, 5)):
        observe(f"GELU of shape {shape}", gelu(draw.normal(*shape, scale=2.0)))
    observe("GELU of a single number", gelu(torch.tensor(draw.number(-2, 2))))
    observe("names of the parameters", [name for name, _ in gelu.named_parameters()])


def test_feed_forward_has_two_linear_layers(subject, draw, observe):
    """an `nn.Sequential` of three: an `nn.Linear` from D to 4·D, your GELU, an `nn.Linear` from 4·D to D. Both
    linear layers have a bias.
    """
    for width in (6, 5):
        observe(f"parameters, emb_dim={width}", shapes(subject.FeedForward(config(emb_dim=width))))
    observe("parameters, if emb_dim is all there is", shapes(subject.FeedForward(SimpleNamespace(emb_dim=7))))


def test_feed_forward_works_on_each_token(subject, draw, observe):
    """There should be no dropout in it."""
    # A drop_rate, so that a dropout inside would show: a fresh module is in training mode.
    feed_forward = subject.FeedForward(config(emb_dim=6, drop_rate=0.5))
    draw.fill(feed_forward)
    for shape in ((2, 7, 6), (5, 6)):
        observe(f"result of shape {shape}", feed_forward(draw.normal(*shape)))


def test_block_has_these_parameters(subject, draw, observe):
    """exercise 7's MultiHeadAttention, from D to D, with cfg's context_length, n_heads and qkv_bias, and drop_rate
    as its dropout
    """
    for bias in (False, True):
        block = subject.TransformerBlock(config(qkv_bias=bias))
        observe(f"parameters, qkv_bias={bias}", shapes(block))


def test_block(subject, draw, observe):
    """in two steps: x plus what norm1, att and drop_shortcut make of x; then that sum plus what norm2, ff and
    drop_shortcut make of it
    """
    for bias in (False, True):
        block = subject.TransformerBlock(config(qkv_bias=bias))
        draw.fill(block, SCALE)
        for length in (7, 1, 9):
            observe(f"{length} tokens, qkv_bias={bias}", block(draw.normal(2, length, 12)), tolerance=1e-4)


def test_block_with_other_heads(subject, draw, observe):
    """in two steps: x plus what norm1, att and drop_shortcut make of x; then that sum plus what norm2, ff and
    drop_shortcut make of it
    """
    for heads in (1, 2, 6):
        block = subject.TransformerBlock(config(n_heads=heads))
        draw.fill(block, SCALE)
        observe(f"{heads} heads", block(draw.normal(2, 7, 12)), tolerance=1e-4)


def test_block_that_adds_nothing_hands_on_its_input(subject, draw, observe):
    """Example: with all parameters of att and ff at 0 they add nothing, and the result is x."""
    block = subject.TransformerBlock(config())
    draw.fill(block, SCALE)
    silence(block.att.out_proj)
    x = draw.normal(2, 7, 12, scale=3.0)
    observe("the attention adds nothing", block(x), tolerance=1e-4)
    silence(block.ff.layers[2])
    observe("neither part adds anything", block(x), tolerance=1e-4)
    draw.fill(block, SCALE)
    silence(block.ff.layers[2])
    observe("the feed-forward adds nothing", block(x), tolerance=1e-4)


def test_a_change_in_the_block_reaches_later_tokens_only(subject, draw, observe):
    """in two steps: x plus what norm1, att and drop_shortcut make of x; then that sum plus what norm2, ff and
    drop_shortcut make of it
    """
    block = subject.TransformerBlock(config())
    draw.fill(block, SCALE)
    x = draw.normal(2, 7, 12)
    before = block(x)
    for place in (0, 4):
        changed = x.clone()
        changed[:, place] += draw.normal(12)
        observe(f"what moves when token {place} changes", block(changed) - before, tolerance=1e-4)


def test_block_hands_on_the_drop_rate(subject, draw, observe):
    """an `nn.Dropout` with probability drop_rate, for what is added to the stream"""
    block = subject.TransformerBlock(config(drop_rate=0.3))
    observe("dropout of the attention weights", block.att.dropout.p)
    observe("dropout before the shortcuts", block.drop_shortcut.p)


def test_dropout_on_what_the_attention_adds(subject, draw, observe):
    """in two steps: x plus what norm1, att and drop_shortcut make of x; then that sum plus what norm2, ff and
    drop_shortcut make of it
    """
    # The attention itself is in evaluation mode and the feed-forward adds 0: what drops is drop_shortcut.
    block = subject.TransformerBlock(config(emb_dim=48, context_length=32, drop_rate=0.5))
    draw.fill(block, SCALE / 2)
    silence(block.ff.layers[2])
    block.train().att.eval()
    observe_dropping(observe, block, draw.normal(2, 32, 48), 0.5)


def test_dropout_on_what_the_feed_forward_adds(subject, draw, observe):
    """in two steps: x plus what norm1, att and drop_shortcut make of x; then that sum plus what norm2, ff and
    drop_shortcut make of it
    """
    block = subject.TransformerBlock(config(emb_dim=48, context_length=32, drop_rate=0.5))
    draw.fill(block, SCALE / 2)
    silence(block.att.out_proj)
    block.train()
    observe_dropping(observe, block, draw.normal(2, 32, 48), 0.5)


# The fine print.


def test_layer_norm_of_equal_numbers(subject, draw, observe):
    """Equal numbers give `shift`."""
    norm = subject.LayerNorm(8)
    draw.fill(norm)
    observe("norm of three tokens of equal numbers", norm(torch.tensor([[2.5], [0.0], [-64.0]]).expand(3, 8)))


def test_layer_norm_of_numbers_far_from_zero(subject, draw, observe):
    """Numbers near 3000 should be normalized as exactly as those near 0: subtract the mean before you square."""
    # Whole numbers: sums and means of them are exact in float32, so right code differs by nothing here.
    norm = subject.LayerNorm(8)
    draw.fill(norm)
    x = draw.integers(5, 6, 8, low=2996, high=3005).float()
    observe("norm of numbers around 3000", norm(x), tolerance=1e-4)


def test_layer_norm_keeps_double_precision(subject, draw, observe):
    """A result must have its inputs' dtype."""
    norm = subject.LayerNorm(6).double()
    draw.fill(norm)
    observe("norm of a float64 tensor", norm(draw.normal(2, 5, 6).double()), tolerance=1e-9)


def test_gradients_pass_through_layer_norm(subject, draw, observe):
    """Gradients must reach every float input."""
    norm = subject.LayerNorm(8)
    draw.fill(norm)
    x = draw.normal(2, 5, 8, scale=2.0).requires_grad_(True)
    (norm(x) * draw.normal(2, 5, 8)).sum().backward()
    observe("gradient of x", x.grad)
    observe("gradients of the parameters", gradients(norm))


def test_gelu_has_the_exact_constants(subject, draw, observe):
    """GPT-2 was trained with an approximation by tanh, so its weights need exactly this one: GELU(x) = 0.5 · x · (1
    + tanh(√(2/π) · (x + 0.044715 · x³)))
    """
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    observe("GELU of a float64 tensor", subject.GELU()(x), tolerance=1e-6)


def test_gelu_far_from_zero(subject, draw, observe):
    """Far from 0, at ±50 for instance, the result and its gradient should be finite."""
    observe("GELU of ±12 and ±50", subject.GELU()(torch.tensor([-50.0, -12.0, 12.0, 50.0])))


def test_gradient_passes_through_gelu(subject, draw, observe):
    """Far from 0, at ±50 for instance, the result and its gradient should be finite."""
    x = torch.linspace(-4, 4, 81, requires_grad=True)
    subject.GELU()(x).sum().backward()
    observe("slope of GELU from -4 to 4", x.grad)
    x = torch.tensor([-50.0, -12.0, 12.0, 50.0], requires_grad=True)
    subject.GELU()(x).sum().backward()
    observe("slope of GELU at ±12 and ±50", x.grad)


def test_gradients_pass_through_feed_forward(subject, draw, observe):
    """Gradients must reach every float input."""
    feed_forward = subject.FeedForward(config(emb_dim=6))
    draw.fill(feed_forward)
    x = draw.normal(2, 5, 6).requires_grad_(True)
    (feed_forward(x) * draw.normal(2, 5, 6)).sum().backward()
    observe("gradient of x", x.grad, tolerance=1e-4)
    observe("gradients of the parameters", gradients(feed_forward), tolerance=1e-4)


def test_gradients_reach_all_of_the_block(subject, draw, observe):
    """Gradients must reach every float input."""
    block = subject.TransformerBlock(config(qkv_bias=True))
    draw.fill(block, SCALE)
    x = draw.normal(2, 7, 12).requires_grad_(True)
    (block(x) * draw.normal(2, 7, 12)).sum().backward()
    observe("gradient of x", x.grad, tolerance=1e-4)
    observe("gradients of the parameters", gradients(block), tolerance=1e-4)


def test_block_keeps_double_precision(subject, draw, observe):
    """A result must have its inputs' dtype."""
    block = subject.TransformerBlock(config()).double()
    draw.fill(block, SCALE)
    observe("result for a float64 tensor", block(draw.normal(2, 7, 12).double()), tolerance=1e-6)


def test_block_refuses_too_many_tokens(subject, draw, observe):
    """ValueError: T is larger than context_length. MultiHeadAttention raises it; let it pass."""
    block = subject.TransformerBlock(config(context_length=5))
    draw.fill(block, SCALE)
    observe("5 tokens", block(draw.normal(2, 5, 12)), tolerance=1e-4)
    observe.outcome("8 tokens", block, draw.normal(2, 8, 12), mentions=("8", "5"))


def test_block_drops_nothing_in_evaluation_mode(subject, draw, observe):
    """Dropout acts in training mode only, on each number by itself."""
    block = subject.TransformerBlock(config(drop_rate=0.5)).eval()
    draw.fill(block, SCALE)
    x = draw.normal(2, 7, 12)
    observe("result", block(x), tolerance=1e-4)
    observe("once more", block(x), tolerance=1e-4)


def test_each_number_is_dropped_on_its_own(subject, draw, observe):
    """Dropout acts in training mode only, on each number by itself."""
    # The attention adds 1 to every number and the feed-forward 10, so the sum says what was dropped.
    rate = 0.3
    block = subject.TransformerBlock(config(emb_dim=48, context_length=32, drop_rate=rate))
    draw.fill(block, SCALE)
    silence(block.att.out_proj, 1.0)
    silence(block.ff.layers[2], 10.0)
    first, second = (block(torch.zeros(2, 32, 48)) * (1 - rate) for _ in range(2))
    for added in (0, 1, 10, 11):
        share = (first.round() == added).float().mean()
        observe(f"share of the numbers to which {added} / (1 - drop_rate) was added", share, tolerance=0.1)
    kept, kept_again = (result.round() % 10 for result in (first, second))
    observe("share of the numbers kept in both sequences, attention", kept.prod(dim=0).mean(), tolerance=0.1)
    observe("share of the numbers kept in two calls, attention", (kept * kept_again).mean(), tolerance=0.1)
