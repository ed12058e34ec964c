"""ex11 beside what we did not write: torch's cross-entropy, plain loops, and the loss of transformers."""

import decimal
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel

from solutions import ex11_loss as ex11

VOCABULARY = 23


class Logits(nn.Module):
    """transformers returns an object that holds the logits; our functions take the logits themselves."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model(ids).logits


def tiny_gpt2(seed=0, dropout=0.0, dtype=torch.float32):
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=16, n_embd=12, n_layer=2, n_head=3, use_cache=False,
        resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, dtype=dtype) * 0.3)
    return model


def token_ids(*shape, seed=0):
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def some_ignored(targets, share, seed=0):
    chances = torch.rand(targets.shape, generator=torch.Generator().manual_seed(seed))
    return targets.masked_fill(chances < share, -100)


def surprises(model, pairs):
    """−ln p(target) of every token that counts, one after the other, in plain Python."""
    found = []
    for inputs, targets in pairs:
        with torch.no_grad():
            rows = model(inputs).double().flatten(0, 1).tolist()
        for row, target in zip(rows, targets.flatten().tolist(), strict=True):
            if target != -100:
                largest = max(row)
                found.append(largest + math.log(sum(math.exp(x - largest) for x in row)) - row[target])
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("shape", [(2, 7), (5, 3), (1, 16), (4, 1)])
def test_loss_of_a_batch_equals_torchs_with_gradients(shape, share, dtype):
    model = Logits(tiny_gpt2(dtype=dtype)).eval()
    inputs, targets = token_ids(*shape), some_ignored(token_ids(*shape, seed=1), share)
    targets[0, 0] = 5
    mine = ex11.calc_loss_batch(inputs, targets, model, "cpu")
    theirs = F.cross_entropy(model(inputs).transpose(1, 2), targets)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-11
    torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)
    parameters = list(model.parameters())
    for one, other in zip(
        torch.autograd.grad(mine, parameters), torch.autograd.grad(theirs, parameters), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("seed", range(5))
def test_loss_on_windows_is_the_one_that_transformers_computes(seed):
    gpt2 = tiny_gpt2(seed).eval()
    ids = token_ids(3, 12, seed=seed)
    expected = gpt2(ids, labels=ids).loss  # shifts inside
    mine = ex11.calc_loss_batch(ids[:, :-1], ids[:, 1:], Logits(gpt2), "cpu")
    torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)
    hidden = some_ignored(ids, 0.5, seed)
    hidden[0, 5] = 3
    expected = gpt2(ids, labels=hidden).loss
    mine = ex11.calc_loss_batch(ids[:, :-1], hidden[:, 1:], Logits(gpt2), torch.device("cpu"))
    torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.data(), st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.8, 1.0]))
def test_loss_of_a_loader_equals_a_plain_loop(data, seed, share):
    model = Logits(tiny_gpt2(seed)).eval()
    shapes = data.draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9)), max_size=5))
    number = data.draw(st.one_of(st.none(), st.integers(0, 6)))
    pairs = [
        (token_ids(*shape, seed=seed + i), some_ignored(token_ids(*shape, seed=seed - i - 1), share, seed + i))
        for i, shape in enumerate(shapes)
    ]
    found = ex11.calc_loss_loader(iter(pairs), model, "cpu", number)
    expected = surprises(model, pairs if number is None else pairs[:number])
    assert type(found) is float
    if expected:
        assert found == pytest.approx(sum(expected) / len(expected), rel=1e-5)
    else:
        assert math.isnan(found)


def test_loss_does_not_depend_on_how_the_data_is_cut():
    model = Logits(tiny_gpt2()).eval()
    inputs, targets = token_ids(13, 9), some_ignored(token_ids(13, 9, seed=1), 0.5)
    with torch.no_grad():
        expected = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item()
    for batch_size in (1, 2, 5, 12, 13, 20):
        loader = DataLoader(TensorDataset(inputs, targets), batch_size=batch_size)
        found = ex11.calc_loss_loader(loader, model, "cpu")
        assert found == pytest.approx(expected, rel=1e-5)


def test_evaluation_equals_the_eval_mode_of_transformers():
    model = Logits(tiny_gpt2(dropout=0.5))
    train = [(token_ids(3, 7, seed=i), token_ids(3, 7, seed=-i - 1)) for i in range(3)]
    validation = [(token_ids(2, 5, seed=i + 9), token_ids(2, 5, seed=-i - 10)) for i in range(2)]
    losses = {}
    for training in (True, False):
        model.train(training)
        losses[training] = ex11.evaluate_model(model, train, validation, "cpu", eval_batches=2)
        assert all(module.training is training for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
    model.eval()
    expected = [sum(s) / len(s) for s in (surprises(model, train[:2]), surprises(model, validation))]
    for found in losses.values():
        assert isinstance(found, tuple)
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_model_that_knows_nothing_is_as_unsure_as_its_vocabulary_is_large():
    for size in (2, 23, 50257):
        model = nn.Embedding.from_pretrained(torch.zeros(3, size))
        loader = [(torch.tensor([[0, 1, 2]]), torch.tensor([[size - 1, 0, size // 2]]))]
        loss = ex11.calc_loss_loader(loader, model, "cpu")
        assert loss == pytest.approx(math.log(size), rel=1e-5)
        assert ex11.perplexity(loss) == pytest.approx(size, rel=1e-4)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.floats(0, 2000))
def test_perplexity_equals_the_decimal_modules(loss):
    expected = decimal.Decimal(loss).exp()
    found = ex11.perplexity(loss)
    assert type(found) is float
    if expected > decimal.Decimal("1.7976931348623157e308"):
        assert found == math.inf
    else:
        assert found == pytest.approx(float(expected), rel=1e-12)


def test_perplexity_at_the_edges_equals_torchs_exp_in_double_precision():
    for loss in (0.0, 709.78, 709.79, 1e308, math.inf, math.nan):
        expected = torch.tensor(loss, dtype=torch.float64).exp().item()
        assert ex11.perplexity(loss) == pytest.approx(expected, rel=1e-12, nan_ok=True)
