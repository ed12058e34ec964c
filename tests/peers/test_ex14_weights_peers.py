"""The reference of ex14 against transformers' GPT-2, through files of the hub's own kind; and training that was
interrupted against training that was not, to the bit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel

from solutions import ex14_weights as ours
from solutions.ex09_gpt import GPTConfig, GPTModel
from solutions.ex10_generate import generate
from solutions.ex12_optim import AdamW, param_groups
from solutions.ex13_train import Evaluation, History, TrainConfig, train_model

VOCABULARY = 61
# width, heads, layers, context, tied
SHAPES = [(24, 4, 3, 16, True), (20, 2, 2, 12, False), (8, 8, 1, 33, True)]


def hub_model(width: int, heads: int, layers: int, context: int, tied: bool, seed: int = 17) -> GPT2LMHeadModel:
    """GPT-2 in small, with every number far from its initial value, so that an exchange of any two shows."""
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=width,
        n_head=heads,
        n_layer=layers,
        n_positions=context,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=None,
    )
    model = GPT2LMHeadModel(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return model


def our_model(width: int, heads: int, layers: int, context: int, tied: bool, dropout: float = 0.1) -> GPTModel:
    return GPTModel(GPTConfig(VOCABULARY, context, width, heads, layers, dropout, qkv_bias=True), tie_weights=tied)


def ids(rows: int, length: int) -> Tensor:
    return torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(length))


def assert_same_model(mine: GPTModel, theirs: GPT2LMHeadModel, context: int) -> None:
    mine.eval()
    with torch.no_grad():
        for batch in (ids(2, 1), ids(3, 7), ids(2, context)):
            torch.testing.assert_close(mine(batch), theirs(batch).logits, atol=1e-4, rtol=1e-4)
    prompt = ids(2, 4)
    new = context - 4
    expected = theirs.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=new, pad_token_id=0
    )
    assert torch.equal(generate(mine, prompt, new, context), expected)


@pytest.mark.parametrize(("width", "heads", "layers", "context", "tied"), SHAPES)
def test_a_folder_of_the_hub_gives_transformers_logits(
    tmp_path: Path, width: int, heads: int, layers: int, context: int, tied: bool
) -> None:
    theirs = hub_model(width, heads, layers, context, tied)
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (config["n_embd"], config["tie_word_embeddings"]) == (width, tied)
    weights = load_file(tmp_path / "model.safetensors")
    assert ("lm_head.weight" in weights) is not tied
    mine = our_model(width, heads, layers, context, tied)
    ours.load_gpt2(mine, weights)
    assert_same_model(mine, theirs, context)
    # A tied file fits into an untied model as well.
    if tied:
        untied = our_model(width, heads, layers, context, tied=False)
        ours.load_gpt2(untied, weights)
        assert_same_model(untied, theirs, context)


@pytest.mark.parametrize(("width", "heads", "layers", "context", "tied"), SHAPES)
def test_the_hubs_older_names(width: int, heads: int, layers: int, context: int, tied: bool) -> None:
    """Without the prefix and with the causal masks, as openai-community/gpt2 has been on the hub from the start."""
    theirs = hub_model(width, heads, layers, context, tied, seed=18)
    weights = dict(theirs.transformer.state_dict())
    for layer in range(layers):
        weights[f"h.{layer}.attn.bias"] = torch.ones(context, context).tril().view(1, 1, context, context)
        weights[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    if not tied:
        weights["lm_head.weight"] = theirs.lm_head.weight.detach()
    mine = our_model(width, heads, layers, context, tied)
    ours.load_gpt2(mine, weights)
    assert_same_model(mine, theirs, context)


@pytest.mark.parametrize("tied", [True, False])
def test_the_state_dict_in_memory_and_the_gradients(tied: bool) -> None:
    theirs = hub_model(24, 4, 3, 16, tied, seed=19)
    mine = our_model(24, 4, 3, 16, tied).eval()
    ours.load_gpt2(mine, theirs.state_dict())
    batch, upstream = ids(2, 9), torch.randn(2, 9, VOCABULARY, generator=torch.Generator().manual_seed(5))
    (mine(batch) * upstream).sum().backward()
    (theirs(batch).logits * upstream).sum().backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    # The places show the gradients as well as the weights, once each parameter's numbers are its gradient's.
    with torch.no_grad():
        for parameter in mine.parameters():
            assert parameter.grad is not None
            parameter.copy_(parameter.grad)
    places = ours.gpt2_places(mine)
    for name, expected in gradients.items():
        assert expected is not None
        mine_now = torch.cat(places[name.removeprefix("transformer.")], dim=-1)
        torch.testing.assert_close(mine_now, expected, atol=1e-3, rtol=1e-4)
    assert len(gradients) == len(places) - tied


def test_names_and_shapes_are_those_of_gpt2_small() -> None:
    sizes = GPT2Config()
    with torch.device("meta"):
        theirs = GPT2LMHeadModel(sizes)
        mine = GPTModel(GPTConfig(qkv_bias=True))
    shapes = {
        name: (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
        for name, parts in ours.gpt2_places(mine).items()
    }
    expected = {name.removeprefix("transformer."): tuple(v.shape) for name, v in theirs.state_dict().items()}
    assert shapes == expected
    assert (
        len(shapes) - 1 == 148
    )  # what the lesson's messages call the number of tensors, the tied head not counted


def loaders() -> tuple[DataLoader[tuple[Tensor, ...]], DataLoader[tuple[Tensor, ...]]]:
    tokens = torch.randint(0, VOCABULARY, (26, 9), generator=torch.Generator().manual_seed(3))
    train, held_out = (
        TensorDataset(tokens[:20, :-1], tokens[:20, 1:]),
        TensorDataset(tokens[20:, :-1], tokens[20:, 1:]),
    )
    shuffled = DataLoader(train, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(1))
    return shuffled, DataLoader(held_out, batch_size=3)


class Interrupted(Exception):
    """The power fails."""


def optimizer_for(model: nn.Module, kind: str) -> torch.optim.Optimizer:
    if kind == "ours":
        return AdamW(param_groups(model, 0.1))
    if kind == "torch":
        return torch.optim.AdamW(param_groups(model, 0.1))
    return torch.optim.SGD(model.parameters(), momentum=0.9)


@pytest.mark.parametrize("stop_after", [1, 4, 5, 8])
@pytest.mark.parametrize("kind", ["ours", "torch", "momentum"])
def test_training_that_was_interrupted_has_the_bits_of_training_that_was_not(
    tmp_path: Path, kind: str, stop_after: int
) -> None:
    config = TrainConfig(num_epochs=2, warmup_steps=3, eval_every=2, max_norm=1.0, seed=7)
    path = tmp_path / "runs" / "story.pt"

    def fresh(seed: int) -> tuple[GPTModel, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        model = our_model(12, 3, 2, 8, tied=True, dropout=0.5)
        return model, optimizer_for(model, kind)

    straight, optimizer = fresh(17)
    wanted = train_model(straight, *loaders(), optimizer, config)
    assert wanted.step == 10

    model, optimizer = fresh(17)

    def save_and_stop(history: History) -> None:
        ours.save_checkpoint(path, model, optimizer, {"history": asdict(history)})
        if history.step == stop_after:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_model(model, *loaders(), optimizer, config, on_step=save_and_stop)

    other, optimizer = fresh(99)
    saved = ours.load_checkpoint(path, other, optimizer)["history"]
    history = History(**{**saved, "evaluations": [Evaluation(**point) for point in saved["evaluations"]]})
    train_model(other, *loaders(), optimizer, config, history=history)
    assert history == wanted
    for name, expected in straight.state_dict().items():
        assert torch.equal(other.state_dict()[name], expected), name
