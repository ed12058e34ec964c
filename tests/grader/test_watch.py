"""What a process had sent counts, however late the supervisor comes to read it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from grader.course.exercise import Exercise
from grader.course.variants import variant_sources
from grader.grading.bench import job_for
from grader.protocol.job import Job, Limits, Source
from grader.protocol.runs import Ending, SubjectRun
from grader.supervisor import watch
from grader.supervisor.jobs import TrustedProcess, run
from grader.supervisor.launcher import Child, Launcher
from grader.supervisor.protections import try_all
from grader.supervisor.spares import Spares
from grader.supervisor.tree import ProcessTree
from grader.supervisor.zygotes import Zygote
from tests.mini import ROOT, SOLUTION, with_body


@pytest.fixture
def starved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that reads nothing of what a process sends until that is ended."""
    ended: dict[int, threading.Event] = {}
    real_read, real_kill = watch._read_frames, ProcessTree.kill
    real_watch, real_connect = watch.Watch.__init__, Child.connect

    def connect(self: Child, stream: Any, channel: int, output: int) -> None:
        ended[channel] = threading.Event()
        real_connect(self, stream, channel, output)

    def init(self: Any, *arguments: Any) -> None:
        real_watch(self, *arguments)
        self.tree.killed = ended[self.child.channel]

    def kill(tree: Any) -> None:
        real_kill(tree)
        if hasattr(tree, "killed"):
            tree.killed.set()

    def read(channel: int, *rest: Any) -> None:
        ended[channel].wait(60)
        real_read(channel, *rest)

    monkeypatch.setattr(Child, "connect", connect)
    monkeypatch.setattr(watch.Watch, "__init__", init)
    monkeypatch.setattr(ProcessTree, "kill", kill)
    monkeypatch.setattr(watch, "_read_frames", read)


def job(exercise: Exercise, solution: str, limits: Limits) -> Job:
    sources = {**variant_sources(exercise), exercise.id: Source("exercise.py", solution)}
    return job_for(exercise, sources, 17, limits)


def endings(seen: SubjectRun) -> dict[str, Ending]:
    return {check.check: check.ending for check in seen.checks}


MANY_FILES = (
    "for n in range(40): open(f'f{n}', 'w').close()\n    import time; time.sleep(60)\n    return x.sum(dim=-1)"
)


@pytest.mark.usefixtures("starved")
@pytest.mark.parametrize(
    ("body", "limits", "ending"),
    [
        (MANY_FILES, Limits(60.0, files=20), Ending.LIMIT),
        ("while True: pass", Limits(1.0), Ending.TIMEOUT),
        ("import os; os._exit(7)", Limits(60.0), Ending.CRASHED),
    ],
)
def test_what_ends_a_process_is_laid_to_the_check_in_which_it_did(
    body: str, limits: Limits, ending: Ending, exercise: Exercise, subject_processes: Launcher
) -> None:
    solution = SOLUTION.replace("return x.sum(dim=-1)", body)
    seen = run(subject_processes, job(exercise, solution, limits))
    assert endings(seen) == {"import": Ending.RETURNED, "test_double": Ending.RETURNED, "test_total": ending}


@pytest.mark.usefixtures("starved")
def test_what_was_done_in_time_is_no_timeout(exercise: Exercise, subject_processes: Launcher) -> None:
    """The limit is long over when the results are read, and they were there all along."""
    seen = run(subject_processes, job(exercise, SOLUTION, Limits(0.5)))
    assert set(endings(seen).values()) == {Ending.RETURNED}
    assert len(seen.checks) == 1 + len(exercise.checks)


@pytest.mark.usefixtures("starved")
def test_protections_do_not_flicker(subject_processes: Launcher) -> None:
    tried = try_all(subject_processes, ROOT, ROOT / "solutions" / "ex06_attention.py")
    monitored = {protection.name: protection.detail for protection in tried}
    assert not any("could not be tried" in detail or "not tried" in detail for detail in monitored.values())


