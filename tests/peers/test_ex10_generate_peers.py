"""The reference of ex10 beside transformers: its filters, and whole texts by its `generate`, greedy and sampled."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from solutions import ex10_generate as ours

VOCAB_SIZE, CONTEXT, EOS = 37, 48, 11
NO_IDS = torch.empty(0, dtype=torch.int64)  # these filters do not look at them


class Logits(nn.Module):
    """transformers' model, called as ours are."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids, use_cache=False).logits


def tiny_gpt2(seed: int, scale: float = 0.5) -> GPT2LMHeadModel:
    """Random weights, far enough apart for the texts not to be dull."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=VOCAB_SIZE,
        n_positions=CONTEXT,
        n_embd=24,
        n_layer=2,
        n_head=3,
        bos_token_id=None,
        eos_token_id=None,
        attn_pdrop=0.3,
        resid_pdrop=0.3,
        embd_pdrop=0.3,
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=scale)
    return model.eval()


def prompts(seed: int, rows: int = 3, length: int = 5) -> Tensor:
    return torch.randint(VOCAB_SIZE, (rows, length), generator=torch.Generator().manual_seed(seed))


def their_text(model: GPT2LMHeadModel, ids: Tensor, new_tokens: int, **settings: object) -> Tensor:
    settings = {"do_sample": False, "pad_token_id": settings.get("eos_token_id", 0), **settings}
    if settings["do_sample"]:
        settings.setdefault("top_k", 0)  # theirs is 50 unless told otherwise
    return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, **settings)


def random_logits(seed: int, rows: int = 4, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, VOCAB_SIZE, generator=generator, dtype=dtype) * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(5))
def test_temperature_equals_transformers(seed: int, dtype: torch.dtype) -> None:
    logits = random_logits(seed, dtype=dtype)
    for temperature in (0.1, 0.7, 1.0, 2.5):
        theirs = TemperatureLogitsWarper(temperature)(NO_IDS, logits)
        torch.testing.assert_close(ours.apply_temperature(logits, temperature), theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(5))
def test_top_k_equals_transformers(seed: int, dtype: torch.dtype) -> None:
    logits = random_logits(seed, dtype=dtype)
    for values in (logits, logits.round()):  # rounded: many ties
        for k in (1, 2, 5, VOCAB_SIZE - 1, VOCAB_SIZE, VOCAB_SIZE + 20):
            assert torch.equal(ours.keep_top_k(values, k), TopKLogitsWarper(k)(NO_IDS, values))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(5))
def test_top_p_equals_transformers(seed: int, dtype: torch.dtype) -> None:
    logits = random_logits(seed, dtype=dtype)
    left = set()
    for p in (0.001, 0.1, 0.35, 0.5, 0.8, 0.95, 0.99):
        mine = ours.keep_top_p(logits, p)
        assert torch.equal(mine, TopPLogitsWarper(p)(NO_IDS, logits))
        left.update(mine.isfinite().sum(dim=-1).tolist())
    assert 1 in left and len(left) > 5  # the inputs tell one p from another


@pytest.mark.parametrize("seed", range(3))
def test_greedy_text_equals_transformers(seed: int) -> None:
    model, ids = tiny_gpt2(seed), prompts(seed)
    mine = ours.generate(Logits(model), ids, 20, CONTEXT)
    assert torch.equal(mine, their_text(model, ids, 20))
    assert len(mine[:, 5:].unique()) > 5  # and says something


@pytest.mark.parametrize("seed", range(3))
def test_greedy_text_beyond_the_context_equals_transformers(seed: int) -> None:
    """transformers refuses a text longer than the model, so it is asked for one token at a time."""
    model, ids = tiny_gpt2(seed), prompts(seed, length=CONTEXT - 3)
    expected = ids
    for _ in range(12):
        expected = torch.cat([expected, their_text(model, expected[:, -CONTEXT:], 1)[:, -1:]], dim=1)
    assert torch.equal(ours.generate(Logits(model), ids, 12, CONTEXT), expected)


@pytest.mark.parametrize("seed", range(3))
def test_greedy_text_is_the_same_from_a_model_in_training_mode(seed: int) -> None:
    model, ids = tiny_gpt2(seed), prompts(seed)
    expected = their_text(model, ids, 10)
    model.train()
    assert torch.equal(ours.generate(Logits(model), ids, 10, CONTEXT), expected)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.6},
        {"temperature": 1.7, "top_k": 5},
        {"temperature": 1.7, "top_p": 0.6},
        {"temperature": 2.0, "top_k": 8, "top_p": 0.7},
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_sampled_text_equals_transformers(settings: dict[str, float], seed: int) -> None:
    """Both draw from torch's global generator, one `multinomial` for each token: the same seed, the same text."""
    model, ids = tiny_gpt2(seed, scale=0.15), prompts(seed)
    torch.manual_seed(seed)
    mine = ours.generate(Logits(model), ids, 25, CONTEXT, **settings)
    torch.manual_seed(seed)
    theirs = their_text(model, ids, 25, do_sample=True, **settings)
    assert torch.equal(mine, theirs)
    assert not torch.equal(mine, ours.generate(Logits(model), ids, 25, CONTEXT))  # it was not greedy


def test_text_that_ends_equals_transformers() -> None:
    """Sampled from many tokens that are about as likely, so that rows end, and at different times."""
    lengths, differ = set(), False
    for seed in range(10):
        model, ids = tiny_gpt2(seed, scale=0.1), prompts(seed, rows=2)
        ids[0, 2] = ids[1, -1] = EOS
        torch.manual_seed(seed)
        mine = ours.generate(Logits(model), ids, 40, CONTEXT, temperature=1.5, top_k=30, eos_id=EOS)
        torch.manual_seed(seed)
        theirs = their_text(model, ids, 40, do_sample=True, temperature=1.5, top_k=30, eos_token_id=EOS)
        assert torch.equal(mine, theirs)
        lengths.add(mine.shape[1])
        differ |= len((mine[:, 5:] == EOS).sum(dim=1).unique()) == 2
    assert differ and len(lengths) > 3  # what the test is about did happen


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    """Pearson's chi-square: 11 degrees of freedom, of which it exceeds 31.3 once in a thousand."""
    probabilities = torch.tensor([0.25, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01, 0.01])

    class Fixed(nn.Module):
        def forward(self, ids: Tensor) -> Tensor:
            return (probabilities.log() * 0.5).expand(*ids.shape, len(probabilities))

    generator = torch.Generator().manual_seed(17)
    ids = torch.zeros(1000, 1, dtype=torch.int64)
    text = ours.generate(Fixed(), ids, 20, context_length=4, temperature=0.5, generator=generator)
    counts = text[:, 1:].flatten().bincount(minlength=len(probabilities))
    expected = probabilities * counts.sum()
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert 1.0 < chi_square < 31.3
