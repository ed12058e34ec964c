"""Run faults through the real command, in a repository made for them, and look at what is left afterwards.

Each fault is the learner's text of an exercise of its own. Healthy exercises stand between them: their verdicts
have to be those of a run without any fault.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from grader.course import catalogue
from tests.faults.harness.table import FAULTS, Fault, Kind, Place
from tests.mini import BODY, HINTS, ROOT, SOLUTION, TITLE, TRIPLED, TUTOR, write_exercise

# Stands in the solutions only: what code that looks for the reference looks for.
HIDDEN_COMMENT = "    # What a reader of the solution should see, and a learner should not.\n"
FORBIDDEN = """
[forbidden]
double = ["sum"]
"*" = ["tiktoken"]
"""
HEAD = """
import threading as _threading

import torch

ROOT = {root!r}
NAME = {name!r}
_after = None


def _fault():
{code}


{at_import}
"""
AFTER_CALL = "global _after\n    _after = _threading.Thread(target=_fault, daemon=True)\n    _after.start()\n    "
# The next check waits, so that what happens after the call does happen before the process is ended.
NEXT_CALL = "if _after is not None:\n        _after.join(2.0)\n    return x.sum(dim=-1)"
PER_RUN = 80
MARKER = "GPT_KATA_FAULT_RUN"
GONE_WITHIN_SECONDS = 5.0


@dataclass(frozen=True)
class Case:
    """A fault at a place."""

    fault: Fault
    place: Place

    @property
    def name(self) -> str:
        return f"{self.fault.name}, {self.place}"


@dataclass(frozen=True)
class Outcome:
    """What became of a case: the verdict and what was said. `problem` is empty where the fault was survived."""

    case: Case
    status: str
    message: str
    seconds: float
    problem: str


@dataclass(frozen=True)
class Run:
    """One run of the command on several cases. `problems` are those that concern all of them."""

    outcomes: tuple[Outcome, ...]
    problems: tuple[str, ...]
    seconds: float
    protections: Mapping[str, str]


CASES = tuple(Case(fault, place) for place in Place for fault in FAULTS if fault.verdict(place))


def text_of(case: Case, root: Path, name: str) -> str:
    """The learner's file in which this fault happens."""
    own = SOLUTION.replace(HIDDEN_COMMENT, "")
    called = {Place.IMPORT: "", Place.CALL: "_fault()\n    ", Place.AFTER: AFTER_CALL}[case.place]
    text = own.replace(BODY, f"{called}return {case.fault.result}")
    text = text.replace("return x.sum(dim=-1)", NEXT_CALL)
    code = textwrap.indent(case.fault.code or "pass", "    ")
    at_import = "_fault()" if case.place is Place.IMPORT else ""
    return text.replace("\nimport torch\n", HEAD.format(root=str(root), name=name, code=code, at_import=at_import))


HEALTHY = {"right": SOLUTION, "wrong": SOLUTION.replace(BODY, "return 3 * x"), "stub": ""}


class Repository:
    """A repository with an exercise for each case, and healthy ones at its beginning, in its middle, at its end."""

    def __init__(self, root: Path, cases: Sequence[Case]) -> None:
        self.root = root
        self.cases: dict[str, Case] = {}
        self.healthy: list[str] = []
        shutil.copytree(ROOT / "grader", root / "grader", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, root / name)
        (root / "exercises").mkdir()
        half = len(cases) // 2
        order: list[Case | str] = ["right", *cases[:half], "wrong", "stub", *cases[half:], "right"]
        for number, item in enumerate(order):
            self._add(number, item)
        for exercise in catalogue.load(root):
            path = root / "exercises" / exercise.file_name
            if not path.exists():
                path.write_text(exercise.stub, encoding="utf-8")

    def _add(self, number: int, item: Case | str) -> None:
        label = item if isinstance(item, str) else item.fault.name
        name = f"ex{number:02d}_" + re.sub(r"[^a-z]+", "_", label.lower()).strip("_")
        forbids = isinstance(item, Case) and item.fault.kind is Kind.FORBIDDEN
        tutor = {**TUTOR, "exercise": TITLE + (FORBIDDEN if forbids else ""), "double": HINTS + TRIPLED}
        write_exercise(self.root, name, tutor=tutor)
        if isinstance(item, Case):
            self.cases[name] = item
            text = text_of(item, self.root, f"{name}.py")
        else:
            self.healthy.append(name)
            text = HEALTHY[item]
        if text:
            (self.root / "exercises" / f"{name}.py").write_text(text, encoding="utf-8")

    def digest(self) -> str:
        """What identifies every file but the history, its permissions included."""
        state = hashlib.sha256()
        for path in sorted(self.root.rglob("*")):
            if ".grader" not in path.relative_to(self.root).parts:
                state.update(f"{path.relative_to(self.root)}\0{path.lstat().st_mode}\0".encode())
                state.update(path.read_bytes() if path.is_file() else b"")
        return state.hexdigest()

    def history(self) -> list[tuple[str, str, str]]:
        """Exercise, text and verdict of every attempt. Raises sqlite3.Error where the store is damaged."""
        connection = sqlite3.connect(self.root / ".grader" / "progress.sqlite3")
        try:
            query = "SELECT exercise, text, status FROM attempts JOIN texts USING (digest) ORDER BY id"
            return [(str(exercise), str(text), str(status)) for exercise, text, status in connection.execute(query)]
        finally:
            connection.close()


