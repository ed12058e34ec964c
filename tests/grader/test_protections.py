"""What is said to be in force was refused in a trial, and nothing else is said to be in force."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import grader.supervisor.protections
from grader.errors import GraderError
from grader.protocol.job import Job
from grader.protocol.layers import WITHOUT
from grader.protocol.runs import CheckRun, Ending, Failure, Observation, SubjectRun
from grader.supervisor.launcher import Launcher
from grader.supervisor.protections import Protection, as_line, require_all, try_all
from grader.supervisor.start import start_launcher
from tests.mini import ROOT

REFERENCE = ROOT / "solutions" / "ex06_attention.py"
OFF = {"files": "no", "network": "no", "processes": "no", "reference-hidden": "no", "memory": "no"}
ALL = {
    "files": "yes(landlock)",
    "network": "yes(seccomp)",
    "processes": "yes(seccomp)",
    "reference-hidden": "yes",
    "memory": "limit+poll",
}
LIMIT = Failure(("limit",), "made more than 20 files")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")


def pretend(monkeypatch: pytest.MonkeyPatch, *runs: CheckRun) -> tuple[Protection, ...]:
    """What is said to be in force if the trials end like this."""

    def run(launcher: Launcher, job: Job) -> SubjectRun:
        return SubjectRun(runs)

    monkeypatch.setattr(grader.supervisor.protections, "run", run)
    return try_all(None, Path(), Path())  # type: ignore[arg-type]


def returned(check: str, *possible: str) -> CheckRun:
    return CheckRun(check, Ending.RETURNED, (Observation("possible", list(possible)),))


def values(protections: tuple[Protection, ...]) -> dict[str, str]:
    return {protection.name: protection.value for protection in protections}


@contextmanager
def started_without(monkeypatch: pytest.MonkeyPatch, layers: str) -> Iterator[Launcher]:
    monkeypatch.setenv(WITHOUT, layers)
    started = start_launcher(seed=17)
    try:
        yield started
    finally:
        started.close()


def test_every_act_is_really_tried(subject_processes: Launcher) -> None:
    for protection in try_all(subject_processes, ROOT, REFERENCE):
        assert "could not be tried" not in protection.detail
        assert "refused" in protection.detail or "possible" in protection.detail


@on_linux
def test_all_of_them_are_in_force_here(subject_processes: Launcher) -> None:
    protections = try_all(subject_processes, ROOT, REFERENCE)
    assert values(protections) == ALL
    require_all(protections)


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize(
    ("layers", "otherwise"),
    [
        ("landlock", {"files": "python-only", "reference-hidden": "python-only"}),
        ("landlock,guard", {"files": "no", "reference-hidden": "no"}),
        ("seccomp", {"network": "python-only", "processes": "python-only"}),
        ("limits", {"memory": "poll"}),
        ("poll", {"memory": "limit"}),
        ("guard", {}),
        ("landlock,seccomp,guard,limits,poll", OFF),
    ],
)
def test_what_is_left_out_is_found_missing(
    monkeypatch: pytest.MonkeyPatch, layers: str, otherwise: dict[str, str]
) -> None:
    with started_without(monkeypatch, layers) as processes:
        protections = try_all(processes, ROOT, REFERENCE)
    assert values(protections) == ALL | otherwise
    if otherwise:
        with pytest.raises(GraderError) as refusal:
            require_all(protections)
        assert all(name in str(refusal.value) for name in otherwise)


def test_what_was_not_tried_is_not_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    assert values(pretend(monkeypatch)) == OFF
    crashed = Failure(("crashed",), "the process was ended by signal SIGKILL")
    assert values(pretend(monkeypatch, CheckRun("test_files", Ending.CRASHED, (), crashed))) == OFF
    assert values(pretend(monkeypatch, CheckRun("test_network", Ending.RETURNED))) == OFF


def test_what_was_refused_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = [returned(f"test_{name}") for name in ("files", "network", "processes", "reference", "memory")]
    found = pretend(monkeypatch, *refused, CheckRun("test_poll", Ending.LIMIT, (), LIMIT))
    assert values(found) == ALL
    assert as_line(values(found)) == (
        "protections: files=yes(landlock) network=yes(seccomp) processes=yes(seccomp) reference-hidden=yes "
        "memory=limit+poll"
    )


def test_one_act_that_is_possible_is_enough_to_be_without(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pretend(monkeypatch, returned("test_files", "writing to one"), returned("test_network"))
    assert values(found) == OFF | {"network": "yes(seccomp)"}
    assert found[0].detail == "writing to one: possible"


@on_linux
def test_strict_grades_nothing_without_every_protection(
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    strict = ("check", "ex00", "--on", "solutions", "--require", "strict")
    done = command(*strict)
    assert done.returncode == 0
    done = command(*strict, GPT_KATA_WITHOUT="landlock")
    assert done.returncode == 3
    assert "files" in done.stderr and "reference-hidden" in done.stderr
    assert "passed" not in done.stdout
