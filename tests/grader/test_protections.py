"""What is said to be in force was refused in a trial, and nothing else is said to be in force."""

from __future__ import annotations

from pathlib import Path

import pytest

import grader.protections
from grader.processes.launch import Launcher
from grader.protections import Protection, as_line, attempt_all
from grader.records import CheckRun, Ending, Failure, SubjectRun
from grader.subject.job import Job

from .conftest import ROOT

REFERENCE = ROOT / "solutions" / "ex06_attention.py"
OFF = {"files": "no", "network": "no", "memory": "poll", "reference-hidden": "no"}


def pretend(monkeypatch: pytest.MonkeyPatch, *runs: CheckRun) -> dict[str, str]:
    """What is said to be in force if the trials end like this."""

    def run(launcher: Launcher, job: Job) -> SubjectRun:
        return SubjectRun(runs)

    monkeypatch.setattr(grader.protections, "run", run)
    return values(attempt_all(None, Path(), Path()))  # type: ignore[arg-type]


def values(protections: tuple[Protection, ...]) -> dict[str, str]:
    return {protection.name: protection.value for protection in protections}


def test_every_act_is_really_tried(subject_processes: Launcher) -> None:
    for protection in attempt_all(subject_processes, ROOT, REFERENCE):
        assert protection.detail.endswith("was possible") or " was refused (" in protection.detail


def test_what_was_not_tried_is_not_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretend(monkeypatch) == OFF
    crashed = Failure(("crashed",), "the process was ended by signal SIGKILL")
    assert pretend(monkeypatch, CheckRun("test_files", Ending.CRASHED, (), crashed)) == OFF
    assert pretend(monkeypatch, CheckRun("test_network", Ending.RETURNED)) == OFF


def test_what_was_refused_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Failure(("PermissionError", "OSError", "Exception"), "not permitted")
    runs = [CheckRun(f"test_{name}", Ending.RAISED, (), refused) for name in ("files", "network", "reference")]
    found = pretend(monkeypatch, *runs, CheckRun("test_memory", Ending.LIMIT, (), refused))
    assert found == {"files": "yes", "network": "yes", "memory": "limit+poll", "reference-hidden": "yes"}
    assert as_line(found) == "protections: files=yes network=yes memory=limit+poll reference-hidden=yes"
