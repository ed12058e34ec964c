"""Which protections are in force here: each found by attempting the forbidden act in a throwaway process.

No version is read and no capability assumed. Only an act that was refused is protected against: one that was
possible is not, nor one that could not be tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grader.processes.launch import Launcher
from grader.processes.supervise import run
from grader.records import CheckRun, Ending
from grader.subject.job import Job, Limits, Source

TRIAL_MEMORY = 2**30
TRIALS = """
import os, socket


def test_files(subject, observe):
    with open({other_file!r}, "rb") as stream:
        observe("read", len(stream.read(1)))


def test_reference(subject, observe):
    with open({reference!r}, "rb") as stream:
        observe("read", len(stream.read(1)))


def test_network(subject, observe):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        observe("port opened", listener.getsockname()[1] > 0)


def test_memory(subject, observe):  # last, because being out of memory ends the process
    block = bytearray({too_much})
    observe("allocated", len(block))
"""


@dataclass(frozen=True)
class Protection:
    """One protection: `value` is what the protections line says, `detail` what was tried and what happened."""

    name: str
    value: str
    detail: str


def attempt_all(launcher: Launcher, root: Path, reference: Path) -> tuple[Protection, ...]:
    """Try each forbidden act once. Takes some hundredths of a second."""
    probes = TRIALS.format(
        too_much=2 * TRIAL_MEMORY, other_file=str(root / "pyproject.toml"), reference=str(reference)
    )
    names = ("test_files", "test_reference", "test_network", "test_memory")
    empty = Source("trial.py", "")
    job = Job("trial", {"trial": empty}, Source("trials", probes), names, 0, Limits(20.0, TRIAL_MEMORY))
    tried = run(launcher, job).by_name()
    return (
        _protection("files", tried.get("test_files"), "yes", "reading a file of this repository"),
        _protection("network", tried.get("test_network"), "yes", "opening a port on this machine"),
        _protection(
            "memory",
            tried.get("test_memory"),
            "limit+poll",
            f"allocating {2 * TRIAL_MEMORY / 2**30:.0f} GB",
            "poll",
        ),
        _protection("reference-hidden", tried.get("test_reference"), "yes", "reading the solution from disk"),
    )


def _protection(name: str, attempt: CheckRun | None, in_force: str, act: str, otherwise: str = "no") -> Protection:
    if attempt is None or (attempt.failure is None and attempt.ending is not Ending.RETURNED):
        return Protection(name, otherwise, f"{act} could not be tried")
    if attempt.ending in (Ending.RAISED, Ending.LIMIT) and attempt.failure:
        return Protection(name, in_force, f"{act} was refused ({attempt.failure.types[0]})")
    what = "was possible" if attempt.ending is Ending.RETURNED else f"could not be tried ({attempt.ending})"
    return Protection(name, otherwise, f"{act} {what}")


def as_line(protections: dict[str, str]) -> str:
    """The one honest line."""
    return "protections: " + " ".join(f"{name}={value}" for name, value in protections.items())