def test_a_result_out_of_order_is_not_made_good_by_what_follows(
    exercise: Exercise, subject_processes: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a frame that is not the next check's nothing counts any more, whatever it is."""
    real = watch._read_frames

    def read(channel: int, events: Any, allowed: Callable[[], float]) -> None:
        class Swapped:
            held: Any = None

            def put(self, event: Any) -> None:
                if getattr(event, "check", "") == "test_double":
                    self.held = event
                    return
                events.put(event)
                if self.held and getattr(event, "check", "") == "test_total":
                    events.put(self.held)
                    self.held = None

        real(channel, Swapped(), allowed)  # type: ignore[arg-type]

    monkeypatch.setattr(watch, "_read_frames", read)
    seen = run(subject_processes, job(exercise, SOLUTION, Limits(30.0)))
    assert endings(seen) == {"import": Ending.RETURNED, "test_double": Ending.CRASHED}


def test_a_trusted_process_waits_for_more(exercise: Exercise, subject_processes: Launcher) -> None:
    """One process for all of it, also where a job ends it; then the next one is a new one."""
    right = job(exercise, SOLUTION, Limits(30.0))
    number = job(exercise, with_body("import os; return os.getpid()"), Limits(30.0))
    endless = job(exercise, with_body("while True: pass"), Limits(0.5))
    process = TrustedProcess(subject_processes)
    try:
        first, second = process.run([right, number]), process.run([number, right])
        third = process.run([right, endless, number, number])
    finally:
        process.close()
    numbers = [process_number(seen) for seen in (first[1], second[0], *third[2:])]
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3]
    assert Ending.TIMEOUT in endings(third[1]).values()
    for seen in (first[0], second[1], third[0]):
        assert set(endings(seen).values()) == {Ending.RETURNED}


@pytest.mark.slow
@pytest.mark.parametrize("source", [Zygote, Spares])
def test_code_that_reads_what_is_typed_finds_nothing(source: type[Zygote | Spares], exercise: Exercise) -> None:
    launcher = source(17)
    try:
        seen = run(launcher, job(exercise, with_body("return x * len(input())"), Limits(30.0)))
    finally:
        launcher.close()
    failure = seen.by_name()["test_double"].failure
    assert failure
    assert failure.types[0] == "EOFError"


def process_number(seen: SubjectRun) -> object:
    return seen.by_name()["test_double"].observations[0].value


def test_the_seconds_of_a_run_are_those_it_computed(exercise: Exercise, subject_processes: Launcher) -> None:
    body = "from time import process_time\n    start = process_time()\n    while process_time() < start + 0.6: pass"
    seen = run(subject_processes, job(exercise, with_body(body), Limits(30.0)))
    assert set(endings(seen).values()) == {Ending.RETURNED}
    assert seen.seconds > 0.5
    assert seen.by_name()["test_double"].seconds >= 0.6


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Three times as many busy loops as there are processors."""
    loop = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(loop, start_new_session=True) for _ in range(3 * (os.cpu_count() or 1))]
    yield
    for process in loops:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.usefixtures("busy_machine")
def test_on_a_busy_machine_right_code_has_its_time(exercise: Exercise, subject_processes: Launcher) -> None:
    """Two seconds of work take six there, and more beside other tests; the limit of 4 is for its own time, of which
    half a second may be gone before the work begins."""
    body = "from time import process_time\n    start = process_time()\n    while process_time() < start + 2: pass"
    seen = run(subject_processes, job(exercise, with_body(f"{body}\n    return x * 2"), Limits(4.0)))
    assert set(endings(seen).values()) == {Ending.RETURNED}


@pytest.mark.slow
@pytest.mark.usefixtures("busy_machine")
def test_and_an_endless_loop_ends(exercise: Exercise, subject_processes: Launcher) -> None:
    seen = run(subject_processes, job(exercise, with_body("while True: pass"), Limits(1.0)))
    assert endings(seen) == {"import": Ending.RETURNED, "test_double": Ending.TIMEOUT}
