"""The reference of ex19: the cached model beside the plain one, beside transformers, and beside the formula."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from solutions.ex07_multihead import MultiHeadAttention
from solutions.ex09_gpt import GPTConfig, GPTModel, count_parameters
from solutions.ex10_generate import generate
from solutions.ex14_weights import load_gpt2
from solutions.ex19_kv_cache import CachedGPT, KVCache, cache_bytes, cached_attention, generate_cached


def random_model(seed: int) -> tuple[CachedGPT, random.Random]:
    """A small model of random sizes, far enough from its first weights for the texts not to be dull."""
    chance = random.Random(seed)
    torch.manual_seed(seed)
    heads = chance.randint(1, 4)
    cfg = GPTConfig(
        vocab_size=chance.randint(5, 40),
        context_length=chance.randint(4, 24),
        emb_dim=heads * chance.randint(2, 6),
        n_heads=heads,
        n_layers=chance.randint(1, 3),
        drop_rate=0.3,
        qkv_bias=chance.random() < 0.5,
    )
    gpt = GPTModel(cfg, tie_weights=chance.random() < 0.5)
    with torch.no_grad():
        for parameter in gpt.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return CachedGPT(gpt.eval()), chance


def random_chunks(chance: random.Random, length: int) -> list[int]:
    """Lengths of at least 1 that sum to `length`."""
    chunks = []
    while length > 0:
        chunks.append(chance.randint(1, length))
        length -= chunks[-1]
    return chunks


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_cached_equals_uncached_for_every_chunking(first: int) -> None:
    for seed in range(first, first + 20):
        model, chance = random_model(seed)
        length = chance.randint(1, model.cfg.context_length)
        ids = torch.randint(model.cfg.vocab_size, (chance.randint(1, 3), length))
        expected = model.gpt(ids)
        caches = model.new_caches()
        parts = [model(chunk, caches) for chunk in ids.split(random_chunks(chance, length), dim=1)]
        torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=1e-4, atol=1e-4)
        assert [cache.length for cache in caches] == [length] * model.cfg.n_layers


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_cached_text_equals_uncached_text(first: int) -> None:
    """In float64, so that no rounding decides between two tokens that are about as likely."""
    kinds = 0
    for seed in range(first, first + 20):
        model, chance = random_model(seed)
        model.double()
        cfg = model.cfg
        prompt = chance.randint(1, cfg.context_length - 1)
        new_tokens = cfg.context_length - prompt
        ids = torch.randint(cfg.vocab_size, (chance.randint(1, 3), prompt))
        settings = {
            "temperature": chance.choice([0.0, 0.8, 1.5]),
            "top_k": chance.choice([None, 3]),
            "top_p": chance.choice([None, 0.8]),
            "eos_id": chance.choice([None, 1]),
        }
        generators = [torch.Generator().manual_seed(seed) for _ in range(3)]
        text = generate_cached(model, ids, new_tokens, **settings, generator=generators[0])
        for plain, generator in zip((model.gpt, model), generators[1:], strict=True):
            expected = generate(plain, ids, new_tokens, cfg.context_length, **settings, generator=generator)
            assert torch.equal(text, expected)
            assert torch.equal(generators[0].get_state(), generator.get_state())
        kinds += len(text.unique()) > 2
    assert kinds > 10  # the texts say something


def gpt2_pair(seed: int) -> tuple[CachedGPT, GPT2LMHeadModel]:
    """One set of random weights, in transformers' model and in ours."""
    torch.manual_seed(seed)
    cfg = GPTConfig(vocab_size=37, context_length=24, emb_dim=24, n_heads=3, n_layers=2, qkv_bias=True)
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=cfg.vocab_size,
            n_positions=cfg.context_length,
            n_embd=cfg.emb_dim,
            n_layer=cfg.n_layers,
            n_head=cfg.n_heads,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    gpt = GPTModel(cfg)
    load_gpt2(gpt, theirs.state_dict())
    return CachedGPT(gpt.eval()), theirs


