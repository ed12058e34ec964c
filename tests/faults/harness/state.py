"""Interrupt the grader at random moments, and look at what is left.

`survive` starts real graders on a copy of the repository, lets a signal fall at each, and compares what is there
afterwards with what has to be there: the history, the learner's files, no process, no temporary file.
The moments come from a seed; what the grader is doing at a moment is up to the machine.
"""

from __future__ import annotations

import compileall
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import psutil

from grader.course import catalogue
from grader.learner.history import Attempt, Store
from grader.learner.submission import digest

EXERCISES = ("ex00", "ex01")
LANES = 2
# Enough for the slowest machine; nothing is waited for once it is there.
PATIENCE_SECONDS = 60.0
# How far the moments reach beyond the usual duration of a run, so that its end is met as well.
BEYOND_THE_END = 1.1
INTERRUPTED = 130
SIGN = "begun-"
VERDICT = re.compile(r"^\S (ex\d\d_\w+) ", re.MULTILINE)
STORE_FILES = {"progress.sqlite3", "progress.sqlite3-wal", "progress.sqlite3-shm"}

# A status, and that of each check.
Verdict = tuple[str, dict[str, str]]


class Phase(StrEnum):
    """How far a grader had come when it ended."""

    STARTING = "before its first line"
    GRADING = "before its last verdict"
    ENDING = "after its last verdict"
    ENDED = "it ended by itself"


@dataclass(frozen=True)
class Survival:
    """What came of `count` signals. `faults` says in words what was lost or left, and is empty if nothing was.

    `usual_seconds` is what a run took that nobody interrupted, `last_gone_seconds` the longest time from a signal
    until no process and no temporary file of that run was left. `texts_kept` counts the texts of interrupted runs
    that the history holds, `verdicts_kept` those that have their verdict.
    """

    signal_number: int
    count: int
    seed: int
    usual_seconds: float
    last_gone_seconds: float
    phases: Mapping[Phase, int]
    texts_kept: int
    verdicts_kept: int
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """One grader that has ended: what it was given and what it said.

    `begun` names the exercises whose text was seen at work when the signal was sent. It ran for `ran_seconds`
    until it ended or got the signal; from then on it was `gone_seconds` until nothing of it was left.
    """

    texts: Mapping[str, str]
    begun: frozenset[str]
    returncode: int
    stdout: str
    stderr: str
    ran_seconds: float
    gone_seconds: float
    left: tuple[str, ...]

    @property
    def phase(self) -> Phase:
        if self.returncode in (0, 1) and not _python_was_starting(self):
            return Phase.ENDED
        if not self.stdout:
            return Phase.STARTING
        return Phase.ENDING if set(VERDICT.findall(self.stdout)) == set(self.texts) else Phase.GRADING


def survive(checkout: Path, signal_number: int, count: int, seed: int) -> Survival:
    """Let `count` graders, two at a time, each get a signal at a moment drawn from the seed.

    The moments are spread evenly over the usual duration of a run. `checkout` holds the repository's files and
    is only copied. To be called from the main thread.
    """
    drawn = random.Random(seed)
    moments = [(number + drawn.random()) / count * BEYOND_THE_END for number in range(count)]
    drawn.shuffle(moments)
    with tempfile.TemporaryDirectory() as folder, _interruptible_children():
        numbers = range(min(LANES, count))
        lanes = [Lane(checkout, Path(folder, f"lane{number}"), signal_number) for number in numbers]
        with ThreadPoolExecutor(LANES) as pool:
            travels = pool.map(Lane.travel, lanes, (moments[number::LANES] for number in numbers))
            ended = [run for travel in travels for run in travel]
    return Survival(
        signal_number=signal_number,
        count=count,
        seed=seed,
        usual_seconds=statistics.median(lane.usual_seconds for lane in lanes),
        last_gone_seconds=max(run.gone_seconds for run in ended),
        phases=Counter(run.phase for run in ended),
        texts_kept=sum(lane.texts_kept for lane in lanes),
        verdicts_kept=sum(lane.verdicts_kept for lane in lanes),
        faults=tuple(fault for lane in lanes for fault in lane.faults),
    )


