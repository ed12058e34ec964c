"""The reference of ex17 against the formula in float64, against transformers' GPT-2 with the merged weights, and
against full fine-tuning of the same model."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import peft
import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from solutions import ex17_lora as ours
from solutions.ex09_gpt import GPTConfig, GPTModel, count_parameters
from solutions.ex14_weights import gpt2_places, load_gpt2

VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS = 61, 16, 24, 4, 3


def gpt(seed: int, *, tied: bool = True) -> GPTModel:
    torch.manual_seed(seed)
    model = GPTModel(GPTConfig(VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS, 0.0, qkv_bias=True), tie_weights=tied)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.15)
    return model.eval()


def randomise(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, ours.LoRALayer):
            for parameter in (module.A, module.B):
                parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def ids(rows: int = 3, length: int = 9, seed: int = 5) -> Tensor:
    return torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


def lora_layers(model: nn.Module) -> Iterator[tuple[str, ours.LinearWithLoRA]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, ours.LinearWithLoRA))


@pytest.mark.parametrize("rank", [1, 2, 5, 16])
@pytest.mark.parametrize("alpha", [1, 3.5, 16])
def test_a_wrapped_layer_is_the_formula_in_float64(rank: int, alpha: float) -> None:
    torch.manual_seed(rank)
    linear = nn.Linear(9, 5)
    wrapped = ours.LinearWithLoRA(linear, rank, alpha)
    nn.init.normal_(wrapped.lora.B)
    x = torch.randn(2, 7, 9, requires_grad=True)
    a, b, weight, bias, inputs = (
        value.detach().double().requires_grad_()
        for value in (wrapped.lora.A, wrapped.lora.B, *linear.parameters(), x)
    )
    expected = inputs @ (weight + alpha / rank * (a @ b).T).T + bias
    result = wrapped(x)
    torch.testing.assert_close(result, expected.float(), atol=1e-5, rtol=1e-5)
    upstream = torch.randn_like(result)
    mine = torch.autograd.grad(result, (wrapped.lora.A, wrapped.lora.B, *linear.parameters(), x), upstream)
    theirs = torch.autograd.grad(expected, (a, b, weight, bias, inputs), upstream.double())
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rank", [1, 4, 16, 300])
def test_a_begins_as_kaiming_says(rank: int) -> None:
    torch.manual_seed(17)
    layer = ours.LoRALayer(1000, 4, rank, alpha=1)
    torch.manual_seed(17)
    assert torch.equal(layer.A, nn.init.kaiming_uniform_(torch.empty(1000, rank), a=5**0.5))
    assert layer.A.abs().max() <= rank**-0.5
    assert layer.A.std().item() == pytest.approx((3 * rank) ** -0.5, rel=0.05)
    assert not layer.B.any()


def test_the_numbers_of_the_lesson() -> None:
    layer = ours.LinearWithLoRA(nn.Linear(4, 3), rank=1, alpha=2)
    layer.linear.weight.data.zero_()
    layer.lora.A.data.copy_(torch.tensor([[1.0], [0.0], [2.0], [-1.0]]))
    layer.lora.B.data.copy_(torch.tensor([[3.0, 0.0, 1.0]]))
    product = [[3.0, 0.0, 1.0], [0.0, 0.0, 0.0], [6.0, 0.0, 2.0], [-3.0, 0.0, -1.0]]
    assert (layer.lora.A @ layer.lora.B).tolist() == product
    assert layer.lora(torch.ones(4)).tolist() == [12.0, 0.0, 4.0]
    model = nn.Sequential(layer)
    ours.merge_lora(model)
    assert model[0].weight.tolist() == [[6.0, 0.0, 12.0, -6.0], [0.0] * 4, [2.0, 0.0, 4.0, -2.0]]
    assert ours.count_trainable(nn.Sequential(ours.LoRALayer(768, 768, 8, 8))) == (12_288, 12_288)
    for rank, trained in ((8, 1_327_104), (16, 2_654_208)):
        with torch.device("meta"):
            small = GPTModel(GPTConfig(qkv_bias=True))
        assert count_parameters(small) == 124_439_808
        assert ours.replace_linear_with_lora(small, rank, alpha=16) == 72
        assert ours.count_trainable(small) == (trained, 124_439_808 + trained)
        assert len(ours.lora_state_dict(small)) == 144


def test_the_books_classifier_has_the_books_number() -> None:
    """Appendix E: rank 16 beside every linear layer, the new head with two classes included."""
    with torch.device("meta"):
        model = GPTModel(GPTConfig(qkv_bias=True))
        model.out_head = nn.Linear(768, 2)
    assert ours.replace_linear_with_lora(model, rank=16, alpha=16) == 73
    assert ours.count_trainable(model)[0] == 2_666_528


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("rank", "alpha"), [(1, 1), (4, 16), (40, 3.5)])
def test_a_merged_gpt_is_the_unmerged_one(tied: bool, rank: int, alpha: float) -> None:
    model = gpt(1, tied=tied)
    count = LAYERS * 6 + (not tied)
    before = model(ids())
    assert ours.replace_linear_with_lora(model, rank, alpha) == count
    assert torch.equal(model(ids()), before)
    randomise(model, 2)
    double = copy.deepcopy(model).double()
    unmerged, exact = model(ids()), double(ids())
    assert (unmerged - before).abs().max() > 0.1
    assert ours.merge_lora(model) == count
    scale = exact.abs().max().item()
    for result in (unmerged, model(ids())):
        assert (result - exact).abs().max().item() < 1e-5 * scale
    assert ours.merge_lora(double) == count
    assert (double(ids()) - exact).abs().max().item() < 1e-13 * scale
    assert [type(m) for m in model.modules()] == [type(m) for m in gpt(1, tied=tied).modules()]


def test_a_merged_layer_to_one_part_in_a_million() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(ours.LinearWithLoRA(nn.Linear(64, 48), rank=8, alpha=16))
    nn.init.normal_(model[0].lora.B)
    x = torch.randn(32, 64)
    exact = copy.deepcopy(model).double()(x.double())
    unmerged = model(x)
    ours.merge_lora(model)
    for result in (unmerged, model(x)):
        assert (result - exact).norm() < 1e-6 * exact.norm()


def test_transformers_computes_the_same_with_the_merged_weights() -> None:
    model = gpt(4)
    ours.replace_linear_with_lora(model, rank=4, alpha=8)
    randomise(model, 5)
    expected = model(ids())
    ours.merge_lora(model)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        bos_token_id=0,
        eos_token_id=None,
    )
    theirs = GPT2LMHeadModel(config).eval()
    places = gpt2_places(model)
    weights = {f"transformer.{name}": torch.cat(parts, dim=-1) for name, parts in places.items()}
    weights["lm_head.weight"] = weights.pop("transformer.lm_head.weight")
    theirs.load_state_dict(weights)
    torch.testing.assert_close(theirs(ids()).logits, expected, atol=1e-4, rtol=1e-4)
    back = gpt(6)
    load_gpt2(back, {name: value.detach() for name, value in theirs.state_dict().items()})
    torch.testing.assert_close(back(ids()), expected, atol=1e-4, rtol=1e-4)


def test_two_tasks_take_turns_in_one_model() -> None:
    model, states, logits = gpt(7), [], []
    ours.replace_linear_with_lora(model, rank=3, alpha=6)
    for seed in (1, 2):
        randomise(model, seed)
        states.append(ours.lora_state_dict(model))
        logits.append(model(ids()))
    for state, expected in zip(states, logits, strict=True):
        ours.load_lora(model, state)
        assert torch.equal(model(ids()), expected)
    fresh = gpt(7)
    ours.replace_linear_with_lora(fresh, rank=3, alpha=6)
    ours.load_lora(fresh, states[0])
    assert torch.equal(fresh(ids()), logits[0])


def test_the_state_is_the_part_of_torchs_state_dict_that_trains() -> None:
    model = gpt(8, tied=False)
    ours.replace_linear_with_lora(model, rank=3, alpha=6)
    randomise(model, 9)
    trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    expected = {name: value for name, value in model.state_dict().items() if name in trains}
    state = ours.lora_state_dict(model)
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def loss_of(model: GPTModel, batch: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())


def test_training_lowers_the_loss_and_moves_nothing_else() -> None:
    model, batch = gpt(10), ids(4, 12)
    ours.replace_linear_with_lora(model, rank=8, alpha=16)
    frozen = {name: value.detach().clone() for name, value in model.named_parameters() if not value.requires_grad}
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    first = loss_of(model, batch).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        optimizer.step()
    last = loss_of(model, batch).item()
    assert last < 0.3 * first
    now = dict(model.named_parameters())
    assert all(torch.equal(now[name], value) for name, value in frozen.items())
    ours.merge_lora(model)
    assert loss_of(model, batch).item() == pytest.approx(last, abs=1e-4)


def test_one_step_is_the_projection_of_a_full_step() -> None:
    """With B at zero only B moves: the weight goes along −s² · AAᵀ times the full gradient."""
    full, thin, rank, alpha, rate, batch = gpt(11), gpt(11), 4, 8, 1e-2, ids()
    loss_of(full, batch).backward()
    before = {
        name: module.weight.detach().clone() for name, module in full.named_modules() if hasattr(module, "bias")
    }
    ours.replace_linear_with_lora(thin, rank, alpha)
    loss_of(thin, batch).backward()
    matrices = {name: module.lora.A.detach().clone() for name, module in lora_layers(thin)}
    for parameter in thin.parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            parameter.data -= rate * parameter.grad
    ours.merge_lora(thin)
    layers, changed = dict(full.named_modules()), dict(thin.named_modules())
    assert len(matrices) == LAYERS * 6
    for name, a in matrices.items():
        gradient = layers[name].weight.grad  # (out, in)
        expected = -rate * (alpha / rank) ** 2 * gradient @ a @ a.T
        torch.testing.assert_close(changed[name].weight - before[name], expected, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize(("rank", "alpha"), [(1, 2.0), (4, 16.0), (8, 8.0)])
def test_peft_computes_and_merges_the_same(rank: int, alpha: float) -> None:
    """peft's A and B are transposed: it has them as the weights of linear layers."""
    torch.manual_seed(rank)
    plain = nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Sequential(nn.Linear(20, 7, bias=False)))
    mine, theirs = copy.deepcopy(plain), copy.deepcopy(plain)
    assert ours.replace_linear_with_lora(mine, rank, alpha) == 2
    randomise(mine, seed=rank)
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=["0", "2.0"], lora_dropout=0.0)
    theirs = peft.get_peft_model(theirs, config)
    named = dict(theirs.named_parameters())
    state = ours.lora_state_dict(mine)
    with torch.no_grad():
        for place in ("0", "2.0"):
            for letter in "AB":
                weight = named[f"base_model.model.{place}.lora_{letter}.default.weight"]
                weight.copy_(state[f"{place}.lora.{letter}"].T)
    assert ours.count_trainable(mine) == theirs.get_nb_trainable_parameters()
    x = torch.randn(5, 3, 12, generator=torch.Generator().manual_seed(9))
    torch.testing.assert_close(mine(x), theirs(x), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(mine(x), plain(x), atol=1e-3)
    ours.merge_lora(mine)
    merged = theirs.merge_and_unload()
    torch.testing.assert_close(mine(x), merged(x), atol=1e-6, rtol=1e-5)
    for mine_weight, their_weight in zip(mine.parameters(), merged.parameters(), strict=True):
        torch.testing.assert_close(mine_weight, their_weight, atol=1e-6, rtol=1e-5)
