"""Folders with a GPT-2 as people have them: each is loaded as transformers loads it, or refused in a sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel, GPT2Model, GPT2Tokenizer
from transformers.activations import ACT2FN
from transformers.utils import logging

from grader.errors import UsageError
from grader.hub.byte_level import read_vocabulary
from grader.hub.gpt2_files import GELU
from scripts.inputs.gpt2_folder import load_folder
from scripts.inputs.vocabulary import tokenizer_of
from scripts.parts import Parts

from .conftest import Script
from .test_load_gpt2 import ON_SOLUTIONS, TEXT, save_gpt2, write_vocabulary

pytestmark = pytest.mark.slow
logging.disable_progress_bar()
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
IDS = torch.randint(200, (2, 20), generator=torch.Generator().manual_seed(3))
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4665a2\nsize 548118077\n"
PAGE = b"<!DOCTYPE html>\n<html><body>gpt2 at main</body></html>"


@pytest.fixture(scope="module")
def original(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What transformers 5 writes: config.json, model.safetensors, and of the tokenizer tokenizer.json alone."""
    slow, folder = tmp_path_factory.mktemp("slow"), tmp_path_factory.mktemp("hub") / "gpt2"
    save_gpt2(folder, write_vocabulary(parts, slow), 32, 4, 2, True)
    GPT2Tokenizer.from_pretrained(slow).save_pretrained(folder)
    assert not (folder / "vocab.json").exists()
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it for each test."""
    return Path(shutil.copytree(original, tmp_path / "gpt2"))


def change_json(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(content) or content), encoding="utf-8")


def change_config(folder: Path, **fields: Any) -> None:
    change_json(folder / "config.json", lambda config: {**config, **fields})


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def shard(folder: Path) -> list[str]:
    """Cut the weights into files with an index; returns their names."""
    model = GPT2LMHeadModel.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    return sorted(path.name for path in folder.glob("*.safetensors"))


def without_prefix(folder: Path) -> None:
    model = GPT2Model.from_pretrained(folder)
    model.save_pretrained(folder)
    assert "wte.weight" in load_file(folder / WEIGHTS)


def with_head(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**tensors, "lm_head.weight": tensors["transformer.wte.weight"].clone()}


def with_masks(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As older files have them: masks beside the weights."""
    mask = torch.ones(24, 24).tril().to(torch.uint8).view(1, 1, 24, 24)
    for number in range(2):
        tensors[f"transformer.h.{number}.attn.bias"] = mask.clone()
        tensors[f"transformer.h.{number}.attn.masked_bias"] = torch.tensor(-torch.inf)
    return tensors


def in_dtype(dtype: torch.dtype) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        change_weights(folder, lambda tensors: {name: tensor.to(dtype) for name, tensor in tensors.items()})
        change_config(folder, dtype=str(dtype).removeprefix("torch."))

    return change


def rewritten(encoding: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        shard(folder)
        for path in folder.glob("*.json"):
            path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)

    return change


COMES = {
    "as transformers 5 writes it": lambda folder: None,
    "in parts": shard,
    "without the prefix": without_prefix,
    "with a head": lambda folder: change_weights(folder, with_head),
    "with masks": lambda folder: change_weights(folder, with_masks),
    "in float16": in_dtype(torch.float16),
    "in bfloat16": in_dtype(torch.bfloat16),
    "with byte order marks": rewritten("utf-8-sig"),
    "in UTF-16": rewritten("utf-16"),
    "with n_inner": lambda folder: change_config(folder, n_inner=128),
    "upcast": lambda folder: change_config(folder, reorder_and_upcast_attn=True),
    **{name: lambda folder, name=name: change_config(folder, activation_function=name) for name in GELU},
}


@pytest.mark.parametrize("how", COMES)
def test_a_folder_is_loaded_as_transformers_loads_it(parts: Parts, folder: Path, how: str) -> None:
    if "float" in how:  # rounded weights compute something else
        COMES[how](folder)
    theirs = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    if "float" not in how:
        COMES[how](folder)
    settings, ours, tokenizer = load_folder(parts, folder)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(IDS), theirs(IDS).logits, atol=1e-4, rtol=1e-4)
    assert settings.config["vocab_size"] == len(tokenizer.ranks) + 1


