"""The reference of ex05 against torch's nn.Embedding and transformers' GPT-2, which we did not write."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2Model

from solutions import ex05_embeddings as ours


def draw_ids(seed: int, *shape: int, high: int) -> Tensor:
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


def assert_same_gradients(
    mine: Tensor, theirs: Tensor, my_tables: list[Tensor], their_tables: list[Tensor]
) -> None:
    upstream = torch.randn(mine.shape, generator=torch.Generator().manual_seed(7), dtype=mine.dtype)
    for one, other in zip(
        torch.autograd.grad(mine, my_tables, upstream),
        torch.autograd.grad(theirs, their_tables, upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (7,), (2, 7), (2, 3, 5), (64, 9)])
def test_token_embedding_equals_torchs(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(17)
    mine, theirs = ours.TokenEmbedding(11, 6).to(dtype), nn.Embedding(11, 6, dtype=dtype)
    theirs.load_state_dict(mine.state_dict())
    ids = draw_ids(3, *shape, high=11)
    assert torch.equal(mine(ids), theirs(ids))
    assert_same_gradients(mine(ids), theirs(ids), [mine.weight], [theirs.weight])


@pytest.mark.parametrize(("batch", "length"), [(2, 7), (3, 5), (4, 1), (2, 8), (9, 8)])
def test_positional_embedding_equals_torchs(batch: int, length: int) -> None:
    torch.manual_seed(17)
    mine, theirs = ours.PositionalEmbedding(8, 6), nn.Embedding(8, 6)
    theirs.load_state_dict(mine.state_dict())
    ids = draw_ids(3, batch, length, high=50)
    assert torch.equal(mine(ids), theirs(torch.arange(length)))
    assert_same_gradients(mine(ids), theirs(torch.arange(length)), [mine.weight], [theirs.weight])


def gpt2(dropout: float = 0.0) -> GPT2Model:
    """A GPT-2 without a single block and without its last normalisation: what is left is the embedding."""
    torch.manual_seed(23)
    config = GPT2Config(vocab_size=53, n_positions=16, n_embd=12, n_layer=0, n_head=3, embd_pdrop=dropout)
    model = GPT2Model(config)
    model.ln_f = nn.Identity()
    return model


def with_weights_of(model: GPT2Model, dropout: float = 0.0) -> ours.GPTEmbedding:
    mine = ours.GPTEmbedding(53, 16, 12, dropout)
    with torch.no_grad():
        mine.tok_emb.weight.copy_(model.wte.weight)
        mine.pos_emb.weight.copy_(model.wpe.weight)
    return mine


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 7), (3, 16), (20, 5)])
def test_gpt_embedding_equals_transformers(batch: int, length: int, seed: int) -> None:
    theirs = gpt2().eval()
    mine = with_weights_of(theirs).eval()
    ids = draw_ids(seed, batch, length, high=53)
    expected = theirs(ids).last_hidden_state
    torch.testing.assert_close(mine(ids), expected, atol=1e-7, rtol=1e-6)
    tables = [mine.tok_emb.weight, mine.pos_emb.weight]
    assert_same_gradients(mine(ids), expected, tables, [theirs.wte.weight, theirs.wpe.weight])


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_dropout_equals_transformers_from_the_same_random_state(probability: float) -> None:
    theirs = gpt2(probability).train()
    mine = with_weights_of(theirs, probability).train()
    ids = draw_ids(1, 4, 9, high=53)
    torch.manual_seed(5)
    expected = theirs(ids).last_hidden_state
    torch.manual_seed(5)
    found = mine(ids)
    assert (found == 0).any()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_one_token_more_than_the_context_is_refused() -> None:
    mine = ours.GPTEmbedding(53, 16, 12, 0.0)
    assert mine(draw_ids(1, 2, 16, high=53)).shape == (2, 16, 12)
    with pytest.raises(ValueError, match=r"17.*16"):
        mine(draw_ids(1, 2, 17, high=53))
