"""`scripts.load_llama`: a folder of the Hugging Face hub in the learner's LlamaModel, beside transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from grader.errors import UsageError
from grader.text import printable
from scripts.inputs.corpora import STORY
from scripts.inputs.llama_folder import load_folder
from scripts.parts import Parts
from scripts.writing import Sampling, write

from .conftest import Script

logging.disable_progress_bar()  # what the script says is all that is to be read
ON_SOLUTIONS = ("--using", "solutions")
PROMPT = "Ruth came to the quay"
SHAPES = {
    "grouped": {"num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 10000.0},
    "plain, tied": {"num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "one group, other angles": {"num_attention_heads": 8, "num_key_value_heads": 1, "rope_theta": 500000.0},
}


def save_tokenizer(folder: Path) -> int:
    """A byte-level tokenizer, as Llama 3 has one, learned from the story. Returns how many tokens it has."""
    made = tokenizers.ByteLevelBPETokenizer()
    made.train([str(STORY)], vocab_size=300, special_tokens=["<s>", "</s>"], show_progress=False)
    made.save(str(folder / "tokenizer.json"))
    return made.get_vocab_size()


def save_llama(folder: Path, shards: bool = False, **changes: Any) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=save_tokenizer(folder),
        hidden_size=32,
        intermediate_size=56,
        num_hidden_layers=3,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        bos_token_id=0,
        eos_token_id=1,
        **changes,
    )
    torch.manual_seed(5)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    model.save_pretrained(folder, **({"max_shard_size": "20KB"} if shards else {}))
    return model


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_and_greedy_text_are_those_of_transformers(
    script: Script, parts: Parts, tmp_path: Path, shape: str, shards: bool
) -> None:
    theirs = save_llama(tmp_path, shards, **SHAPES[shape])
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == shards
    ours, tokenizer = load_folder(parts, tmp_path)
    ids = torch.randint(theirs.config.vocab_size, (2, 20), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(ids), theirs(ids).logits, atol=1e-4, rtol=1e-4)
    prompt = torch.tensor([tokenizer.encode(PROMPT)])
    written = theirs.generate(prompt, max_new_tokens=12, do_sample=False, pad_token_id=1)
    peer = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ended = script("load_llama", tmp_path, *ON_SOLUTIONS, "--prompt", PROMPT, "--new-tokens", 12)
    assert ended.code == 0, ended.err
    text = peer.decode(written[0].tolist())
    assert " ".join(printable(text).split()) in " ".join(ended.out.split())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "gpt2"}, "gpt2"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"attention_bias": True}, "attention_bias"),
        ({"head_dim": 12}, "12"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "llama3"),
        ({"num_key_value_heads": 3}, "3"),
        ({"hidden_size": "wide"}, "config.json"),
        ({"num_hidden_layers": 4}, "trf_blocks.3"),
        ({"num_hidden_layers": 2}, "trf_blocks.2"),
        ({"intermediate_size": 55}, "ff.fc1"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_name(
    script: Script, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    save_llama(tmp_path, num_attention_heads=4, num_key_value_heads=2)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
    ended = script("load_llama", tmp_path, *ON_SOLUTIONS)
    assert (ended.code, "Traceback" in ended.err) == (2, False), ended.err
    assert said in ended.err and ended.err.count("\n") == 1


def test_a_shard_that_is_missing_is_named(script: Script, tmp_path: Path) -> None:
    save_llama(tmp_path, True, num_attention_heads=4)
    lost = sorted(tmp_path.glob("*.safetensors"))[1]
    lost.unlink()
    ended = script("load_llama", tmp_path, *ON_SOLUTIONS)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert lost.name in ended.err


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"", b"[1, 2]"])
def test_a_folder_that_is_no_model_is_named(
    script: Script, tmp_path: Path, name: str, content: bytes | None
) -> None:
    save_llama(tmp_path, num_attention_heads=4)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    ended = script("load_llama", tmp_path, *ON_SOLUTIONS)
    assert (ended.code, "Traceback" in ended.err) == (2, False), ended.err
    assert name in ended.err and ended.err.count("\n") == 1


def change_weights(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, name: change(tensors[name])}, folder / "model.safetensors")


def change_config(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **fields}), encoding="utf-8")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4665a2\nsize 548118077\n"
NORM = "model.norm.weight"
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "NaN": (lambda folder: change_weights(folder, NORM, lambda tensor: tensor * torch.nan), NORM),
    "whole numbers": (lambda folder: change_weights(folder, NORM, lambda tensor: tensor.to(torch.int8)), "int8"),
    "a pointer for weights": (lambda f: (f / "model.safetensors").write_bytes(POINTER), "git lfs pull"),
    "a pointer for a tokenizer": (lambda f: (f / "tokenizer.json").write_bytes(POINTER), "git lfs pull"),
    "a page for a config": (lambda f: (f / "config.json").write_text("<html></html>"), "web page"),
    "a pickle": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "transformers"),
    "more tokens than rows": (lambda folder: change_config(folder, vocab_size=299), "299"),
    "a size for no machine": (
        lambda folder: change_config(folder, hidden_size=2**30, head_dim=2**28),
        "tok_emb.weight",
    ),
    "a wide middle": (lambda folder: change_config(folder, intermediate_size=2**30), "ff.fc1"),
    "many layers": (lambda folder: change_config(folder, num_hidden_layers=2**30), "trf_blocks.3"),
    "NaN for epsilon": (lambda folder: change_config(folder, rms_norm_eps=float("nan")), "rms_norm_eps"),
    "NaN for the angles": (
        lambda folder: change_config(folder, rope_parameters={"rope_type": "default", "rope_theta": float("nan")}),
        "rope_theta",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_used_is_refused_in_a_sentence(parts: Parts, tmp_path: Path, what: str) -> None:
    change, said = REFUSED[what]
    save_llama(tmp_path, num_attention_heads=4)
    change(tmp_path)
    with pytest.raises(UsageError) as refused:
        load_folder(parts, tmp_path)
    assert said in str(refused.value) and str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_byte_order_marks_are_passed_over(parts: Parts, tmp_path: Path) -> None:
    save_llama(tmp_path, True, num_attention_heads=4)
    for path in tmp_path.glob("*.json"):
        path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    load_folder(parts, tmp_path)


def test_a_row_without_a_token_is_never_drawn(parts: Parts, tmp_path: Path) -> None:
    save_llama(tmp_path, num_attention_heads=4)
    change_config(tmp_path, vocab_size=320)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        change_weights(tmp_path, name, lambda table: torch.cat([table, table[:20] * 50]))
    model, tokenizer = load_folder(parts, tmp_path)
    seen: list[torch.Tensor] = []
    model.register_forward_hook(lambda module, inputs, logits: seen.append(logits[0, -1].argmax()))
    text = write(parts, model, tokenizer, PROMPT, Sampling(12, 0.0), True, cached=True).text
    assert max(seen) >= 300, "rows without a token have to be the likeliest for this test to say anything"
    assert text.startswith(PROMPT) and len(text) > len(PROMPT)
