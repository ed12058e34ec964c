"""How the scripts are run in a test: in this process, with a small model, on the reference."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from grader.course import catalogue
from grader.judge.results import ExerciseResult, Status
from grader.learner.history import Store
from grader.report.console import Page
from scripts import entry
from scripts.inputs.corpora import Corpus
from scripts.parts import Parts, load_parts
from scripts.train import DEFAULTS
from scripts.training import pretraining
from scripts.training.runs import Run

SMALL = ("--layers", "1", "--heads", "2", "--emb-dim", "32", "--context-length", "16", "--merges", "100")


@dataclass(frozen=True)
class Ended:
    """What a script left behind: its exit code and what it wrote."""

    code: int
    out: str
    err: str


Script = Callable[..., Ended]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Script]:
    """Runs a script by its name and arguments."""
    monkeypatch.setenv("GPT_KATA_NO_BOOTSTRAP", "1")
    monkeypatch.setenv("COLUMNS", "100")

    def run(name: str, *arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        module = importlib.import_module(f"scripts.{name}")
        code = entry.run(f"scripts.{name}", module.main)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    yield run


@pytest.fixture(scope="session")
def parts() -> Parts:
    return load_parts("solutions", "scripts.train")


def pretrained(parts: Parts, folder: Path, corpus: Corpus, **chosen: int) -> Path:
    """A run of `scripts.train` with these options, made without showing anything."""
    run = Run(folder / "run")
    page = Page()
    page.console.quiet = True
    options = {**DEFAULTS, "sample_tokens": 1, **chosen}
    assert pretraining.begin(parts, options, run, corpus, page, torch.device("cpu"))
    return run.folder


@pytest.fixture(scope="session")
def base(parts: Parts, text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to fine-tune from: hardly trained, with room for an instruction and its answer."""
    sizes = {"layers": 2, "heads": 2, "emb_dim": 16, "context_length": 256, "merges": 60, "batch_size": 2}
    return pretrained(parts, tmp_path_factory.mktemp("base"), Corpus(file=str(text_file)), epochs=1, **sizes)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten thousand characters of the story: enough for a few short epochs."""
    path = tmp_path_factory.mktemp("text") / "short.txt"
    path.write_text((entry.ROOT / "data" / "story.txt").read_text(encoding="utf-8")[:10_000], encoding="utf-8")
    return path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A fresh checkout, as far as the scripts need it: `exercises/` holds the stubs."""
    for folder in ("grader", "scripts", "solutions", "data", "notebooks"):
        shutil.copytree(entry.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "constraints.txt"):
        shutil.copy(entry.ROOT / file, tmp_path / file)
    exercises = tmp_path / "exercises"
    exercises.mkdir()
    (exercises / "__init__.py").touch()
    for exercise in catalogue.load(entry.ROOT):
        (exercises / exercise.file_name).write_text(exercise.stub, encoding="utf-8")
    return tmp_path


def solve(copy: Path, name: str, status: Status = Status.PASSED, old: str = "", new: str = "") -> Path:
    """Put the solution of an exercise, with `new` for `old`, into the learner's folder, and its verdict into the
    history."""
    text = (copy / "solutions" / f"{name}.py").read_text(encoding="utf-8")
    assert old in text
    path = copy / "exercises" / f"{name}.py"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    store = Store(copy / ".grader" / "progress.sqlite3")
    attempt = store.keep(name, path.read_text(encoding="utf-8"), "graded", 17)
    store.finish(attempt, ExerciseResult(name, status, 0.1, ()))
    store.close()
    return path
