"""A part that passes for the first time is told what it does for the learner's GPT."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from grader.commands.milestone import milestone
from grader.course.catalogue import exercise_ids
from grader.judge.results import ExerciseResult, Status
from grader.learner.history import Attempt, Store
from grader.supervisor.launcher import Launcher
from tests.mini import ROOT


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state" / "progress.sqlite3")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The course, without any run."""
    for folder in ("solutions", "scenes", "tutor", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    return tmp_path


def result(name: str, status: Status = Status.PASSED) -> ExerciseResult:
    return ExerciseResult(name, status, 0.1, ())


def attempt(name: str, status: Status) -> Attempt:
    return Attempt(1, name, "", datetime.now(UTC), "graded", 17, status, {})


def test_a_new_part_is_named_once(store: Store, subject_processes: Launcher, root: Path) -> None:
    def said(before: dict[str, Attempt], *results: ExerciseResult) -> str:
        return milestone(root, before, results, store, subject_processes)

    line = "Your attention is in your GPT now. Let it learn, with the reference for what is missing: "
    assert said({}, result("ex05_embeddings"), result("ex06_attention")).startswith(line)
    assert said({"ex06_attention": attempt("ex06_attention", Status.WRONG)}, result("ex06_attention")).startswith(
        line
    )
    assert said({"ex06_attention": attempt("ex06_attention", Status.PASSED)}, result("ex06_attention")) == ""
    assert said({}, result("ex06_attention", Status.WRONG)) == ""
    assert said({}, result("ex00_tensors")) == ""
    assert "heads are in your GPT" in said({}, result("ex07_multihead"))
    assert "loss is in your GPT" in said({}, result("ex11_loss"))


def test_where_nothing_is_missing_all_of_it_is_yours(store: Store, subject_processes: Launcher, root: Path) -> None:
    names = [name for name in exercise_ids(root) if "ex02" <= name < "ex15"]
    done = [result(name) for name in names]
    line = milestone(root, {}, done, store, subject_processes)
    assert line.endswith("all of it is yours. Let it learn: python3 -m scripts.train")
    before = {name: attempt(name, Status.PASSED) for name in names[:-1]}
    assert milestone(root, before, done[-1:], store, subject_processes) == line
    assert "what is missing" in milestone(root, {}, done[:-1], store, subject_processes)


def test_a_broken_run_is_passed_over(store: Store, subject_processes: Launcher, root: Path) -> None:
    run = root / "runs" / "2026-01-01-000000-story"
    run.mkdir(parents=True)
    (run / "settings.json").write_text("{", encoding="utf-8")
    assert "in your GPT now" in milestone(root, {}, [result("ex06_attention")], store, subject_processes)
    (run / "settings.json").write_text('{"training": {}}', encoding="utf-8")
    (run / "checkpoint.pt").write_bytes(b"no checkpoint")
    assert "in your GPT now" in milestone(root, {}, [result("ex06_attention")], store, subject_processes)
