"""The reference of ex08 against torch's and transformers' layers, which we did not write: values and gradients."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2Config
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP, GPT2Block

from solutions import ex08_block as ours

WIDTH, HEADS, CONTEXT = 24, 3, 16


def config(drop_rate: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(emb_dim=WIDTH, context_length=CONTEXT, n_heads=HEADS, drop_rate=drop_rate, qkv_bias=True)


def gpt2_config() -> GPT2Config:
    rates = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
    sizes = {"n_embd": WIDTH, "n_head": HEADS, "n_positions": CONTEXT, "n_layer": 1}
    return GPT2Config(**sizes, **rates, attn_implementation="eager")


def fill(module: nn.Module, seed: int) -> None:
    """No weight stays as it was initialised: at that size many mistakes would not show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            centre = 1.0 if name.endswith("scale") else 0.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3 + centre)


def assert_same_with_gradients(mine: Tensor, theirs: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> None:
    """`pairs` are our tensor and theirs, transposed already where theirs is."""
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    upstream = torch.randn(mine.shape, generator=torch.Generator().manual_seed(7), dtype=mine.dtype)
    mine.backward(upstream)
    theirs.backward(upstream)
    for one, other in pairs:
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


def copy_norm(mine: ours.LayerNorm, theirs: nn.LayerNorm) -> None:
    with torch.no_grad():
        theirs.weight.copy_(mine.scale)
        theirs.bias.copy_(mine.shift)


def copy_feed_forward(mine: ours.FeedForward, theirs: GPT2MLP) -> None:
    """transformers' Conv1D keeps its weights as (in, out), nn.Linear as (out, in)."""
    with torch.no_grad():
        for linear, conv in ((mine.layers[0], theirs.c_fc), (mine.layers[2], theirs.c_proj)):
            conv.weight.copy_(linear.weight.T)
            conv.bias.copy_(linear.bias)


def copy_block(mine: ours.TransformerBlock, theirs: GPT2Block) -> None:
    copy_norm(mine.norm1, theirs.ln_1)
    copy_norm(mine.norm2, theirs.ln_2)
    copy_feed_forward(mine.ff, theirs.mlp)
    projections = (mine.att.W_query, mine.att.W_key, mine.att.W_value)
    with torch.no_grad():
        theirs.attn.c_attn.weight.copy_(torch.cat([linear.weight.T for linear in projections], dim=1))
        theirs.attn.c_attn.bias.copy_(torch.cat([linear.bias for linear in projections]))
        theirs.attn.c_proj.weight.copy_(mine.att.out_proj.weight.T)
        theirs.attn.c_proj.bias.copy_(mine.att.out_proj.bias)


def inputs(seed: int, *shape: int, scale: float = 1.0, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale + shift
    return x.clone().requires_grad_(), x.clone().requires_grad_()


@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, 0.0), (5.0, -2.0), (1e-3, 0.0), (1e-3, 1e-2), (0.0, 1.5), (100.0, 0.0)]
)
@pytest.mark.parametrize("seed", range(3))
def test_layer_norm_equals_torchs(seed: int, scale: float, shift: float) -> None:
    mine, theirs = ours.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
    fill(mine, seed)
    copy_norm(mine, theirs)
    x, same = inputs(seed, 2, 7, WIDTH, scale=scale, shift=shift)
    out, expected = mine(x), theirs(same)
    assert_same_with_gradients(out, expected, [(mine.scale, theirs.weight), (mine.shift, theirs.bias)])
    torch.testing.assert_close(x.grad, same.grad, atol=1e-4, rtol=1e-3)


def test_a_fresh_layer_norm_is_torchs() -> None:
    x = torch.randn(2, 7, WIDTH, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(ours.LayerNorm(WIDTH)(x), F.layer_norm(x, (WIDTH,)), atol=1e-6, rtol=1e-5)
    assert ours.LayerNorm(WIDTH).eps == nn.LayerNorm(WIDTH).eps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gelu_equals_torchs(dtype: torch.dtype) -> None:
    x = torch.linspace(-9, 9, 3601, dtype=dtype, requires_grad=True)
    same = x.detach().clone().requires_grad_()
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    mine, theirs = ours.GELU()(x), nn.GELU(approximate="tanh")(same)
    torch.testing.assert_close(mine, theirs, atol=tolerance, rtol=tolerance)
    mine.sum().backward()
    theirs.sum().backward()
    torch.testing.assert_close(x.grad, same.grad, atol=10 * tolerance, rtol=10 * tolerance)
    assert (mine - F.gelu(x)).abs().max() > 4e-4  # and is not the exact one


@pytest.mark.parametrize("seed", range(5))
def test_feed_forward_equals_transformers(seed: int) -> None:
    mine, theirs = ours.FeedForward(config()), GPT2MLP(4 * WIDTH, gpt2_config())
    fill(mine, seed)
    copy_feed_forward(mine, theirs)
    x, same = inputs(seed, 2, 7, WIDTH)
    out, expected = mine(x), theirs(same)
    assert_same_with_gradients(out, expected, [(x, same), (mine.layers[0].bias, theirs.c_fc.bias)])
    for linear, conv in ((mine.layers[0], theirs.c_fc), (mine.layers[2], theirs.c_proj)):
        torch.testing.assert_close(linear.weight.grad, conv.weight.grad.T, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 7, CONTEXT])
