"""The reference of ex06 against torch's own attention, which we did not write: values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from solutions import ex06_attention as ours


def inputs(seed: int, *, queries: int = 5, keys: int = 7, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((2, 3, queries, 8), (2, 3, keys, 8), (2, 3, keys, 12))
    return [torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def assert_same_with_gradients(mine: Tensor, theirs: Tensor, tensors: list[Tensor]) -> None:
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    upstream = torch.randn(mine.shape, generator=torch.Generator().manual_seed(7), dtype=mine.dtype)
    for one, other in zip(
        torch.autograd.grad(mine, tensors, upstream), torch.autograd.grad(theirs, tensors, upstream), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(10))
def test_attention_equals_torchs(seed: int, dtype: torch.dtype) -> None:
    query, key, value = tensors = inputs(seed, dtype=dtype)
    mine = ours.scaled_dot_product_attention(query, key, value)
    assert_same_with_gradients(mine, F.scaled_dot_product_attention(query, key, value), tensors)


@pytest.mark.parametrize("seed", range(10))
def test_masked_attention_equals_torchs(seed: int) -> None:
    query, key, value = tensors = inputs(seed)
    hidden = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(seed)) < 0.5
    hidden[..., 2] = False  # no row is hidden entirely
    mine = ours.scaled_dot_product_attention(query, key, value, hidden)
    theirs = F.scaled_dot_product_attention(query, key, value, attn_mask=~hidden)  # True takes part, for torch
    assert_same_with_gradients(mine, theirs, tensors)


@pytest.mark.parametrize("length", [1, 2, 7, 33])
def test_causal_attention_equals_torchs(length: int) -> None:
    query, key, value = tensors = inputs(length, queries=length, keys=length)
    mine = ours.scaled_dot_product_attention(query, key, value, ours.causal_mask(length))
    theirs = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert_same_with_gradients(mine, theirs, tensors)


def test_the_mask_is_torchs() -> None:
    for length in (1, 2, 9):
        theirs = nn.Transformer.generate_square_subsequent_mask(length)
        assert torch.equal(ours.causal_mask(length), torch.isinf(theirs))


@pytest.mark.parametrize("bias", [False, True])
def test_causal_attention_equals_torchs_multihead_with_one_head(bias: bool) -> None:
    torch.manual_seed(17)
    width, length = 12, 7
    mine = ours.CausalAttention(width, width, context_length=9, dropout=0.0, qkv_bias=bias)
    theirs = nn.MultiheadAttention(width, num_heads=1, bias=bias, batch_first=True)
    with torch.no_grad():
        projections = (mine.W_query, mine.W_key, mine.W_value)
        theirs.in_proj_weight.copy_(torch.cat([projection.weight for projection in projections]))
        theirs.out_proj.weight.copy_(torch.eye(width))
        if bias:
            theirs.in_proj_bias.copy_(torch.cat([projection.bias for projection in projections]))
            theirs.out_proj.bias.zero_()
    x = torch.randn(2, length, width)
    expected, _ = theirs(x, x, x, attn_mask=ours.causal_mask(length), need_weights=False)
    torch.testing.assert_close(mine(x), expected, atol=1e-5, rtol=1e-5)
    plain = ours.SelfAttention(width, width, qkv_bias=bias)
    plain.load_state_dict({name: value for name, value in mine.state_dict().items() if name != "mask"})
    torch.testing.assert_close(plain(x), theirs(x, x, x, need_weights=False)[0], atol=1e-5, rtol=1e-5)