def run_all(folder: Path, cases: Iterable[Case] = CASES, environment: Mapping[str, str] | None = None) -> list[Run]:
    """Run these cases, as many at a time as a repository has room for."""
    left = list(cases)
    runs = []
    for number, start in enumerate(range(0, len(left), PER_RUN)):
        root = folder / f"repository {number}"
        runs.append(run(Repository(root, left[start : start + PER_RUN]), environment or {}))
        shutil.rmtree(root, ignore_errors=True)
    return runs


def run(repository: Repository, environment: Mapping[str, str]) -> Run:
    """Grade a repository, and look at what is said and at what is left."""
    control = _healthy_verdicts(repository, environment)
    temporary = repository.root.parent / f"{repository.root.name}, temporary"
    temporary.mkdir()
    marker = uuid.uuid4().hex
    before, known = repository.digest(), repository.history()
    start = time.monotonic()
    done = _grader(repository.root, ["--all"], {**environment, "TMPDIR": str(temporary), MARKER: marker})
    seconds = time.monotonic() - start
    problems = list(_left_behind(temporary, marker))
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return Run((), (f"no report, exit code {done.returncode}: {done.stderr[-3000:]}", *problems), seconds, {})
    results = {result["id"]: result for result in report["exercises"]}
    if done.returncode != 1:
        problems.append(f"the exit code is {done.returncode}")
    if done.stderr:
        problems.append(f"on stderr: {done.stderr.strip().splitlines()[-1]}")
    if repository.digest() != before:
        problems.append("files of the repository were changed")
    if {name: _verdicts(results[name]) for name in repository.healthy} != control:
        problems.append("the verdict on a healthy exercise is another than without faults")
    problems += _lost(repository, known, results)
    if _healthy_verdicts(repository, environment) != control:
        problems.append("the next clean run gives something else")
    guarded = "guard" not in environment.get("GPT_KATA_WITHOUT", "")
    outcomes = tuple(_outcome(case, results[name], guarded) for name, case in repository.cases.items())
    return Run(outcomes, tuple(problems), seconds, report["protections"])


def _healthy_verdicts(repository: Repository, environment: Mapping[str, str]) -> dict[str, object]:
    done = _grader(repository.root, repository.healthy, environment)
    try:
        return {result["id"]: _verdicts(result) for result in json.loads(done.stdout)["exercises"]}
    except ValueError:  # what happens where a protection is off: a solution is gone, or the store
        return {"no report": done.stderr}


def _verdicts(result: dict[str, Any]) -> object:
    """All of a verdict but how long it took."""
    return {key: value for key, value in result.items() if key != "seconds"}


def _grader(
    root: Path, exercises: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "grader", "check", *exercises, "--format", "json", "--seed", "17"],
        cwd=root,
        env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )


def _outcome(case: Case, result: dict[str, Any], guarded: bool) -> Outcome:
    undone = [check["message"] for check in result["checks"] if check["status"] != "passed"]
    message = " ".join([result["message"], *undone])
    problems = []
    status = result["status"]
    if status not in case.fault.verdict(case.place):
        problems.append(f"the verdict is {status}")
    elif status != "passed" and case.place is not Place.AFTER and case.fault.says not in message:
        problems.append(f"nothing is said of {case.fault.says!r}")
    wanted = case.fault.refused
    if wanted and guarded and status != "crashed" and not any(wanted in act for act in result["refused"]):
        problems.append(f"that it tried to {wanted} is not reported")
    if any(ord(character) < 32 and character != "\n" for character in message):
        problems.append("a control character is in the message")
    return Outcome(case, status, message, float(result["seconds"]), "; ".join(problems))


def _left_behind(temporary: Path, marker: str) -> Iterator[str]:
    """Processes and files that are still there. What was killed a moment ago may take a moment to go."""
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while (left := processes_of(marker)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        yield f"process {process.pid} is left"
        process.kill()
    yield from (f"{path.name} is left in the temporary folder" for path in temporary.iterdir())


def processes_of(marker: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == marker and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _lost(
    repository: Repository, known: list[tuple[str, str, str]], results: dict[str, dict[str, Any]]
) -> Iterator[str]:
    """Is the history what it was, and every text that was graded with its verdict?"""
    try:
        history = repository.history()
    except sqlite3.Error as error:
        yield f"the history cannot be read: {error}"
        return
    if history[: len(known)] != known:
        yield "what was in the history before has changed"
    added = {exercise: (text, status) for exercise, text, status in history[len(known) :]}
    for name in repository.cases:
        text = (repository.root / "exercises" / f"{name}.py").read_text(encoding="utf-8")
        if added.get(name) != (text, results[name]["status"]):
            yield f"the history lacks the attempt at {name}"
    for path in (repository.root / ".grader").iterdir():
        if path.name != "progress.sqlite3":
            yield f"{path.name} is left beside the history"
