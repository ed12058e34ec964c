"""The reference of ex09 against transformers' GPT-2, which we did not write: values, gradients, counts, spread."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from solutions import ex09_gpt as ours

SIZES = {"vocab_size": 61, "context_length": 16, "emb_dim": 24, "n_heads": 3, "n_layers": 3}
# emb_dim, n_heads, n_layers: https://huggingface.co/openai-community (gpt2, gpt2-medium, gpt2-large, gpt2-xl)
GPT2_FAMILY = {"small": (768, 12, 12), "medium": (1024, 16, 24), "large": (1280, 20, 36), "xl": (1600, 25, 48)}


def theirs_for(cfg: ours.GPTConfig, tie: bool) -> GPT2LMHeadModel:
    rates = {"attn_pdrop": cfg.drop_rate, "resid_pdrop": cfg.drop_rate, "embd_pdrop": cfg.drop_rate}
    sizes = {
        "vocab_size": cfg.vocab_size,
        "n_positions": cfg.context_length,
        "n_embd": cfg.emb_dim,
        "n_head": cfg.n_heads,
        "n_layer": cfg.n_layers,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    return GPT2LMHeadModel(GPT2Config(**sizes, **rates, tie_word_embeddings=tie, attn_implementation="eager"))


def fill(module: nn.Module, seed: int) -> None:
    """No weight stays as it was initialised: at that size many mistakes would not show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            centre = 1.0 if name.endswith("scale") else 0.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2 + centre)


def as_gpt2(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors (weights or gradients) under transformers' names; its Conv1D keeps weights as (in, out)."""
    found = {
        "transformer.wte.weight": tensors["embedding.tok_emb.weight"],
        "transformer.wpe.weight": tensors["embedding.pos_emb.weight"],
        "transformer.ln_f.weight": tensors["final_norm.scale"],
        "transformer.ln_f.bias": tensors["final_norm.shift"],
        "lm_head.weight": tensors["out_head.weight"],
    }
    for layer in range(SIZES["n_layers"]):
        mine, theirs = f"trf_blocks.{layer}.", f"transformer.h.{layer}."
        for norm, ln in (("norm1", "ln_1"), ("norm2", "ln_2")):
            found[f"{theirs}{ln}.weight"] = tensors[f"{mine}{norm}.scale"]
            found[f"{theirs}{ln}.bias"] = tensors[f"{mine}{norm}.shift"]
        projections = [f"{mine}att.W_{what}" for what in ("query", "key", "value")]
        found[f"{theirs}attn.c_attn.weight"] = torch.cat(
            [tensors[f"{name}.weight"].T for name in projections], dim=1
        )
        found[f"{theirs}attn.c_attn.bias"] = torch.cat([tensors[f"{name}.bias"] for name in projections])
        linears = (("att.out_proj", "attn.c_proj"), ("ff.layers.0", "mlp.c_fc"), ("ff.layers.2", "mlp.c_proj"))
        for linear, conv in linears:
            found[f"{theirs}{conv}.weight"] = tensors[f"{mine}{linear}.weight"].T
            found[f"{theirs}{conv}.bias"] = tensors[f"{mine}{linear}.bias"]
    return found


def named(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters(remove_duplicate=False))


def pair(seed: int, tie: bool) -> tuple[ours.GPTModel, GPT2LMHeadModel]:
    cfg = ours.GPTConfig(**SIZES, drop_rate=0.0, qkv_bias=True)
    mine, theirs = ours.GPTModel(cfg, tie_weights=tie), theirs_for(cfg, tie)
    fill(mine, seed)
    weights = as_gpt2(named(mine))
    assert set(weights) == set(named(theirs))
    with torch.no_grad():
        for name, parameter in named(theirs).items():
            parameter.copy_(weights[name])
    return mine, theirs


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("length", [1, 7, 16])
@pytest.mark.parametrize("seed", range(3))
def test_logits_and_gradients_equal_transformers(seed: int, length: int, tie: bool) -> None:
    mine, theirs = pair(seed, tie)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(SIZES["vocab_size"], (2, length), generator=generator)
    logits, expected = mine(ids), theirs(ids).logits
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    upstream = torch.randn(logits.shape, generator=generator)
    logits.backward(upstream)
    expected.backward(upstream)
    gradients = as_gpt2({name: parameter.grad for name, parameter in named(mine).items()})
    expected_gradients = {name: parameter.grad for name, parameter in named(theirs).items()}
    torch.testing.assert_close(gradients, expected_gradients, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tie", [True, False])
def test_both_learn_alike(tie: bool) -> None:
    """Five steps of plain gradient descent: a tie that comes undone would show from the first on."""
    mine, theirs = pair(5, tie)
    generator = torch.Generator().manual_seed(5)
    for _ in range(5):
        ids = torch.randint(SIZES["vocab_size"], (3, 9), generator=generator)
        losses = []
        for model in (mine, theirs):
            out = model(ids)
            logits = out if isinstance(out, Tensor) else out.logits
            loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
            model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.05 * parameter.grad
            losses.append(loss)
        torch.testing.assert_close(losses[0], losses[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(as_gpt2(named(mine)), named(theirs), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("name", GPT2_FAMILY)
def test_counts_equal_transformers(name: str, tie: bool) -> None:
    emb_dim, n_heads, n_layers = GPT2_FAMILY[name]
    cfg = ours.GPTConfig(emb_dim=emb_dim, n_heads=n_heads, n_layers=n_layers, qkv_bias=True)
    with torch.device("meta"):
        mine, theirs = ours.GPTModel(cfg, tie_weights=tie), theirs_for(cfg, tie)
    theirs.tie_weights()
    expected = sum({id(parameter): parameter.numel() for parameter in theirs.parameters()}.values())
    assert ours.count_parameters(mine) == expected


def test_counts_of_the_lesson() -> None:
    with torch.device("meta"):
        tied = ours.GPTModel(ours.GPTConfig(qkv_bias=True))
        untied = ours.GPTModel(ours.GPTConfig(qkv_bias=True), tie_weights=False)
    assert ours.count_parameters(tied) == 124_439_808
    assert ours.count_parameters(untied) == 163_037_184
    assert ours.count_parameters(tied.trf_blocks[0].att) == 2_362_368
    assert ours.count_parameters(tied.trf_blocks[0].ff) == 4_722_432
    assert ours.count_parameters(tied.trf_blocks[0]) == 7_087_872


def test_initial_weights_spread_as_transformers_do() -> None:
    torch.manual_seed(17)
    cfg = ours.GPTConfig(vocab_size=700, context_length=300, emb_dim=96, n_heads=4, n_layers=3, qkv_bias=True)
    mine, theirs = as_gpt2(named(ours.GPTModel(cfg))), named(theirs_for(cfg, tie=True))
    for name, value in theirs.items():
        if value.dim() == 2:
            assert mine[name].std().item() == pytest.approx(value.std().item(), rel=0.05), name
            assert abs(mine[name].mean().item()) < 0.002, name
        else:
            torch.testing.assert_close(mine[name], value)


def test_an_untrained_gpt2_is_undecided() -> None:
    """With weights this small every token is about as likely as any other: the loss is near ln V."""
    torch.manual_seed(3)
    cfg = ours.GPTConfig(vocab_size=1000, context_length=32, emb_dim=96, n_heads=4, n_layers=4)
    ids = torch.randint(1000, (8, 32))
    for tie in (True, False):
        logits = ours.GPTModel(cfg, tie_weights=tie).eval()(ids)
        loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        assert loss.item() == pytest.approx(6.9078, abs=0.1)