def test_each_activation_that_is_taken_is_the_same_formula() -> None:
    x = torch.linspace(-6, 6, 1001)
    same = {name for name in ACT2FN if "gelu" in name and (ACT2FN[name](x) - ACT2FN[GELU[0]](x)).abs().max() < 1e-6}
    assert same == set(GELU)


def merges_as_text(content: Any) -> None:
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]


def more_tokens(content: Any) -> None:
    content["added_tokens"].append(
        {**content["added_tokens"][0], "id": len(content["model"]["vocab"]), "content": "<pad>"}
    )


@pytest.mark.parametrize("change", [lambda content: None, merges_as_text, more_tokens])
def test_tokenizer_json_is_read_as_the_package_reads_it(parts: Parts, folder: Path, change: Any) -> None:
    path = folder / "tokenizer.json"
    change_json(path, change)
    ours, theirs = tokenizer_of(parts, read_vocabulary(folder), folder), tokenizers.Tokenizer.from_file(str(path))
    for text in (TEXT, TEXT[::-1], "\x00\x7f\xa0\xad tab\t", "Hester’s    12\n"):
        assert ours.encode(text) == theirs.encode(text).ids
        assert ours.decode(ours.encode(text)) == text
    assert {*ours.ranks.values(), *ours.special_tokens.values()} == set(theirs.get_vocab().values())


def test_one_that_tokenizers_learned_with_other_special_tokens_is_read(parts: Parts, tmp_path: Path) -> None:
    made = tokenizers.ByteLevelBPETokenizer()
    made.train_from_iterator([TEXT], vocab_size=300, special_tokens=["<s>", "</s>", "<mask>"], show_progress=False)
    made.save_model(str(tmp_path))
    lacking = tokenizer_of(
        parts, read_vocabulary(tmp_path), tmp_path
    )  # vocab.json holds the special tokens as well, between the others
    made.save(str(tmp_path / "tokenizer.json"))
    for ours in (lacking, tokenizer_of(parts, read_vocabulary(tmp_path), tmp_path)):
        assert ours.encode(TEXT) == made.encode(TEXT).ids
        assert ours.special_tokens == {"<s>": 0, "</s>": 1, "<mask>": 2}


