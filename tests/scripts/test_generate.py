"""`scripts.generate`: text from a run that was trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.training.runs import Run

from .conftest import SMALL, Script

ON_SOLUTIONS = ("--using", "solutions")


@pytest.fixture
def run(script: Script, text_file: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    assert script("train", *ON_SOLUTIONS, *SMALL, "--text", text_file, "--epochs", 1, "--out", folder).code == 0
    return folder


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
