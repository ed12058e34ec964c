"""Which protections are in force here: each found by trying forbidden acts in a throwaway process.

No version is read and no capability assumed. Only what was refused is protected against: not what was possible,
nor what was not tried, where the machine is too busy or has no room for a process. The acts go past Python to the
system itself, because Python's own refusals (grader/sandbox/guard.py) stop accidents, not intent.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from grader.errors import GraderError
from grader.protocol.job import Job, Limits, Source
from grader.protocol.runs import CheckRun, Ending
from grader.protocol.scratch import remember, remove_tree
from grader.supervisor.jobs import run
from grader.supervisor.launcher import Launcher

TRIAL_MEMORY = 2**30
TRIAL_FILES = 20
# How long the grader has to see that too much is used: on a busy machine it may come to look once a second.
TRIAL_SECONDS = 6
ATTEMPTS = 3
FOLDER = Path(__file__).parent / "trials"
ALLOCATING, MAKING_FILES = "test_memory", "test_poll"
# What is said where one of these was ended for what it does.
USING_TOO_MUCH = {ALLOCATING: "memory", MAKING_FILES: "files"}


@dataclass(frozen=True)
class Trial:
    """A protection to be tried.

    Its name in the line, its probe, what the line says where it is in force, and what is tried.
    """

    name: str
    check: str
    in_force: str
    acts: str


PYTHON_ONLY = "python-only"
NOT_TRIED = "not-tried"
TRIED = (
    Trial("files", "test_files", "yes(landlock)", "reading, writing and emptying files of this repository"),
    Trial("network", "test_network", "yes(seccomp)", "opening a socket, and reaching one from a pair of its own"),
    Trial(
        "processes",
        "test_processes",
        "yes(seccomp)",
        "starting a process, sending a signal to one or having it sent, making others wait, hiding from the "
        "grader, outliving it, and taking disk out of its sight",
    ),
    Trial(
        "reference-hidden",
        "test_reference",
        "yes",
        "reading the solution from disk, and the memory of the processes above",
    ),
)


@dataclass(frozen=True)
class Protection:
    """One protection: `value` is what the protections line says, `detail` what was tried and what happened."""

    name: str
    value: str
    detail: str
    in_force: bool


def try_all(launcher: Launcher, root: Path, reference: Path) -> tuple[Protection, ...]:
    """Try each forbidden act once, and what was not tried then again. Takes some hundredths of a second."""
    folder = Path(tempfile.mkdtemp(dir=launcher.scratch))
    remember(folder)
    try:
        throwaway = folder / "throwaway"
        throwaway.touch()
        return _try_all(launcher, root, reference, throwaway)
    finally:
        remove_tree(folder)


def _try_all(launcher: Launcher, root: Path, reference: Path, throwaway: Path) -> tuple[Protection, ...]:
    constants = {
        "OTHER_FILE": str(root / "pyproject.toml"),
        "THROWAWAY_FILE": str(throwaway),
        "REFERENCE": str(reference),
        "SUPERVISOR": os.getpid(),
        "MEMORY": TRIAL_MEMORY,
        "FILES": TRIAL_FILES,
        "SECONDS": TRIAL_SECONDS,
    }
    given = "".join(f"{name} = {value!r}\n" for name, value in constants.items())
    probes = given + (FOLDER / "probes.py").read_text(encoding="utf-8")
    checks = (*(trial.check for trial in TRIED), "test_python", *USING_TOO_MUCH)
    subject = Source("trial.py", (FOLDER / "subject.py").read_text(encoding="utf-8"))
    limits = Limits(20.0, TRIAL_MEMORY, files=TRIAL_FILES)
    tried: dict[str, CheckRun] = {}
    groups = [checks]
    for _ in range(ATTEMPTS):
        for group in groups:
            job = Job("trial", {"trial": subject}, Source("trials", probes), group, 0, limits)
            tried |= {result.check: result for result in run(launcher, job).checks if _was_tried(result)}
        groups = [(check,) for check in checks if check not in tried]  # alone, none can take another along
    guarded = _possible(tried.get("test_python")) == []
    return (
        *(_protection(trial, tried.get(trial.check), guarded) for trial in TRIED),
        _memory(tried.get(ALLOCATING), tried.get(MAKING_FILES)),
    )


def _was_tried(result: CheckRun) -> bool:
    """Did this check come as far as to show whether its acts are possible?

    One that uses too much did also where it was ended for just that.
    """
    if result.ending is Ending.LIMIT and result.check in USING_TOO_MUCH:
        return result.failure is not None and USING_TOO_MUCH[result.check] in result.failure.message
    return _possible(result) is not None


def _memory(allocating: CheckRun | None, making_files: CheckRun | None) -> Protection:
    """Two protections that stand for each other: a limit that the system enforces, and the supervisor's look."""
    limited = _possible(allocating) == []
    polled = any(run is not None and run.ending is Ending.LIMIT for run in (allocating, making_files))
    kinds = [name for name, holds in (("limit", limited), ("poll", polled)) if holds]
    refused = "not tried" if allocating is None else "refused" if limited else "not refused"
    seen = "seen and ended" if polled else "not tried" if making_files is None else "not seen"
    detail = f"allocating {2 * TRIAL_MEMORY // 2**30} GB: {refused}; using too much: {seen}"
    otherwise = NOT_TRIED if None in (allocating, making_files) else "no"
    return Protection("memory", "+".join(kinds) or otherwise, detail, limited and polled)


def _protection(trial: Trial, tried: CheckRun | None, guarded: bool) -> Protection:
    possible = _possible(tried)
    if possible is None:
        return Protection(trial.name, NOT_TRIED, f"{trial.acts}: not tried", False)
    if not possible:
        return Protection(trial.name, trial.in_force, f"{trial.acts}: refused", True)
    return Protection(trial.name, PYTHON_ONLY if guarded else "no", f"{', '.join(possible)}: possible", False)


def _possible(tried: CheckRun | None) -> list[str] | None:
    """The acts that were possible, or None where they were not tried."""
    if tried is None or tried.ending is not Ending.RETURNED or not tried.observations:
        return None
    value = tried.observations[0].value
    return [str(act) for act in value] if isinstance(value, list) else None


def as_line(protections: dict[str, str]) -> str:
    """The one honest line."""
    return "protections: " + " ".join(f"{name}={value}" for name, value in protections.items())


def require_all(protections: tuple[Protection, ...]) -> None:
    """Raises `GraderError`, with the names of what is missing, unless every protection is in force."""
    missing = [f"{protection.name} ({protection.detail})" for protection in protections if not protection.in_force]
    if missing:
        where = "" if sys.platform == "linux" else " They need Linux."
        raise GraderError(
            f"--require strict: nothing was graded, because these are missing: {'; '.join(missing)}.{where}"
        )