@pytest.mark.parametrize("seed", range(4))
def test_block_equals_transformers(seed: int, length: int) -> None:
    mine, theirs = ours.TransformerBlock(config()), GPT2Block(gpt2_config(), layer_idx=0)
    fill(mine, seed)
    copy_block(mine, theirs)
    x, same = inputs(seed, 2, length, WIDTH)
    hidden = theirs_of(theirs, same)
    assert_same_with_gradients(
        mine(x),
        hidden,
        [
            (x, same),
            (mine.norm1.scale, theirs.ln_1.weight),
            (mine.norm1.shift, theirs.ln_1.bias),
            (mine.norm2.scale, theirs.ln_2.weight),
            (mine.norm2.shift, theirs.ln_2.bias),
            (mine.att.out_proj.bias, theirs.attn.c_proj.bias),
            (mine.ff.layers[0].bias, theirs.mlp.c_fc.bias),
            (mine.ff.layers[2].bias, theirs.mlp.c_proj.bias),
        ],
    )
    projections = (mine.att.W_query, mine.att.W_key, mine.att.W_value)
    joined = torch.cat([linear.weight.grad.T for linear in projections], dim=1)
    torch.testing.assert_close(joined, theirs.attn.c_attn.weight.grad, atol=1e-4, rtol=1e-4)


def theirs_of(block: GPT2Block, x: Tensor) -> Tensor:
    """What their block makes of x. Whoever calls it hands it the causal mask: 0 is seen, −∞ is not."""
    length = x.shape[1]
    mask = torch.full((length, length), -torch.inf).triu(diagonal=1)[None, None]
    out = block(x, attention_mask=mask)
    return out[0] if isinstance(out, tuple) else out


@pytest.mark.parametrize("seed", range(3))
def test_block_equals_torchs_encoder_layer(seed: int) -> None:
    """torch calls it an encoder layer; with norm_first, tanh GELU and a causal mask it is GPT-2's block."""
    mine = ours.TransformerBlock(config())
    fill(mine, seed)
    gelu = nn.GELU(approximate="tanh")
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, gelu, norm_first=True, batch_first=True)
    copy_norm(mine.norm1, theirs.norm1)
    copy_norm(mine.norm2, theirs.norm2)
    projections = (mine.att.W_query, mine.att.W_key, mine.att.W_value)
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([linear.weight for linear in projections]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([linear.bias for linear in projections]))
    theirs.self_attn.out_proj.load_state_dict(mine.att.out_proj.state_dict())
    theirs.linear1.load_state_dict(mine.ff.layers[0].state_dict())
    theirs.linear2.load_state_dict(mine.ff.layers[2].state_dict())
    x, same = inputs(seed, 2, 7, WIDTH)
    mask = nn.Transformer.generate_square_subsequent_mask(7)
    pairs = [
        (x, same),
        (mine.ff.layers[0].weight, theirs.linear1.weight),
        (mine.att.out_proj.weight, theirs.self_attn.out_proj.weight),
    ]
    assert_same_with_gradients(mine(x), theirs(same, src_mask=mask, is_causal=True), pairs)


def test_dropout_halves_the_numbers_and_keeps_their_mean() -> None:
    torch.manual_seed(5)
    mine = ours.TransformerBlock(config(drop_rate=0.5))
    fill(mine, 1)
    with torch.no_grad():
        mine.ff.layers[2].weight.zero_()
        mine.ff.layers[2].bias.zero_()
        x = torch.randn(1, 5, WIDTH)
        added = mine.eval()(x) - x
        mine.train().att.eval()
        runs = mine(x.expand(4000, 5, WIDTH)) - x
    assert ((runs == 0).float().mean() - 0.5).abs() < 0.01
    torch.testing.assert_close(runs.mean(dim=0), added[0], atol=0.1, rtol=0.1)
