"""Which protections are in force here: each found by trying forbidden acts in a throwaway process.

No version is read and no capability assumed. Only what was refused is protected against: not what was possible,
nor what could not be tried. The acts go past Python to the system itself, because Python's own refusals
(grader/sandbox/guard.py) stop accidents, not intent.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from grader.errors import GraderError
from grader.protocol.job import Job, Limits, Source
from grader.protocol.runs import CheckRun, Ending
from grader.supervisor.launcher import Launcher
from grader.supervisor.watch import run

TRIAL_MEMORY = 2**30
TRIAL_FILES = 20
TRIAL_SECONDS = 2
FOLDER = Path(__file__).parent / "trials"


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
TRIED = (
    Trial("files", "test_files", "yes(landlock)", "reading and writing files of this repository"),
    Trial("network", "test_network", "yes(seccomp)", "opening a socket"),
    Trial("processes", "test_processes", "yes(seccomp)", "starting a process, and sending a signal to one"),
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
    """Try each forbidden act once. Takes some hundredths of a second."""
    constants = {
        "OTHER_FILE": str(root / "pyproject.toml"),
        "REFERENCE": str(reference),
        "SUPERVISOR": os.getpid(),
        "MEMORY": TRIAL_MEMORY,
        "FILES": TRIAL_FILES,
        "SECONDS": TRIAL_SECONDS,
    }
    given = "".join(f"{name} = {value!r}\n" for name, value in constants.items())
    probes = given + (FOLDER / "probes.py").read_text(encoding="utf-8")
    names = (*(trial.check for trial in TRIED), "test_python", "test_memory", "test_poll")
    subject = Source("trial.py", (FOLDER / "subject.py").read_text(encoding="utf-8"))
    limits = Limits(20.0, TRIAL_MEMORY, files=TRIAL_FILES)
    job = Job("trial", {"trial": subject}, Source("trials", probes), names, 0, limits)
    tried = run(launcher, job).by_name()
    guarded = _possible(tried.get("test_python")) == []
    return (
        *(_protection(trial, tried.get(trial.check), guarded) for trial in TRIED),
        _memory(tried.get("test_memory"), tried.get("test_poll")),
    )


def _memory(allocating: CheckRun | None, making_files: CheckRun | None) -> Protection:
    """Two protections that stand for each other: a limit that the system enforces, and the supervisor's look."""
    limited = _possible(allocating) == []
    polled = any(run is not None and run.ending is Ending.LIMIT for run in (allocating, making_files))
    kinds = [name for name, holds in (("limit", limited), ("poll", polled)) if holds]
    detail = (
        f"allocating {2 * TRIAL_MEMORY // 2**30} GB: {'refused' if limited else 'not refused'}; "
        f"using too much: {'seen and ended' if polled else 'not seen'}"
    )
    return Protection("memory", "+".join(kinds) or "no", detail, limited and polled)


def _protection(trial: Trial, tried: CheckRun | None, guarded: bool) -> Protection:
    possible = _possible(tried)
    if possible == []:
        return Protection(trial.name, trial.in_force, f"{trial.acts}: refused", True)
    detail = f"{' and '.join(possible)}: possible" if possible else f"{trial.acts}: could not be tried"
    return Protection(trial.name, PYTHON_ONLY if guarded else "no", detail, False)


def _possible(tried: CheckRun | None) -> list[str] | None:
    """The acts that were possible, or None where they could not be tried."""
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