def round_up(folder: Path) -> None:
    """More rows than tokens, as where a table was rounded up to a multiple of 64. They get the highest scores."""

    def padded(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        table = tensors["transformer.wte.weight"]
        rows = -len(table) % 64
        favourite = tensors["transformer.ln_f.bias"][None].expand(rows, -1) * 100
        return {**tensors, "transformer.wte.weight": torch.cat([table, favourite])}

    change_weights(folder, padded)
    change_config(folder, vocab_size=320)
    likeliest = GPT2LMHeadModel.from_pretrained(folder)(IDS).logits.argmax(dim=-1)
    assert (likeliest >= 315).any(), "otherwise nothing is tested by it"


@pytest.mark.parametrize("cached", [(), ("--cache",)])
@pytest.mark.parametrize("sampling", [("--temperature", 0), ("--temperature", 5, "--seed", 1)])
def test_a_row_without_a_token_is_never_drawn(
    script: Script, folder: Path, tmp_path: Path, sampling: tuple[object, ...], cached: tuple[str, ...]
) -> None:
    round_up(folder)
    run = tmp_path / "run"
    ended = script("load_gpt2", folder, *ON_SOLUTIONS, "--prompt", "Ruth", "--new-tokens", 8, "--out", run)
    assert (ended.code, ended.err) == (0, "")
    options = ("--checkpoint", run, "--prompt", "Ruth", "--new-tokens", 8, *sampling, *cached)
    ended = script("generate", *ON_SOLUTIONS, *options)
    assert ended.code == 0, ended.err
    assert len(ended.out) > len("Ruth\n")


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def cut(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def spoiled(name: str, value: float) -> Callable[[Path], None]:
    def change(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tensors[name].view(-1)[-1] = value
        return tensors

    return lambda folder: change_weights(folder, change)


def of_tokenizer(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / "tokenizer.json", change)


def set_in(*path: str, value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def other_kind(model: tokenizers.models.Model) -> Callable[[Path], None]:
    return lambda folder: tokenizers.Tokenizer(model).save(str(folder / "tokenizer.json"))


def reorder(content: Any) -> None:
    content["model"]["merges"].reverse()


def without_bytes(content: Any) -> None:
    content["model"]["vocab"] = {token: n for token, n in content["model"]["vocab"].items() if token not in "ab"}
    content["model"]["merges"] = []
    content["model"]["vocab"] = {t: n for t, n in content["model"]["vocab"].items() if len(t) == 1 or t[0] == "<"}


def only_a_pickle(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def index(**placed: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        shard(folder)
        change_json(folder / INDEX, lambda content: content["weight_map"].update(placed))

    return change


def a_tensor_elsewhere(folder: Path) -> None:
    (first, *_) = shard(folder)
    change_json(folder / INDEX, lambda content: content["weight_map"].update(new=first))


def without_a_shard(folder: Path) -> None:
    (folder / shard(folder)[1]).unlink()


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def pipe(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def dead_link(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("../../blobs/4665a2")


def slow_files(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """vocab.json and merges.txt for tokenizer.json, the merges changed."""

    def write_them(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.json").write_text(json.dumps(content["vocab"]), encoding="utf-8")
        lines = change([" ".join(pair) for pair in content["merges"]])
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8")

    return write_them


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "exact GELU": (lambda folder: change_config(folder, activation_function="gelu"), "activation_function='gelu'"),
    "unscaled": (lambda folder: change_config(folder, scale_attn_weights=False), "scale_attn_weights"),
    "by layer": (lambda f: change_config(f, scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse"),
    "crossed": (lambda folder: change_config(folder, add_cross_attention=True), "add_cross_attention"),
    "a wide middle": (lambda folder: change_config(folder, n_inner=64), "n_inner"),
    "another norm": (lambda folder: change_config(folder, layer_norm_epsilon=1e-6), "layer_norm_epsilon"),
    "NaN for epsilon": (lambda f: change_config(f, layer_norm_epsilon=float("nan")), "layer_norm_epsilon"),
    "infinite dropout": (lambda folder: change_config(folder, resid_pdrop=float("inf")), "resid_pdrop"),
    "NaN for a size": (lambda folder: change_config(folder, n_embd=float("nan")), "n_embd"),
    "a size in quotes": (lambda folder: change_config(folder, n_head="4"), "n_head='4'"),
    "no size": (lambda folder: change_config(folder, n_layer=0), "n_layer=0"),
    "a size for no machine": (lambda folder: change_config(folder, n_embd=2**30, n_head=2), "wte.weight"),
    "more layers than there are": (lambda folder: change_config(folder, n_layer=2**30), "h.2.ln_1.weight"),
    "a long context": (lambda folder: change_config(folder, n_positions=2**30), "wpe.weight"),
    "tied how?": (lambda folder: change_config(folder, tie_word_embeddings="yes"), "tie_word_embeddings"),
    "another type": (lambda folder: change_config(folder, model_type="gpt_neo"), "'gpt_neo'"),
    "a field twice": (write("config.json", b'{"model_type": "gpt2", "n_head": 4, "n_head": 2}'), "'n_head' twice"),
    "deep JSON": (write("config.json", b"[" * 100_000), "config.json"),
    "a list": (write("config.json", b"[1, 2]"), "no JSON object"),
    "half a config": (cut("config.json"), "config.json"),
    "a page for a config": (write("config.json", PAGE), "web page"),
    "a page for weights": (write(WEIGHTS, PAGE), "web page"),
    "a pointer for weights": (write(WEIGHTS, POINTER), "git lfs pull"),
    "a pointer for a config": (write("config.json", POINTER), "git lfs pull"),
    "a pointer for a tokenizer": (write("tokenizer.json", POINTER), "git lfs pull"),
    "half the weights": (cut(WEIGHTS), "cut off or damaged"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), f"has no {WEIGHTS}"),
    "weights of TensorFlow": (lambda f: (f / WEIGHTS).rename(f / "tf_model.h5"), "tf_model.h5"),
    "a pickle": (only_a_pickle, "pytorch_model.bin"),
    "a link to nothing": (dead_link, "link"),
    "a pipe": (pipe, "no file"),
    "NaN": (spoiled("transformer.h.1.mlp.c_fc.weight", float("nan")), "h.1.mlp.c_fc.weight"),
    "infinity": (spoiled("transformer.ln_f.bias", float("-inf")), "ln_f.bias"),
    "whole numbers": (
        lambda folder: change_weights(
            folder, lambda tensors: {name: t.to(torch.int8) for name, t in tensors.items()}
        ),
        "int8",
    ),
    "a shard too few": (without_a_shard, "model-00002-of-"),
    "a shard outside": (index(**{"transformer.ln_f.bias": "../x.safetensors"}), "'../x.safetensors'"),
    "a shard at the root": (index(**{"transformer.ln_f.bias": "/x.safetensors"}), "'/x.safetensors'"),
    "a pickle in the index": (index(**{"transformer.ln_f.bias": "x.bin"}), "'x.bin'"),
    "a tensor elsewhere": (a_tensor_elsewhere, "lacks new"),
    "an index of nothing": (
        lambda folder: (shard(folder), write(INDEX, b'{"weight_map": {}}')(folder)),
        "which file holds which tensor",
    ),
    "more tokens than rows": (of_tokenizer(set_in("model", "vocab", "<|x|>", value=400)), "400"),
    "WordPiece": (other_kind(tokenizers.models.WordPiece({"[UNK]": 0}, unk_token="[UNK]")), "WordPiece"),
    "Unigram": (other_kind(tokenizers.models.Unigram([("a", 0.0)])), "Unigram"),
    "BPE on characters": (other_kind(tokenizers.models.BPE({"a": 0}, [], byte_fallback=True)), "bytes"),
    "Metaspace": (of_tokenizer(set_in("pre_tokenizer", value={"type": "Metaspace"})), "cuts"),
    "other pieces": (of_tokenizer(set_in("pre_tokenizer", "use_regex", value=False)), "cuts"),
    "a space before": (of_tokenizer(set_in("pre_tokenizer", "add_prefix_space", value=True)), "space"),
    "normalized": (of_tokenizer(set_in("normalizer", value={"type": "NFC"})), "changes texts"),
    "merges in another order": (of_tokenizer(reorder), "another order"),
    "merges.txt in another order": (slow_files(lambda lines: lines[::-1]), "another order"),
    "a broken merge": (slow_files(lambda lines: [*lines, "a b c"]), "'a b c'"),
    "a merge of nothing": (slow_files(lambda lines: [*lines, "ab QQ"]), "'QQ'"),
    "merges too few": (slow_files(lambda lines: lines[:-2]), "by a merge"),
    "bytes too few": (of_tokenizer(without_bytes), "0x61"),
    "an id for two": (of_tokenizer(set_in("model", "vocab", "a", value=3)), "the same"),
    "an id in words": (of_tokenizer(set_in("model", "vocab", "a", value="one")), "'one'"),
    "no vocabulary": (of_tokenizer(set_in("model", value=None)), "tokenizer.json"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "neither tokenizer.json nor vocab.json"),
    "a tokenizer of BERT's": (
        lambda folder: (folder / "tokenizer.json").rename(folder / "vocab.txt"),
        "vocab.txt",
    ),
    "an empty folder": (emptied, "empty"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_used_is_refused_in_a_sentence(parts: Parts, folder: Path, what: str) -> None:
    change, said = REFUSED[what]
    change(folder)
    with pytest.raises(UsageError) as refused:
        load_folder(parts, folder)
    sentence = str(refused.value)
    assert said in sentence and str(folder) in sentence
    assert "\n" not in sentence


def test_the_line_that_converts_a_pickle_does_so(
    script: Script, folder: Path, parts: Parts, tmp_path: Path
) -> None:
    only_a_pickle(folder)
    said = script("load_gpt2", folder, *ON_SOLUTIONS).err
    code = re.search(r'python3 -c "(.+)"', said)
    assert code, said
    exec(code[1])
    load_folder(parts, folder)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("openai-community/gpt2", "hf download openai-community/gpt2 --local-dir gpt2"),
        ("gpt2", "hf download gpt2"),
        ("../no such folder", "There is no folder"),
        ("x" * 300, "x"),
    ],
)
@pytest.mark.parametrize("name", ["load_gpt2", "load_llama"])
def test_what_is_no_folder_is_named(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = script(name, given, *ON_SOLUTIONS)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert said in ended.err


def test_a_file_a_run_and_a_folder_of_snapshots_are_told_apart(
    script: Script, folder: Path, tmp_path: Path
) -> None:
    run, cache = tmp_path / "run", tmp_path / "models--gpt2"
    assert script("load_gpt2", folder, *ON_SOLUTIONS, "--out", run, "--new-tokens", 1).code == 0
    shutil.copytree(folder, cache / "snapshots" / "607a30")
    for given, said in ((folder / WEIGHTS, "is a file"), (run, "scripts.generate"), (cache, "607a30")):
        ended = script("load_gpt2", given, *ON_SOLUTIONS)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert said in ended.err


def test_a_folder_that_may_not_be_read_is_named(
    script: Script, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    ended = script("load_gpt2", folder, *ON_SOLUTIONS)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert f"{folder} cannot be read: Permission denied" in ended.err


def test_an_earlier_run_is_not_replaced(script: Script, folder: Path, tmp_path: Path) -> None:
    options = (folder, *ON_SOLUTIONS, "--out", tmp_path / "run", "--new-tokens", 1)
    assert script("load_gpt2", *options).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    ended = script("load_gpt2", *options)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert "--resume" in ended.err
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_without_a_vocabulary_and_a_network_it_says_what_to_get(
    script: Script, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of GPT-2's own size takes tiktoken's vocabulary, which cannot be downloaded here."""
    (folder / "tokenizer.json").unlink()
    change_config(folder, vocab_size=50257)
    change_weights(folder, lambda tensors: {**tensors, "transformer.wte.weight": torch.zeros(50257, 32)})

    def offline(*_: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("tiktoken.get_encoding", offline)
    ended = script("load_gpt2", folder, *ON_SOLUTIONS)
    assert (ended.code, ended.err.count("\n")) == (3, 1), ended.err
    assert "tokenizer.json" in ended.err and "--vocabulary" not in ended.err


def test_nothing_is_unpickled_or_left_behind(
    script: Script, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_a_pickle(folder)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    ended = script("load_gpt2", folder, *ON_SOLUTIONS, "--out", tmp_path / "run")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
    assert not (tmp_path / "run").exists()


def test_the_scene_of_ex14_reads_the_same_folders(
    command: Callable[..., subprocess.CompletedProcess[str]], folder: Path
) -> None:
    """In parts, with tokenizer.json alone, and with rows that no token has; then one with a fault."""
    round_up(folder)
    shard(folder)
    shown = ("show", "ex14", "--on", "solutions", "--folder", str(folder), "Ruth")
    ended = command(*shown)
    assert "36,480 parameters from gpt2" in ended.stdout, ended.stdout + ended.stderr
    assert "25 are the model's" in ended.stdout
    (folder / "tokenizer.json").write_bytes(POINTER)
    ended = command(*shown)
    assert "git lfs pull" in " ".join(ended.stdout.split()), ended.stdout + ended.stderr
