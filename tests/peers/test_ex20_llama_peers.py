"""The reference of ex20 against transformers' Llama, torch's RMSNorm and the formulas in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import (
    LlamaMLP,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
)

from solutions import ex20_llama as ours
from solutions.ex07_multihead import split_heads
from solutions.ex10_generate import generate
from solutions.ex19_kv_cache import generate_cached

# emb_dim, n_heads, n_kv_groups, n_layers, hidden_dim, rope_base, norm_eps
SHAPES = {
    "a group for three heads": (24, 6, 2, 2, 40, 10000.0, 1e-5),
    "a group for each head": (32, 4, 4, 3, 20, 500000.0, 1e-6),
    "one group for all": (40, 5, 1, 1, 64, 100.0, 0.01),
}


def config(shape: str, tie: bool) -> ours.LlamaConfig:
    width, heads, groups, layers, hidden, base, eps = SHAPES[shape]
    return ours.LlamaConfig(61, 64, width, heads, groups, layers, hidden, base, eps, tie)


def theirs_for(cfg: ours.LlamaConfig) -> LlamaForCausalLM:
    sizes = {
        "vocab_size": cfg.vocab_size,
        "max_position_embeddings": cfg.context_length,
        "hidden_size": cfg.emb_dim,
        "num_attention_heads": cfg.n_heads,
        "num_key_value_heads": cfg.n_kv_groups,
        "num_hidden_layers": cfg.n_layers,
        "intermediate_size": cfg.hidden_dim,
        "rms_norm_eps": cfg.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": cfg.rope_base},
        "tie_word_embeddings": cfg.tie_weights,
        "bos_token_id": None,
        "eos_token_id": None,
        "attn_implementation": "eager",
    }
    return LlamaForCausalLM(LlamaConfig(**sizes)).eval()


def fill(module: nn.Module, seed: int) -> None:
    """No weight stays as it was initialised: at that size many mistakes would not show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3 + (parameter.dim() == 1))


