"""What a training keeps: no earlier run is replaced, no file is half there, the best state stays, all goes on."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from grader.errors import GraderError, UsageError
from scripts import entry
from scripts.parts import Parts
from scripts.training import loop
from scripts.training.networks import load_network
from scripts.training.runs import Run, chosen_run, find_run
from scripts.training.view import View

from .conftest import SMALL, Script
from .test_load_gpt2 import save_gpt2, write_vocabulary

ON_SOLUTIONS = ("--using", "solutions")
TINY = (*ON_SOLUTIONS, *SMALL, "--merges", 0, "--sample-tokens", 1, "--eval-batches", 1, "--warmup", 0)


@pytest.fixture(scope="module")
def short(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three thousand characters: an epoch of 42 steps."""
    path = tmp_path_factory.mktemp("short") / "short.txt"
    path.write_text(text_file.read_text(encoding="utf-8")[:3000], encoding="utf-8")
    return path


def saved(run: Path, file: str = "checkpoint.pt") -> dict[str, Any]:
    """The history in a checkpoint."""
    history: dict[str, Any] = torch.load(run / file, weights_only=True)["extra"]["history"]
    return history


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["train", "finetune_classifier", "finetune_instructions"])
@pytest.mark.parametrize("file", ["settings.json", "checkpoint.pt", "best.pt", "tokenizer.json", "loss.png"])
def test_a_folder_with_a_run_is_not_begun_in(script: Script, tmp_path: Path, name: str, file: str) -> None:
    (tmp_path / file).write_text("precious")
    ended = script(name, *ON_SOLUTIONS, "--out", tmp_path)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert "--resume" in ended.err and "--out" in ended.err and file in ended.err
    assert tree(tmp_path) == {file: b"precious"}


def test_a_folder_without_a_run_is_taken_and_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("mine")
    assert chosen_run(str(tmp_path), "x").folder == tmp_path
    assert chosen_run(str(tmp_path / "new" / "run"), "x").folder == tmp_path / "new" / "run"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.md"]
    (tmp_path / "best.pt").symlink_to(tmp_path / "nowhere")
    refused = [str(tmp_path), str(tmp_path / "notes.md"), str(tmp_path / "notes.md" / "run"), "", "x" * 300]
    for out in [*refused, *(["/proc/run"] if Path("/proc").is_dir() else [])]:
        with pytest.raises(UsageError) as raised:
            chosen_run(out, "x")
        assert "\n" not in str(raised.value)
    assert len(chosen_run(None, "x" * 250).folder.name) < 100


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), RuntimeError("inline_container")],
)
def test_a_checkpoint_is_written_whole_or_not_at_all(
    parts: Parts, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    run = Run(tmp_path)
    model = load_network(parts, Run(base), Run(base).settings())
    run.save(parts, model, is_best=True)
    before = tree(tmp_path)
    assert sorted(before) == ["best.pt", "checkpoint.pt"]
    real = parts.weights.save_checkpoint

    def half(path: Path, *how: Any) -> None:
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(parts.weights, "save_checkpoint", half)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else GraderError):
        run.save(parts, model, is_best=True)
    assert tree(tmp_path) == before
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "of-a-killed-one").write_bytes(b"half")
    monkeypatch.setattr(parts.weights, "save_checkpoint", real)
    run.save(parts, model)
    assert sorted(tree(tmp_path)) == sorted(before)


