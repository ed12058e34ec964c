"""What is said to be in force was refused in a trial, and nothing else is said to be in force."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import grader.supervisor.protections
from grader.errors import GraderError
from grader.protocol.job import Job, Limits
from grader.protocol.layers import NEWEST_LANDLOCK, WITHOUT
from grader.protocol.runs import CheckRun, Ending, Failure, Observation, SubjectRun
from grader.sandbox.confine import confine
from grader.supervisor.launcher import Launcher
from grader.supervisor.protections import FOLDER, TRIED, Protection, as_line, require_all, try_all
from grader.supervisor.start import start_launcher
from tests.mini import ROOT

REFERENCE = ROOT / "solutions" / "ex06_attention.py"
OFF = dict.fromkeys(("files", "network", "processes", "reference-hidden", "memory"), "no")
NOT_TRIED = dict.fromkeys(OFF, "not-tried")
PROBES = (FOLDER / "probes.py").read_text(encoding="utf-8")
ALL = {
    "files": "yes(landlock)",
    "network": "yes(seccomp)",
    "processes": "yes(seccomp)",
    "reference-hidden": "yes",
    "memory": "limit+poll",
}
Pretend = Callable[..., tuple[Protection, ...]]
LIMIT = Failure(("limit",), "made more than 20 files")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")


class Pretended:
    """A launcher that starts nothing: `run` stands for running a job, and ends each check as it is told here.

    `jobs` are those that were asked for.
    """

    def __init__(self, scratch: Path, *runs: CheckRun) -> None:
        self.scratch = scratch
        self.jobs: list[Job] = []
        self._runs = runs

    def run(self, launcher: Launcher, job: Job) -> SubjectRun:
        self.jobs.append(job)
        return SubjectRun(self._runs)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pretend:
    """What is said to be in force if the trials end like this."""

    def found(*runs: CheckRun) -> tuple[Protection, ...]:
        pretended = Pretended(tmp_path, *runs)
        monkeypatch.setattr(grader.supervisor.protections, "run", pretended.run)
        return try_all(pretended, Path(), Path())  # type: ignore[arg-type]

    return found


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
        assert "not tried" not in protection.detail
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


ONLY_SECCOMP = {
    "opening a socket",
    "sending from a pair of sockets to elsewhere",
    "connecting a pair of sockets elsewhere",
    "starting a process",
    "having the system send one",
    "making others wait who open a file",
    "watching the files of others",
    "taking disk without writing",
    "making files without a name",
    "hiding what it writes from the grader",
    "living on when the grader is killed",
}


def confined(scratch: Path, told: Connection) -> None:
    """Confine this process, try what a confined process may not, and tell what was possible."""
    os.chdir(scratch)
    (scratch.parent / "throwaway").touch()
    confine(scratch, Limits(20.0), 20.0)
    names: dict[str, Any] = {"REFERENCE": str(REFERENCE), "SUPERVISOR": os.getppid()}
    names |= {"OTHER_FILE": str(ROOT / "pyproject.toml"), "THROWAWAY_FILE": str(scratch.parent / "throwaway")}
    exec(PROBES, names)
    possible: list[str] = []
    for trial in TRIED:
        names[trial.check](lambda _, acts: possible.extend(acts))
    told.send(possible)


@on_linux
@pytest.mark.parametrize("version", range(1, 7))
def test_what_an_older_landlock_leaves_open_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: int
) -> None:
    """Nothing, where seccomp is there too: it refuses what Landlock came to know later."""
    monkeypatch.setenv(NEWEST_LANDLOCK, str(version))
    (tmp_path / "scratch").mkdir()
    possible = []
    for layers in ("limits", "limits,seccomp"):
        monkeypatch.setenv(WITHOUT, layers)
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=confined, args=(tmp_path / "scratch", there))
        process.start()
        there.close()
        possible.append(here.recv())
        process.join()
    with_seccomp, without = possible
    assert with_seccomp == []
    assert ("emptying one" in without) == (version < 3)
    assert ("sending a signal to the process that started it" in without) == (version < 6)
    assert set(without) >= ONLY_SECCOMP


def test_what_was_not_tried_is_not_in_force(pretend: Pretend) -> None:
    assert values(pretend()) == NOT_TRIED
    crashed = Failure(("crashed",), "the process was ended by signal SIGKILL")
    assert values(pretend(CheckRun("test_files", Ending.CRASHED, (), crashed))) == NOT_TRIED
    found = pretend(CheckRun("test_network", Ending.RETURNED))
    assert values(found) == NOT_TRIED
    assert all("not tried" in protection.detail for protection in found)
    assert not any("refused" in protection.detail or "possible" in protection.detail for protection in found)


def test_what_was_not_tried_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a busy machine the limit that the last check is to reach may be put on the first, and take all along."""
    reached = CheckRun("test_files", Ending.LIMIT, (), LIMIT)
    busy = Pretended(tmp_path, CheckRun("import", Ending.RETURNED), reached)

    def run(launcher: Launcher, job: Job) -> SubjectRun:
        if not busy.jobs:
            return busy.run(launcher, job)
        busy.jobs.append(job)
        (check,) = job.checks
        if check == "test_poll":
            return SubjectRun((CheckRun(check, Ending.LIMIT, (), LIMIT),))
        return SubjectRun((returned(check),))

    monkeypatch.setattr(grader.supervisor.protections, "run", run)
    assert values(try_all(busy, Path(), Path())) == ALL  # type: ignore[arg-type]
    assert len(busy.jobs[0].checks) == len(busy.jobs) - 1


def test_a_limit_on_memory_is_not_taken_for_one_on_files(pretend: Pretend) -> None:
    memory = pretend(CheckRun("test_memory", Ending.LIMIT, (), LIMIT))[-1]
    assert memory.value == "not-tried"
    assert memory.detail == "allocating 2 GB: not tried; using too much: not tried"


def test_what_was_refused_is_in_force(pretend: Pretend) -> None:
    refused = [returned(f"test_{name}") for name in ("files", "network", "processes", "reference", "memory")]
    found = pretend(*refused, CheckRun("test_poll", Ending.LIMIT, (), LIMIT))
    assert values(found) == ALL
    assert as_line(values(found)) == (
        "protections: files=yes(landlock) network=yes(seccomp) processes=yes(seccomp) reference-hidden=yes "
        "memory=limit+poll"
    )


def test_one_act_that_is_possible_is_enough_to_be_without(pretend: Pretend) -> None:
    found = pretend(returned("test_files", "writing to one"), returned("test_network"))
    assert values(found) == NOT_TRIED | {"files": "no", "network": "yes(seccomp)"}
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