@pytest.mark.parametrize("seed", range(5))
def test_logits_equal_those_of_transformers_with_its_cache(seed: int) -> None:
    mine, theirs = gpt2_pair(seed)
    ids = torch.randint(37, (3, 24))
    caches, past = mine.new_caches(), None
    for chunk in ids.split([5, 1, 1, 7, 10], dim=1):
        answer = theirs(chunk, past_key_values=past, use_cache=True)
        past = answer.past_key_values
        torch.testing.assert_close(mine(chunk, caches), answer.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_text_equals_that_of_transformers_with_its_cache(seed: int) -> None:
    mine, theirs = gpt2_pair(seed)
    ids = torch.randint(37, (3, 5))
    mask = torch.ones_like(ids)
    expected = theirs.generate(
        ids, attention_mask=mask, max_new_tokens=19, do_sample=False, use_cache=True, pad_token_id=0
    )
    assert torch.equal(generate_cached(mine, ids, 19), expected)


def formula(attention: MultiHeadAttention, heads: int, x: Tensor) -> Tensor:
    """Attention over the whole text in float64, one query at a time."""
    batch, length, _ = x.shape
    x = x.double()
    query, key, value = (
        F.linear(x, layer.weight.double(), None if layer.bias is None else layer.bias.double()).view(
            batch, length, heads, -1
        )
        for layer in (attention.W_query, attention.W_key, attention.W_value)
    )
    rows = []
    for t in range(length):
        scores = torch.einsum("bhd,bshd->bhs", query[:, t], key[:, : t + 1]) / query.shape[-1] ** 0.5
        rows.append(torch.einsum("bhs,bshd->bhd", scores.softmax(-1), value[:, : t + 1]).flatten(1))
    return F.linear(torch.stack(rows, dim=1), attention.out_proj.weight.double(), attention.out_proj.bias.double())


@pytest.mark.parametrize("seed", range(10))
def test_attention_equals_the_formula(seed: int) -> None:
    chance = random.Random(seed)
    torch.manual_seed(seed)
    heads, length = chance.randint(1, 4), chance.randint(2, 12)
    attention = MultiHeadAttention(7, heads * 5, 12, 0.0, heads, qkv_bias=True)
    x, cache = torch.randn(2, length, 7) * 3, KVCache(12)
    chunks = x.split(random_chunks(chance, length), dim=1)
    parts = [cached_attention(attention, heads, chunk, cache) for chunk in chunks]
    torch.testing.assert_close(torch.cat(parts, dim=1), formula(attention, heads, x).float(), rtol=1e-4, atol=1e-5)


def test_the_lesson_on_torchs_is_causal() -> None:
    """With one query and many keys, torch's own attention shows key 0 and nothing else."""
    query, key, value = torch.randn(1, 1, 1, 4), torch.randn(1, 1, 5, 4), torch.randn(1, 1, 5, 4)
    found = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(found, value[:, :, :1])


def test_the_numbers_of_the_lesson() -> None:
    attention = MultiHeadAttention(1, 1, 2, 0.0, 1)
    with torch.no_grad():
        for name, value in attention.named_parameters():
            value.fill_(0.0 if name.endswith("bias") else 1.0)
    cache = KVCache(2)
    results = [cached_attention(attention, 1, torch.tensor([[[token]]]), cache).item() for token in (1.0, 2.0)]
    assert [round(result, 3) for result in results] == [1.0, 1.881]
    cfg = GPTConfig(qkv_bias=True)
    assert cache_bytes(cfg, 1, 1) == 73_728
    assert cache_bytes(cfg, 1, 1024) == 75_497_472 == 72 * 2**20
    with torch.device("meta"):
        weights = 4 * count_parameters(GPTModel(cfg))
    assert (weights, round(weights / 2**20)) == (497_759_232, 475)
    assert cache_bytes(cfg, 6, 1024) < weights < cache_bytes(cfg, 7, 1024)


def test_a_moved_window_has_other_keys() -> None:
    """Why the window cannot slide: without its first token, the text has other keys everywhere."""
    model, _ = random_model(3)
    ids = torch.randint(model.cfg.vocab_size, (1, 4))
    whole, moved = model.new_caches(), model.new_caches()
    model(ids[:, :3], whole)
    model(ids[:, 1:3], moved)
    x = torch.zeros(1, model.cfg.n_heads, 1, model.cfg.emb_dim // model.cfg.n_heads)
    for one, other in zip(whole, moved, strict=True):
        (key, value), (moved_key, moved_value) = one.append(x, x), other.append(x, x)
        assert (key[:, :, 1:3] - moved_key[:, :, :2]).abs().amax(dim=(0, 1, 3)).min() > 1e-3
        assert (value[:, :, 1:3] - moved_value[:, :, :2]).abs().amax(dim=(0, 1, 3)).min() > 1e-3