def as_llama(tensors: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Our tensors (weights or gradients) under transformers' names."""
    found = {
        "model.embed_tokens.weight": tensors["tok_emb.weight"],
        "model.norm.weight": tensors["final_norm.weight"],
        "lm_head.weight": tensors["out_head.weight"],
    }
    names = {
        "norm1": "input_layernorm",
        "norm2": "post_attention_layernorm",
        "att.W_query": "self_attn.q_proj",
        "att.W_key": "self_attn.k_proj",
        "att.W_value": "self_attn.v_proj",
        "att.out_proj": "self_attn.o_proj",
        "ff.fc1": "mlp.gate_proj",
        "ff.fc2": "mlp.up_proj",
        "ff.fc3": "mlp.down_proj",
    }
    for number in range(layers):
        for mine, theirs in names.items():
            found[f"model.layers.{number}.{theirs}.weight"] = tensors[f"trf_blocks.{number}.{mine}.weight"]
    return found


def named(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters(remove_duplicate=False))


def pair(seed: int, shape: str, tie: bool) -> tuple[ours.LlamaModel, LlamaForCausalLM]:
    cfg = config(shape, tie)
    mine, theirs = ours.LlamaModel(cfg), theirs_for(cfg)
    fill(mine, seed)
    weights = as_llama(named(mine), cfg.n_layers)
    assert set(weights) == set(named(theirs))
    with torch.no_grad():
        for name, parameter in named(theirs).items():
            parameter.copy_(weights[name])
    return mine, theirs


def some_ids(seed: int, batch: int, length: int) -> Tensor:
    return torch.randint(61, (batch, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_logits_and_gradients_equal_transformers(seed: int, shape: str, tie: bool) -> None:
    mine, theirs = pair(seed, shape, tie)
    for length in (1, 7, 64):
        ids = some_ids(seed, 2, length)
        logits, expected = mine(ids), theirs(ids, use_cache=False).logits
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    upstream = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed)) / 100
    logits.backward(upstream)
    expected.backward(upstream)
    gradients = as_llama({name: value.grad for name, value in named(mine).items()}, mine.cfg.n_layers)
    expected_gradients = {name: value.grad for name, value in named(theirs).items()}
    torch.testing.assert_close(gradients, expected_gradients, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_with_caches_equal_transformers(shape: str, tie: bool) -> None:
    mine, theirs = pair(5, shape, tie)
    caches, past = mine.new_caches(), None
    with torch.no_grad():
        for ids in some_ids(5, 2, 64).split((9, 1, 1, 20, 33), dim=1):
            out = theirs(ids, past_key_values=past, use_cache=True)
            past = out.past_key_values
            torch.testing.assert_close(mine(ids, caches), out.logits, atol=1e-4, rtol=1e-4)
    # What is stored is the same too: rotated keys, one for each group.
    nothing = torch.empty(2, mine.cfg.n_kv_groups, 0, mine.cfg.emb_dim // mine.cfg.n_heads)
    stored = past.layers[0].keys, past.layers[0].values
    torch.testing.assert_close(caches[0].append(nothing, nothing), stored, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_of_any_length_equal_the_whole(shape: str) -> None:
    generator = torch.Generator().manual_seed(11)
    model = ours.LlamaModel(config(shape, False))
    for seed in range(10):
        fill(model, seed)
        ids, caches, done, found = some_ids(seed, 2, 30), model.new_caches(), 0, []
        with torch.no_grad():
            while done < 30:
                length = int(torch.randint(1, 12, (), generator=generator))
                found.append(model(ids[:, done : done + length], caches))
                done += length
            torch.testing.assert_close(torch.cat(found, dim=1), model(ids), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_both_loops_of_the_course_write_the_same_text(shape: str) -> None:
    model = ours.LlamaModel(config(shape, False))
    fill(model, 3)
    ids = some_ids(3, 2, 5)
    for settings in ({}, {"temperature": 1.5, "top_k": 20, "top_p": 0.9}):
        texts = []
        for write in (generate, generate_cached):
            place = (model.cfg.context_length,) if write is generate else ()
            texts.append(write(model, ids, 40, *place, **settings, generator=torch.Generator().manual_seed(7)))
        assert torch.equal(*texts)
        assert texts[0].shape == (2, 45)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_norm_equals_transformers_to_the_bit(dtype: torch.dtype) -> None:
    mine, theirs = ours.RMSNorm(24, 1e-5), LlamaRMSNorm(24, 1e-5)
    fill(mine, 1)
    theirs.weight.data.copy_(mine.weight.data)
    x = torch.randn(3, 7, 24, generator=torch.Generator().manual_seed(1)) * 100 + 200
    assert torch.equal(mine.to(dtype)(x.to(dtype)), theirs.to(dtype)(x.to(dtype)))


def test_norm_equals_torchs() -> None:
    mine, theirs = ours.RMSNorm(24, 0.01), nn.RMSNorm(24, 0.01)
    fill(mine, 1)
    theirs.weight.data.copy_(mine.weight.data)
    x = torch.randn(3, 7, 24, generator=torch.Generator().manual_seed(1)) + 0.5
    torch.testing.assert_close(mine(x), theirs(x), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("base", [10000.0, 500000.0, 10.0])
@pytest.mark.parametrize("start", [0, 1, 500])
def test_rope_equals_transformers(start: int, base: float) -> None:
    cfg = LlamaConfig(
        hidden_size=48,
        num_attention_heads=6,
        max_position_embeddings=600,
        rope_parameters={"rope_type": "default", "rope_theta": base},
    )
    query, key = torch.randn(2, 2, 6, 80, 8, generator=torch.Generator().manual_seed(2))
    places = torch.arange(start, start + 80)[None].expand(2, -1)
    expected = apply_rotary_pos_emb(query, key, *LlamaRotaryEmbedding(cfg)(query, places))
    rope = ours.RoPE(8, 600, base)
    torch.testing.assert_close((rope(query, start), rope(key, start)), expected, atol=2e-4, rtol=1e-4)


def test_rope_equals_the_formula_in_double_precision() -> None:
    rope, x = ours.RoPE(6, 4000, 10000.0), torch.randn(1, 1, 50, 6, generator=torch.Generator().manual_seed(4))
    for start, tolerance in ((0, 1e-5), (3950, 1e-3)):
        found = rope(x, start)[0, 0]
        for t in range(50):
            for i in range(3):
                turn = complex(math.cos(angle := (start + t) * 10000.0 ** (-2 * i / 6)), math.sin(angle))
                arrow = complex(x[0, 0, t, i].item(), x[0, 0, t, i + 3].item()) * turn
                assert found[t, i].item() == pytest.approx(arrow.real, abs=tolerance)
                assert found[t, i + 3].item() == pytest.approx(arrow.imag, abs=tolerance)


def test_feed_forward_equals_transformers() -> None:
    mine = ours.SwiGLU(12, 20)
    fill(mine, 6)
    theirs = LlamaMLP(LlamaConfig(hidden_size=12, intermediate_size=20, num_attention_heads=2))
    for name, layer in (("gate_proj", mine.fc1), ("up_proj", mine.fc2), ("down_proj", mine.fc3)):
        getattr(theirs, name).weight.data.copy_(layer.weight.data)
    x = torch.randn(2, 7, 12, generator=torch.Generator().manual_seed(6))
    torch.testing.assert_close(mine(x), theirs(x), atol=1e-6, rtol=1e-6)


def interleaved(x: Tensor, base: float) -> Tensor:
    """The other convention, as in Meta's own code: neighbours are one complex number."""
    arrows = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    width, length = x.shape[-1], x.shape[-2]
    angles = torch.arange(length)[:, None] * base ** (-torch.arange(0, width, 2) / width)
    return torch.view_as_real(arrows * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


def test_reordered_rows_bring_weights_from_one_convention_to_the_other() -> None:
    """The formula of the lesson: every score stays what it was."""
    D, H, G, h = 24, 6, 2, 4
    generator = torch.Generator().manual_seed(8)
    W_query, W_key = (torch.randn(heads * h, D, generator=generator) for heads in (H, G))
    x, rope, scores = torch.randn(2, 30, D, generator=generator), ours.RoPE(h, 30, 10000.0), []
    for turn, reorder in ((lambda x: interleaved(x, 10000.0), False), (rope, True)):
        heads = []
        for weight, count in ((W_query, H), (W_key, G)):
            if reorder:
                weight = weight.view(count, h // 2, 2, D).transpose(1, 2).reshape(count * h, D)
            heads.append(turn(split_heads(x @ weight.T, count)))
        scores.append(heads[0] @ heads[1].repeat_interleave(H // G, dim=1).mT)
    torch.testing.assert_close(*scores, atol=1e-4, rtol=1e-4)
    # In the lesson's letters, for h = 6:
    rows = torch.arange(6).view(1, 3, 2, 1).transpose(1, 2).reshape(6)
    before, after = ["a0", "b0", "a1", "b1", "a2", "b2"], ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert [before[row] for row in rows] == after


def test_numbers_of_the_lesson() -> None:
    x = torch.tensor([[1.0, -1.0, 7.0, 7.0]])
    assert x.pow(2).mean().item() == 25
    torch.testing.assert_close(ours.RMSNorm(4, 1e-5)(x), torch.tensor([[0.2, -0.2, 1.4, 1.4]]))
    assert torch.finfo(torch.float16).max == 65504
    assert torch.tensor(300.0, dtype=torch.float16).square().isinf()
    turned = ours.RoPE(4, 8, 10000.0)(torch.tensor([[[[1.0, 0.0, 0.0, 1.0]]]]), start=3).flatten()
    torch.testing.assert_close(turned, torch.tensor([-0.990, -0.030, 0.141, 1.000]), atol=5e-4, rtol=0)
    silu = nn.functional.silu(torch.tensor([2.0, -2.0]))
    torch.testing.assert_close(silu, torch.tensor([1.762, -0.238]), atol=5e-4, rtol=0)
    assert (2 * silu[0]).item() == pytest.approx(3.523, abs=5e-4)
    rope, arrow = ours.RoPE(2, 2000, 10000.0), torch.tensor([[[[1.0, 0.0]]]])
    for query, key in ((7, 4), (1007, 1004)):
        assert (rope(arrow, query) * rope(arrow, key)).sum().item() == pytest.approx(-0.990, abs=1e-3)