def test_a_run_is_saved_at_its_beginning_in_between_and_at_its_end(
    script: Script, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is no evaluation, and at the last step."""
    steps: list[int] = []
    save = Run.save

    def noted(self: Run, parts: Parts, model: Any, optimizer: Any, history: Any, *how: Any, **also: Any) -> None:
        steps.append(history.step)
        save(self, parts, model, optimizer, history, *how, **also)

    monkeypatch.setattr(Run, "save", noted)
    rare = (*TINY, "--text", short, "--eval-every", 1000, "--steps", 3)
    assert script("train", *rare, "--out", tmp_path / "one").code == 0
    assert steps == [0, 3]
    steps.clear()
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    assert script("train", *rare, "--out", tmp_path / "two").code == 0
    assert steps == [0, 1, 2, 3]


def test_a_fine_tuning_saves_its_last_step(script: Script, base: Path, messages: Path, tmp_path: Path) -> None:
    how = (*ON_SOLUTIONS, "--from", base, "--data", messages, "--epochs", 1, "--eval-every", 1000)
    ended = script("finetune_classifier", *how, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    step = json.loads((tmp_path / "run" / "history.json").read_text(encoding="utf-8"))["step"]
    assert saved(tmp_path / "run")["step"] == step > 0
    assert "loss.png" not in ended.out and not (tmp_path / "run" / "loss.png").exists()


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("messages") / "messages.csv"
    rows = [f"{label},{label} message {number}" for number in range(12) for label in ("ham", "spam")]
    path.write_text("\n".join(["label,text", *rows]), encoding="utf-8")
    return path


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that a training gets, one after each step from the second on."""
    pending: list[int] = []
    show = View.show

    def send(self: View, history: Any) -> None:
        show(self, history)
        if history.step >= 2 and pending:
            os.kill(os.getpid(), pending.pop(0))

    monkeypatch.setattr(View, "show", send)
    yield pending


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", [pytest.param("SIGTERM", marks=pytest.mark.slow), "SIGHUP"])
def test_a_signal_saves_and_the_run_goes_on(
    script: Script, short: Path, tmp_path: Path, signalled: list[int], name: str
) -> None:
    how = (*TINY, "--text", short, "--steps", 6, "--eval-every", 2)
    assert script("train", *how, "--out", tmp_path / "whole").code == 0
    number = getattr(signal, name)
    signalled.append(number)
    before = signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may have switched it off
    try:
        ended = script("train", *how, "--out", tmp_path / "run")
    finally:
        signal.signal(number, before)
    assert ended.code == entry.INTERRUPTED
    assert saved(tmp_path / "run")["step"] == 3
    assert script("train", *ON_SOLUTIONS, "--resume", tmp_path / "run").code == 0
    assert saved(tmp_path / "run") == saved(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_closed_terminal_that_is_ignored_stays_ignored(
    script: Script, short: Path, tmp_path: Path, signalled: list[int]
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signalled.append(signal.SIGHUP)
        ended = script("train", *TINY, "--text", short, "--steps", 4, "--out", tmp_path / "run")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended.code == 0 and saved(tmp_path / "run")["step"] == 4


def test_the_best_state_is_kept(script: Script, parts: Parts, short: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # The learning rate rises to where the loss goes up again, on whatever machine.
    rates = ("--lr", 5, "--warmup", 11)
    ended = script("train", *TINY, *rates, "--text", short, "--steps", 12, "--eval-every", 1, "--out", run)
    assert ended.code == 0, ended.err
    losses = [evaluation["val_loss"] for evaluation in saved(run)["evaluations"]]
    best = losses.index(min(losses)) + 1
    assert best < len(losses) == 12
    assert saved(run, "best.pt")["step"] == best
    assert f"step {best}" in ended.out and "best.pt" in ended.out
    checkpoint = find_run(str(run / "best.pt"))
    weights = load_network(parts, checkpoint, checkpoint.settings()).state_dict()
    assert all(torch.equal(weights[name], value) for name, value in model_in(run / "best.pt").items())
    ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run / "best.pt", "--prompt", "A", "--new-tokens", 2)
    assert ended.code == 0, ended.err
    ended = script("train", *ON_SOLUTIONS, "--resume", run / "best.pt")
    assert (ended.code, ended.err.count("\n")) == (2, 1) and "--from" in ended.err


def model_in(path: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["model"]
    return weights


@pytest.mark.slow
def test_a_run_can_get_more_epochs_but_not_fewer(script: Script, short: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert script("train", *TINY, "--text", short, "--epochs", 1, "--out", run).code == 0
    steps = saved(run)["step"]
    ended = script("train", *ON_SOLUTIONS, "--resume", run, "--epochs", 2)
    assert ended.code == 0, ended.err
    assert "2 epochs instead of 1" in ended.out and "learning rate" in ended.out
    assert saved(run)["step"] == 2 * steps
    rates = [evaluation["learning_rate"] for evaluation in saved(run)["evaluations"]]
    assert rates == pytest.approx([1e-4, 1e-4], rel=0.1)
    before = tree(run)
    ended = script("train", *ON_SOLUTIONS, "--resume", run, "--epochs", 1)
    assert (ended.code, ended.err.count("\n")) == (2, 1) and "--resume" in ended.err
    assert script("train", *ON_SOLUTIONS, "--resume", run, "--epochs", 2).code == 0
    assert tree(run).keys() == before.keys()
    assert {name: tree(run)[name] for name in ("settings.json", "checkpoint.pt")} == {
        name: before[name] for name in ("settings.json", "checkpoint.pt")
    }
    limited = tmp_path / "limited"
    assert script("train", *TINY, "--text", short, "--steps", 1, "--out", limited).code == 0
    ended = script("train", *ON_SOLUTIONS, "--resume", limited, "--epochs", 99)
    assert (ended.code, ended.err.count("\n")) == (2, 1) and "--steps" in ended.err


@pytest.mark.slow
def test_a_fine_tuning_can_get_more_epochs(script: Script, base: Path, messages: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    how = (*ON_SOLUTIONS, "--from", base, "--data", messages, "--epochs", 1, "--out", run)
    assert script("finetune_classifier", *how).code == 0
    steps = saved(run)["step"]
    ended = script("finetune_classifier", *ON_SOLUTIONS, "--resume", run)
    assert ended.code == 0 and saved(run)["step"] == steps
    ended = script("finetune_classifier", *ON_SOLUTIONS, "--resume", run, "--epochs", 3)
    assert ended.code == 0, ended.err
    assert saved(run)["step"] == 3 * steps and "3 epochs instead of 1" in ended.out


def test_weights_that_were_loaded_are_trained_on(script: Script, base: Path, short: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    how = (*ON_SOLUTIONS, "--from", base, "--text", short, "--context-length", 32, "--batch-size", 2)
    how = (*how, "--sample-tokens", 1, "--warmup", 0)
    ended = script("train", *how, "--steps", 1, "--lr", 1e-30, "--out", run)
    assert ended.code == 0, ended.err
    begun, there = model_in(base / "checkpoint.pt"), model_in(run / "checkpoint.pt")
    assert all(torch.equal(there[name], value) for name, value in begun.items())
    assert (run / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert Run(run).settings().model == Run(base).settings().model
    assert script("train", *how, "--steps", 3, "--out", tmp_path / "more").code == 0
    before = tree(tmp_path / "more")
    assert script("train", *ON_SOLUTIONS, "--resume", tmp_path / "more").code == 0
    assert tree(tmp_path / "more")["checkpoint.pt"] == before["checkpoint.pt"]


def test_gpt2_is_trained_on(script: Script, parts: Parts, short: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "gpt2", tmp_path / "run"
    save_gpt2(folder, write_vocabulary(parts, folder), 32, 4, 2, True)
    how = (*ON_SOLUTIONS, "--from", folder, "--text", short, "--sample-tokens", 1)
    ended = script("train", *how, "--steps", 1, "--out", run)
    assert ended.code == 0, ended.err
    assert Run(run).settings().model.config["qkv_bias"]
    assert script("train", *ON_SOLUTIONS, "--resume", run).code == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--layers", 3),
        ("--heads", 4),
        ("--emb-dim", 32),
        ("--merges", 61),
        ("--vocabulary", "gpt2"),
        ("--context-length", 300),
        ("--untied", None),
    ],
)
def test_an_option_that_contradicts_the_weights_is_named(
    script: Script, base: Path, short: Path, tmp_path: Path, option: str, value: object
) -> None:
    given = (option,) if value is None else (option, value)
    how = (*ON_SOLUTIONS, "--from", base, "--text", short, *given, "--out", tmp_path / "run")
    ended = script("train", *how)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert option in ended.err and "--from" in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_damaged_run_is_named_in_a_sentence(script: Script, short: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert script("train", *TINY, "--text", short, "--steps", 1, "--out", run).code == 0
    whole = tree(run)
    other = {"a": 1}
    torch.save(other, tmp_path / "other.pt")
    torch.save({**torch.load(run / "checkpoint.pt", weights_only=True), "extra": {}}, tmp_path / "bare.pt")
    for file, content in (
        ("checkpoint.pt", whole["checkpoint.pt"][:3000]),
        ("checkpoint.pt", b"hello"),
        ("checkpoint.pt", (tmp_path / "other.pt").read_bytes()),
        ("checkpoint.pt", (tmp_path / "bare.pt").read_bytes()),
        ("checkpoint.pt", None),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", None),
        ("settings.json", b'{"model": '),
        ("settings.json", b"[]"),
        ("settings.json", b"\xff"),
        ("settings.json", None),
    ):
        (run / file).unlink()
        if content is not None:
            (run / file).write_bytes(content)
        ended = script("train", *ON_SOLUTIONS, "--resume", run)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert str(run) in ended.err and file.partition(".")[0] in ended.err and "check ex" not in ended.err
        (run / file).write_bytes(whole[file])
    for path in ("x" * 300, "", str(short), "nowhere/best.pt"):
        ended = script("train", *ON_SOLUTIONS, "--resume", path)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
