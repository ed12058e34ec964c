"""`scripts.generate`: text from a run that was trained."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from scripts.inputs.corpora import Corpus
from scripts.parts import Parts
from scripts.training.runs import Run

from .conftest import Script, pretrained

ON_SOLUTIONS = ("--using", "solutions")


@pytest.fixture(scope="module")
def trained(parts: Parts, text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"layers": 1, "heads": 2, "emb_dim": 32, "context_length": 16, "merges": 100}
    return pretrained(parts, tmp_path_factory.mktemp("trained"), Corpus(file=str(text_file)), epochs=1, **sizes)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run of its own for each test."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_text_follows_the_prompt_and_the_seed_decides_it(script: Script, run: Path) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth said", "--temperature", 0.8, "--top-k", 40)
    one, again, other = (script("generate", *options, "--seed", seed) for seed in (1, 1, 2))
    assert one.code == 0, one.err
    assert one.out.startswith("Ruth said") and len(one.out) > 40
    assert one.out == again.out != other.out
    assert "seed 1" in one.err


def test_a_run_is_found_by_its_checkpoint_too(script: Script, run: Path) -> None:
    ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run / "checkpoint.pt", "--new-tokens", 3)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    "sampling", [("--temperature", 0), ("--temperature", 0.9, "--top-k", 30), ("--top-p", 0.8)]
)
def test_the_cache_changes_nothing_but_the_time(script: Script, run: Path, sampling: tuple[object, ...]) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth", "--new-tokens", 10, "--seed", 4, *sampling)
    without, cached = script("generate", *options), script("generate", *options, "--cache")
    assert (without.code, cached.code) == (0, 0), cached.err
    assert without.out == cached.out
    for ended in (without, cached):
        assert re.search(r"10 tokens, [\d,]+ a second", ended.err)


def test_the_cache_ends_with_the_context(script: Script, run: Path) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth", "--cache")
    assert script("generate", *options).code == 0
    ended = script("generate", *options, "--new-tokens", 40)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "16" in ended.err and "--new-tokens" in ended.err


def test_temperature_0_draws_nothing(script: Script, run: Path) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--temperature", 0, "--new-tokens", 20)
    assert script("generate", *options, "--seed", 1).out == script("generate", *options, "--seed", 2).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prompt", "to the end<|endoftext|>"), "<|endoftext|>"),
        (("--top-p", "0"), "--top-p"),
        (("--top-k", "0"), "--top-k"),
        (("--temperature", "-1"), "--temperature"),
        (("--new-tokens", "-5"), "--new-tokens"),
        (("--prompt", "Ruth", "--instruction", "Say it."), "--instruction"),
        (("--input", "Ruth"), "--instruction"),
    ],
)
def test_wrong_input_gets_a_line(script: Script, run: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run, *arguments)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert said in ended.err


@pytest.mark.parametrize("name", ["settings_file", "tokenizer_file", "checkpoint"])
@pytest.mark.parametrize("content", [None, b"", b"\x80\x02 no such thing"])
def test_a_damaged_run_is_named_file_by_file(script: Script, run: Path, name: str, content: bytes | None) -> None:
    path: Path = getattr(Run(run), name)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run)
    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert str(run) in ended.err
