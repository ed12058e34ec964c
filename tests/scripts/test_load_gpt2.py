"""`scripts.load_gpt2`: what transformers wrote, read into our own GPT, says the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

from grader.hub.byte_level import byte_characters, read_vocabulary
from grader.text import printable
from scripts.inputs.vocabulary import END_OF_TEXT, learned, tokenizer_of
from scripts.parts import Parts
from scripts.training.networks import build_model
from scripts.training.runs import Run

from .conftest import Script

ON_SOLUTIONS = ("--using", "solutions")
TEXT = "Ruth came to Marrow. “Bread first,” said Hester — naïve, 12 café 🙂\n\n  " * 3


def write_vocabulary(parts: Parts, folder: Path) -> int:
    """Files as GPT-2's tokenizer has them, learned from a text; returns how many tokens there are."""
    tokenizer = learned(parts, TEXT, 60)
    characters = byte_characters()
    written = {rank: "".join(characters[byte] for byte in token) for token, rank in tokenizer.ranks.items()}
    entries = {token: rank for rank, token in written.items()} | tokenizer.special_tokens
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(entries), encoding="utf-8")
    _, merges = parts.bpe_train.train_bpe(TEXT, 256 + 60 + 1, [END_OF_TEXT])
    lines = [f"{written[left]} {written[right]}" for left, right in merges]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return len(entries)


def save_gpt2(folder: Path, vocab_size: int, width: int, heads: int, layers: int, tied: bool) -> GPT2LMHeadModel:
    """A random GPT-2 in the hub's own format. Its weights are far from their start, so mistakes show."""
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=24,
        n_embd=width,
        n_head=heads,
        n_layer=layers,
        tie_word_embeddings=tied,
        bos_token_id=vocab_size - 1,
        eos_token_id=vocab_size - 1,
    )
    torch.manual_seed(17)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("width", "heads", "layers", "tied"), [(32, 4, 2, True), (24, 3, 3, False), (48, 2, 1, True)]
)
def test_logits_and_greedy_text_are_those_of_transformers(
    script: Script, parts: Parts, tmp_path: Path, width: int, heads: int, layers: int, tied: bool
) -> None:
    folder, run = tmp_path / "gpt2", Run(tmp_path / "run")
    vocab_size = write_vocabulary(parts, folder)
    theirs = save_gpt2(folder, vocab_size, width, heads, layers, tied)
    assert {"model.safetensors", "config.json"} <= {path.name for path in folder.iterdir()}
    options = ("--prompt", "Ruth came", "--new-tokens", 12, "--out", run.folder)
    ended = script("load_gpt2", folder, *ON_SOLUTIONS, *options)
    assert ended.code == 0, ended.err
    ours = build_model(parts, run.settings().model)
    run.load(parts, ours)
    ids = torch.randint(vocab_size, (2, 20), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(ours.eval()(ids), theirs(ids).logits, atol=1e-4, rtol=1e-4)
    peer = GPT2Tokenizer.from_pretrained(folder)
    prompt = torch.tensor([peer.encode("Ruth came")])
    written = theirs.generate(prompt, max_new_tokens=12, do_sample=False, pad_token_id=vocab_size - 1)
    text = peer.decode(written[0], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    options = ("--checkpoint", run.folder, "--prompt", "Ruth came", "--temperature", 0, "--new-tokens", 12)
    again = script("generate", *ON_SOLUTIONS, *options)
    assert again.out == printable(text) + "\n"


def test_the_tokenizer_of_the_folder_is_transformers(parts: Parts, tmp_path: Path) -> None:
    write_vocabulary(parts, tmp_path)
    theirs, ours = GPT2Tokenizer.from_pretrained(tmp_path), tokenizer_of(parts, read_vocabulary(tmp_path), tmp_path)
    for text in (TEXT, TEXT[::-1], "\x00\x7f\xa0\xad tab\t"):
        assert ours.encode(text) == theirs.encode(text)
        assert ours.decode(ours.encode(text)) == text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "llama"}, "llama"),
        ({"activation_function": "relu"}, "activation_function"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"n_inner": 77}, "n_inner"),
        ({"n_head": 5}, "5"),
        ({"n_embd": "wide"}, "config.json"),
        ({"n_layer": 3}, "h.2.ln_1.weight"),
        ({"n_layer": 1}, "h.1.ln_1.weight"),
        ({"n_positions": 25}, "wpe.weight"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_name(
    script: Script, parts: Parts, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    save_gpt2(tmp_path, write_vocabulary(parts, tmp_path), 32, 4, 2, True)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
    ended = script("load_gpt2", tmp_path, *ON_SOLUTIONS, "--out", tmp_path / "run")
    assert (ended.code, "Traceback" in ended.err) == (2, False), ended.err
    assert said in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (name, content)
        for name in ("config.json", "model.safetensors", "vocab.json")
        for content in (None, b"", b"[1, 2]")
        if (name, content) != ("vocab.json", None)  # then tiktoken's vocabulary is taken
    ],
)
def test_a_folder_that_is_no_model_is_named(
    script: Script, parts: Parts, tmp_path: Path, name: str, content: bytes | None
) -> None:
    save_gpt2(tmp_path, write_vocabulary(parts, tmp_path), 32, 4, 2, True)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    ended = script("load_gpt2", tmp_path, *ON_SOLUTIONS, "--out", tmp_path / "run")
    assert (ended.code, "Traceback" in ended.err) == (2, False), ended.err
    assert name in ended.err