@dataclass
class Lane:
    """A copy of the repository in which one grader after the other is interrupted."""

    checkout: Path
    folder: Path
    signal_number: int
    usual_seconds: float = 0.0
    texts_kept: int = 0
    verdicts_kept: int = 0
    faults: list[str] = field(default_factory=list)
    _before: dict[str, bytes] = field(default_factory=dict)
    _known: dict[int, Attempt] = field(default_factory=dict)
    _control: dict[str, Verdict] = field(default_factory=dict)

    def travel(self, moments: list[float]) -> list[Ended]:
        """A control run, the interrupted runs, and a last one, which has to come out as the first did."""
        shutil.copytree(self.checkout, self.folder / "repository", ignore=shutil.ignore_patterns(".grader"))
        compileall.compile_dir(self.repository / "grader", quiet=1)  # or the first run would take the longest
        self._before = _files(self.repository)
        started = time.monotonic()
        self._control = self._verdicts(0)
        self.usual_seconds = time.monotonic() - started
        ended = []
        for number, moment in enumerate(moments, 1):
            run = self._run(number, moment * self.usual_seconds)
            ended.append(run)
            if run.phase is Phase.ENDED:  # the machine was busier before
                self.usual_seconds = min(self.usual_seconds, run.ran_seconds)
            where = f"run {number}, {run.ran_seconds:.3f} s, {run.phase}: "
            self.faults += [where + fault for fault in (*run.left, *self._what_it_said(run), *self._lost(run))]
        if self._verdicts(len(moments) + 1) != self._control:
            self.faults.append("the run after all of them differs from the control run")
        return ended

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def _start(self, number: int, *arguments: str) -> tuple[dict[str, str], Path, subprocess.Popen[str]]:
        """A grader on texts that were never graded before, with a temporary folder of its own."""
        texts = self._write_texts(number)
        temporary = self.folder / f"temporary{number}"
        temporary.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "grader", "check", *EXERCISES, "--seed", "1", *arguments],
            cwd=self.repository,
            env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "PYTHONUTF8": "1", "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        return texts, temporary, process

    def _write_texts(self, number: int) -> dict[str, str]:
        """The first solution, and the second with a mistake, so that there is something to explain.

        Each leaves a sign in the folder that it runs in: from then on it has to be in the history.
        """
        first, second = catalogue.choose(self.repository, list(EXERCISES))
        mistake = second.mistakes[0]
        texts = {
            first.id: first.solution.text,
            second.id: second.solution.text.replace(mistake.find, mistake.replacement),
        }
        for name in texts:
            texts[name] += f"\n# run {number}\nopen({SIGN + name!r}, 'w').close()\n"
            (self.repository / "exercises" / f"{name}.py").write_text(texts[name], encoding="utf-8", newline="\n")
        return texts

    def _verdicts(self, number: int) -> dict[str, Verdict]:
        """The verdicts of a run that nobody interrupts, as they were shown; those in the history have to agree."""
        _, _, process = self._start(number, "--format", "json")
        stdout, stderr = process.communicate(timeout=2 * PATIENCE_SECONDS)
        if process.returncode != 1 or stderr:
            self.faults.append(f"run {number}, not interrupted: exit code {process.returncode}, {stderr!r}")
        shown = {
            exercise["id"]: (exercise["status"], {check["name"]: check["status"] for check in exercise["checks"]})
            for exercise in json.loads(stdout)["exercises"]
        }
        attempts = {attempt.id: attempt for attempt in self._attempts()}
        new = [attempt for attempt in attempts.values() if attempt.id not in self._known]
        if {attempt.exercise: (attempt.status, attempt.checks) for attempt in new} != shown:
            self.faults.append(f"run {number}, not interrupted: the history does not hold what was shown")
        self._known = attempts
        return shown

    def _run(self, number: int, moment: float) -> Ended:
        started = time.monotonic()
        texts, temporary, process = self._start(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moment)
        begun = _begun(temporary)
        process.send_signal(self.signal_number)
        signalled = time.monotonic()
        left = _wait_until_gone(process, temporary)
        gone = time.monotonic() - signalled
        stdout, stderr = process.communicate()
        ran = signalled - started
        return Ended(texts, begun, process.returncode, stdout, stderr, ran, gone, tuple(left))

    def _what_it_said(self, run: Ended) -> Iterator[str]:
        """Where the words and the exit code are not those that are promised for this signal."""
        if _python_was_starting(run) or (
            self.signal_number == signal.SIGKILL and run.returncode == -signal.SIGKILL and not run.stderr
        ):
            return
        lines = run.stderr.splitlines()
        if run.phase is Phase.ENDED:
            if lines or run.returncode != 1 or set(VERDICT.findall(run.stdout)) != set(run.texts):
                yield f"it ended by itself with {run.returncode}, saying {run.stdout!r} and {run.stderr!r}"
        elif run.returncode != INTERRUPTED or len(lines) != 1 or not lines[0].startswith("grader: stopped."):
            yield f"exit code {run.returncode}, saying {run.stderr!r}"

    def _lost(self, run: Ended) -> Iterator[str]:
        """What is missing, changed or left in the repository after a run."""
        before, after = self._before, _files(self.repository)
        for name in sorted(before.keys() | after.keys()):
            expected = run.texts[Path(name).stem].encode() if Path(name).stem in run.texts and _mine(name) else None
            if after.get(name) != (expected or before.get(name)):
                yield f"{name} is not as it was"
        state = self.repository / ".grader"
        if state.is_dir():
            yield from (f"{item.name} is left" for item in state.iterdir() if item.name not in STORE_FILES)
        yield from self._lost_from_the_store(run)

    def _lost_from_the_store(self, run: Ended) -> Iterator[str]:
        attempts = {attempt.id: attempt for attempt in self._attempts()}
        for number, attempt in self._known.items():
            if attempts.get(number) != attempt:
                yield f"attempt {number} is not as it was"
        new = {attempt.exercise: attempt for number, attempt in attempts.items() if number not in self._known}
        if len(new) != len(attempts) - len(self._known):
            yield "an exercise was kept twice"
        for name, attempt in new.items():
            if attempt.digest != digest(run.texts[name]):
                yield f"the text of {name} is not the one that was graded"
            if attempt.status is not None and (attempt.status, attempt.checks) != self._control[name]:
                yield f"the verdict on {name} is not that of the control run"
        for name in run.begun - new.keys():
            yield f"the text of {name} was at work and is not kept"
        for name in VERDICT.findall(run.stdout):
            if name not in new or new[name].status is None:
                yield f"a verdict on {name} was shown and is not kept"
        self.texts_kept += len(new)
        self.verdicts_kept += sum(attempt.status is not None for attempt in new.values())
        self._known = attempts

    def _attempts(self) -> list[Attempt]:
        """Every attempt, after a look at whether the store is whole and each of them has its text."""
        path = self.repository / ".grader" / "progress.sqlite3"
        path.parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
            if found != [("ok",)]:
                self.faults.append(f"the store is damaged: {found}")
        with closing(Store(path)) as store:
            attempts = store.attempts()
            for attempt in attempts:
                text = store.text_of(attempt.id)
                if text is None or digest(text[1]) != attempt.digest:
                    self.faults.append(f"attempt {attempt.id} has lost its text")
            if store.problem:
                self.faults.append(f"the store does not open: {store.problem}")
        return attempts


