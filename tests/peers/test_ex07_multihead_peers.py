"""The reference of ex07 against torch's attention and transformers' GPT-2: values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2Config
from transformers.models.gpt2.modeling_gpt2 import GPT2Attention

from solutions import ex07_multihead as ours


def gradients(result: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    upstream = torch.randn(result.shape, generator=torch.Generator().manual_seed(7), dtype=result.dtype)
    return torch.autograd.grad(result, tensors, upstream)


def assert_same(mine: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> None:
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


def projections(attention: ours.MultiHeadAttention) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of query, key and value, in this order: how torch and GPT-2 stack them."""
    layers = (attention.W_query, attention.W_key, attention.W_value)
    return [layer.weight for layer in layers], [layer.bias for layer in layers]


def randomised(
    d_in: int, d_out: int, heads: int, *, context: int = 9, bias: bool = False, dropout: float = 0.0
) -> ours.MultiHeadAttention:
    torch.manual_seed(17)
    attention = ours.MultiHeadAttention(d_in, d_out, context, dropout, heads, bias)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_(std=0.5)
    return attention


@pytest.mark.parametrize("heads", [1, 2, 3, 12])
@pytest.mark.parametrize("length", [1, 5, 9])
def test_equals_torchs_multihead_attention(length: int, heads: int) -> None:
    mine = randomised(12, 12, heads, bias=True)
    theirs = nn.MultiheadAttention(12, heads, bias=True, batch_first=True)
    weights, biases = projections(mine)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat(weights))
        theirs.in_proj_bias.copy_(torch.cat(biases))
        theirs.out_proj.load_state_dict(mine.out_proj.state_dict())
    x = torch.randn(2, length, 12, requires_grad=True)
    hidden = nn.Transformer.generate_square_subsequent_mask(length)
    expected, _ = theirs(x, x, x, attn_mask=hidden, need_weights=False)
    found = mine(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    of_x, of_out, of_out_bias, *of_qkv = gradients(
        found, x, mine.out_proj.weight, mine.out_proj.bias, *weights, *biases
    )
    out, qkv, qkv_bias = theirs.out_proj, theirs.in_proj_weight, theirs.in_proj_bias
    assert_same(
        (of_x, of_out, of_out_bias, torch.cat(of_qkv[:3]), torch.cat(of_qkv[3:])),
        gradients(expected, x, out.weight, out.bias, qkv, qkv_bias),
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("heads", [1, 3, 4, 12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_torchs_attention_head_by_head(dtype: torch.dtype, heads: int, bias: bool) -> None:
    mine = randomised(10, 12, heads, bias=bias).to(dtype)
    x = torch.randn(2, 7, 10, dtype=dtype, requires_grad=True)
    width = 12 // heads
    contexts = []
    for head in range(heads):
        piece = slice(head * width, (head + 1) * width)
        query, key, value = (
            F.linear(x, layer.weight[piece], layer.bias[piece] if bias else None)
            for layer in (mine.W_query, mine.W_key, mine.W_value)
        )
        contexts.append(F.scaled_dot_product_attention(query, key, value, is_causal=True))
    expected = F.linear(torch.cat(contexts, dim=-1), mine.out_proj.weight, mine.out_proj.bias)
    found = mine(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert_same(gradients(found, x, *mine.parameters()), gradients(expected, x, *mine.parameters()))


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 4, 9])
def test_equals_transformers_gpt2_attention(length: int, heads: int, implementation: str) -> None:
    mine = randomised(12, 12, heads, bias=True)
    config = GPT2Config(n_positions=9, n_embd=12, n_head=heads, attn_pdrop=0.0, resid_pdrop=0.0)
    config._attn_implementation = implementation
    theirs = GPT2Attention(config, layer_idx=0).eval()
    weights, biases = projections(mine)
    with torch.no_grad():  # GPT-2 keeps its matrices transposed
        theirs.c_attn.weight.copy_(torch.cat(weights).T)
        theirs.c_attn.bias.copy_(torch.cat(biases))
        theirs.c_proj.weight.copy_(mine.out_proj.weight.T)
        theirs.c_proj.bias.copy_(mine.out_proj.bias)
    x = torch.randn(2, length, 12, requires_grad=True)
    hidden = nn.Transformer.generate_square_subsequent_mask(length)[None, None]
    expected, _ = theirs(x, attention_mask=hidden)
    found = mine(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    of_x, of_out, of_out_bias, *of_qkv = gradients(
        found, x, mine.out_proj.weight, mine.out_proj.bias, *weights, *biases
    )
    out, qkv = theirs.c_proj, theirs.c_attn
    assert_same(
        (of_x, of_out.T, of_out_bias, torch.cat(of_qkv[:3]).T, torch.cat(of_qkv[3:])),
        gradients(expected, x, out.weight, out.bias, qkv.weight, qkv.bias),
    )


@pytest.mark.parametrize(("heads", "width"), [(3, 4), (4, 3), (1, 5), (5, 1)])
def test_split_and_merge_number_by_number(heads: int, width: int) -> None:
    x = torch.randn(2, 7, heads * width, generator=torch.Generator().manual_seed(3))
    split = ours.split_heads(x, heads)
    assert split.shape == (2, heads, 7, width)
    for batch in range(2):
        for head in range(heads):
            for token in range(7):
                for place in range(width):
                    expected = x[batch, token, head * width + place]
                    assert split[batch, head, token, place] == expected
    assert torch.equal(ours.merge_heads(split.contiguous()), x)


def test_dropout_equals_torchs_from_the_same_random_state() -> None:
    mine = randomised(10, 12, 3, dropout=0.5).train()
    x = torch.randn(2, 9, 10)
    query, key, value = (
        layer(x).unflatten(2, (3, 4)).movedim(2, 1) for layer in (mine.W_query, mine.W_key, mine.W_value)
    )
    hidden = torch.ones(9, 9).triu(1).bool()
    weights = (torch.einsum("bhqd,bhkd->bhqk", query, key) / 4**0.5).masked_fill(hidden, -torch.inf).softmax(-1)
    torch.manual_seed(5)
    context = torch.einsum("bhqk,bhkd->bqhd", F.dropout(weights, 0.5), value).flatten(2)
    torch.manual_seed(5)
    torch.testing.assert_close(mine(x), mine.out_proj(context), atol=1e-5, rtol=1e-5)


def test_a_saved_state_fits_a_longer_context() -> None:
    short, long = randomised(10, 12, 3, context=5), randomised(10, 12, 3, context=50)
    long.load_state_dict(short.state_dict())
    x = torch.randn(2, 5, 10)
    torch.testing.assert_close(long(x), short(x))
