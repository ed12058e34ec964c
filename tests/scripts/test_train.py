"""`scripts.train`: what it shows, what it leaves behind, how it goes on, what it says to wrong input."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts import entry
from scripts.inputs.corpora import STORY
from scripts.parts import Parts, first_open
from scripts.training.pretraining import entropy

from .conftest import SMALL, Script

ON_SOLUTIONS = ("--using", "solutions")


def test_a_run_shows_losses_and_samples_and_leaves_curve_and_checkpoint(
    script: Script, text_file: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    ended = script("train", *ON_SOLUTIONS, *SMALL, "--text", text_file, "--epochs", 2, "--out", run)
    assert ended.code == 0, ended.err
    rows = re.findall(r"^ +(\d+) +(\d+) +[\d,]+ +(\d+\.\d{3}) +(\d+\.\d{3})$", ended.out, re.MULTILINE)
    assert [row[0] for row in rows] == ["1", "2"]
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    for row, evaluation in zip(rows, history["evaluations"], strict=True):
        assert int(row[1]) == evaluation["step"]
        assert row[2:] == (f"{evaluation['train_loss']:.3f}", f"{evaluation['val_loss']:.3f}")
    assert len(history["samples"]) == 2
    for sample in history["samples"]:
        assert sample.startswith(" ".join(text_file.read_text(encoding="utf-8").split()[:3]))
        assert " ".join(sample.split())[:40] in " ".join(ended.out.split())
    png = (run / "loss.png").read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    assert png.startswith(b"\x89PNG") and width > 400 and height > 200
    assert set(torch.load(run / "checkpoint.pt", weights_only=True)) >= {"model", "optimizer"}
    assert "from token frequencies alone" in ended.out
    assert str(run) in ended.out


def test_the_same_settings_give_the_same_run(script: Script, text_file: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        options = (*ON_SOLUTIONS, *SMALL, "--text", text_file, "--epochs", 1, "--out", tmp_path / name)
        assert script("train", *options).code == 0
    assert (tmp_path / "one/history.json").read_bytes() == (tmp_path / "two/history.json").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT, as a terminal does on Ctrl-C")
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(script: Script, text_file: Path, tmp_path: Path) -> None:
    common = ["--text", str(text_file), "--epochs", "4", "--eval-every", "5", "--dropout", "0.3"]
    common += [*ON_SOLUTIONS, *SMALL]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert script("train", *common, "--out", whole).code == 0
    command = [sys.executable, "-u", "-m", "scripts.train", *common, "--out", str(stopped)]
    environment = {**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1"}
    with subprocess.Popen(
        command, cwd=entry.ROOT, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if re.match(r" +1 +\d+ ", line):  # the first evaluation
                process.send_signal(signal.SIGINT)
    assert process.returncode == entry.INTERRUPTED, lines
    said = "".join(lines)
    assert f"--resume {stopped}" in " ".join(said.split())
    before = json.loads((stopped / "history.json").read_text(encoding="utf-8"))
    after = json.loads((whole / "history.json").read_text(encoding="utf-8"))
    assert 0 < before["step"] < after["step"]
    ended = script("train", *ON_SOLUTIONS, "--resume", stopped)
    assert ended.code == 0, ended.err
    assert (stopped / "history.json").read_bytes() == (whole / "history.json").read_bytes()
    one, other = (torch.load(run / "checkpoint.pt", weights_only=True)["model"] for run in (whole, stopped))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_run_that_is_resumed_stays_as_it_is(script: Script, text_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert script("train", *ON_SOLUTIONS, *SMALL, "--text", text_file, "--epochs", 1, "--out", run).code == 0
    before = (run / "history.json").read_bytes()
    assert script("train", *ON_SOLUTIONS, "--resume", run).code == 0
    assert (run / "history.json").read_bytes() == before


def test_a_resumed_run_keeps_its_settings(script: Script, tmp_path: Path) -> None:
    ended = script("train", *ON_SOLUTIONS, "--resume", tmp_path, "--layers", 3)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--layers" in ended.err


def test_a_run_whose_text_has_changed_is_not_resumed(script: Script, text_file: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    shutil.copy(text_file, mine)
    run = tmp_path / "run"
    assert script("train", *ON_SOLUTIONS, *SMALL, "--text", mine, "--epochs", 1, "--out", run).code == 0
    mine.write_text(mine.read_text(encoding="utf-8") + "And more.", encoding="utf-8")
    ended = script("train", *ON_SOLUTIONS, "--resume", run)
    assert ended.code == 2
    assert "text has changed" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--text", "no/such/file.txt"), "no/such/file.txt"),
        (("--resume", "no-such-run"), "no-such-run"),
        (("--epochs", "0"), "--epochs"),
        (("--dropout", "1.0"), "--dropout"),
        (("--lr", "fast"), "--lr"),
        (("--device", "abacus"), "abacus"),
        (("--emb-dim", "30", "--heads", "4"), "30"),
        (("--context-length", "60000"), "--context-length"),
        (("--corpus", "novel"), "novel"),
    ],
)
def test_wrong_input_gets_a_line_and_exit_code_2(script: Script, arguments: tuple[str, ...], said: str) -> None:
    ended = script("train", *ON_SOLUTIONS, *arguments)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert said in ended.err


@pytest.mark.parametrize("content", [b"", b" \n ", b"caf\xe9 " * 100])
def test_a_file_that_is_no_text_is_named(script: Script, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.txt"
    path.write_bytes(content)
    ended = script("train", *ON_SOLUTIONS, "--text", path)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert str(path) in ended.err


def run_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-m", "scripts.train", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_a_fresh_checkout_says_what_is_missing_and_offers_the_solutions(copy: Path) -> None:
    ended = run_in(copy)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "ex00_tensors is not done" in ended.stderr
    assert "--using solutions" in ended.stderr
    assert not (copy / "runs").exists()


def test_an_error_in_your_code_is_shown_with_your_line(copy: Path, text_file: Path) -> None:
    for path in (copy / "solutions").glob("ex*.py"):
        shutil.copy(path, copy / "exercises")
    model = copy / "exercises" / "ex09_gpt.py"
    text = model.read_text(encoding="utf-8")
    line = "        return self.out_head("
    assert text.count(line) == 1
    model.write_text(text.replace(line, "        raise KeyError('lost')\n" + line), encoding="utf-8")
    ended = run_in(copy, *SMALL, "--text", str(text_file))
    assert ended.returncode == 1
    number = text[: text.index(line)].count("\n") + 1
    assert "KeyError" in ended.stderr
    assert f"{Path('exercises', 'ex09_gpt.py')}:{number}, in forward" in ended.stderr
    assert "grader check ex09" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_the_first_exercise_that_is_open_is_named(copy: Path) -> None:
    exercises = copy / "exercises"
    needed = ["ex00_tensors", "ex01_text", "ex02_bpe_train", "ex03_bpe", "ex04_data", "ex05_embeddings"]
    needed += ["ex06_attention", "ex07_multihead", "ex08_block", "ex09_gpt", "ex10_generate", "ex11_loss"]
    needed += ["ex12_optim", "ex13_train", "ex14_weights"]  # each of which the scripts use
    for name in needed:
        problem = first_open(exercises)
        assert problem is not None and problem.startswith(f"{name} is not done")
        shutil.copy(copy / "solutions" / f"{name}.py", exercises)
    assert first_open(exercises) is None
    (exercises / "ex07_multihead.py").write_text("def split_heads(:\n", encoding="utf-8")
    assert "ex07_multihead is not done" in (first_open(exercises) or "")
    (exercises / "ex07_multihead.py").unlink()
    assert "ex07_multihead is not done" in (first_open(exercises) or "")


def test_the_story_is_what_it_is_said_to_be() -> None:
    story = STORY.read_bytes()
    assert 20_000 <= len(story) <= 40_000
    assert story.isascii() and b"\r" not in story


@pytest.mark.slow
@pytest.mark.parametrize("name", ["story", "the-verdict"])
def test_training_gets_below_what_frequencies_alone_can_do(
    script: Script, parts: Parts, tmp_path: Path, name: str
) -> None:
    """Validation loss below the unigram entropy of the text: more was learned than how often tokens occur."""
    path = STORY
    if name != "story":
        folder = os.environ.get("GPT_KATA_TEXTS")
        path = Path(folder or "", f"{name}.txt")
        if not folder or not path.exists():
            pytest.skip(f"GPT_KATA_TEXTS names no folder with {path.name}")
    run = tmp_path / "run"
    small = ("--layers", 2, "--emb-dim", 96, "--epochs", 6, "--sample-tokens", 1)
    assert script("train", *ON_SOLUTIONS, "--text", path, *small, "--out", run).code == 0
    tokenizer = parts.bpe.BPETokenizer.load(run / "tokenizer.json")
    text = parts.text.clean_text(path.read_text(encoding="utf-8"))
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    assert history["evaluations"][-1]["val_loss"] < entropy(tokenizer.encode(text))