@contextmanager
def _interruptible_children() -> Iterator[None]:
    """Whoever runs this in the background of a shell hands down an ignored SIGINT: not to the graders."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("only the main thread can see to it that SIGINT reaches the graders")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _python_was_starting(run: Ended) -> bool:
    """Did a SIGINT fall so early that nothing of the grader had run yet? Then Python answers in its own way."""
    died_of_it = run.returncode == -signal.SIGINT or "KeyboardInterrupt" in run.stderr
    return died_of_it and not run.stdout and f"{os.sep}grader{os.sep}" not in run.stderr


def _wait_until_gone(process: subprocess.Popen[str], temporary: Path) -> list[str]:
    """Wait until a grader, its processes and its temporary files are gone; says what is left for too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        running = [] if process.poll() is not None else [f"the grader, process {process.pid}"]
        started = _processes_with(temporary)
        files = [item.name for item in temporary.iterdir()]
        left = [*running, *(f"process {child.pid}" for child in started), *files]
        if not left:
            return []
        if time.monotonic() > deadline:
            for child in started:
                child.kill()
            return [f"left after {PATIENCE_SECONDS:.0f} s: {item}" for item in left]
        time.sleep(0.1)  # looking at every process of the machine is work


def _processes_with(temporary: Path) -> list[psutil.Process]:
    """The processes that were started with this temporary folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(temporary) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _mine(name: str) -> bool:
    return Path(name).parts[0] == "exercises"


def _begun(temporary: Path) -> frozenset[str]:
    with suppress(FileNotFoundError):  # of a folder that is removed meanwhile
        return frozenset(path.name.removeprefix(SIGN) for path in temporary.rglob(f"{SIGN}*"))
    return frozenset()


def _files(repository: Path) -> dict[str, bytes]:
    """Every file of a repository but the history and what Python compiles."""
    relative = (path.relative_to(repository) for path in repository.rglob("*") if path.is_file())
    return {
        str(path): (repository / path).read_bytes()
        for path in relative
        if not {"__pycache__", ".grader"} & set(path.parts)
    }
