"""How long one waits for the grader from cold, beside what cannot be avoided, measured in the same run.

    python benchmarks/grading_speed.py [EXERCISE]… [--repeat 5]

Every time is the median of several whole commands. `import torch` in a fresh interpreter is the unit: any tool that
runs PyTorch code has to pay for it. `check` is measured on ex02, ex06 and ex09, or on those named: the solution,
one with a known mistake, and one that is wrong in a way that the tutor does not know. The whole course is measured
on the solutions. Each with fork and without, as it is on macOS and Windows. Nothing here can fail: it measures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.commands import (  # noqa: E402
    PYTHON,
    WITHOUT_FORK,
    first_output,
    import_of_torch,
    machine,
    median,
    solve_all,
    untouched_copy,
    whole_run,
)
from benchmarks.figures import Figure, print_table  # noqa: E402
from benchmarks.texts import SEED, texts_for  # noqa: E402
from grader.course.catalogue import choose, load  # noqa: E402
from grader.course.exercise import Exercise  # noqa: E402
from grader.grading.bench import Bench, Processes, seconds_of  # noqa: E402
from grader.supervisor.launcher import Launcher  # noqa: E402
from grader.supervisor.start import start_launcher  # noqa: E402

EXERCISES = ("ex02", "ex06", "ex09")
GRADER = (PYTHON, "-m", "grader")
WAYS = {"": {}, ", without fork": WITHOUT_FORK}
RIGHT_SECONDS, WRONG_SECONDS, WITHOUT_FORK_SECONDS = 0.4, 1.0, 1.0
COURSE, COURSE_WITHOUT_FORK = 1.5, 2.0


def figures(folder: Path, exercises: Sequence[Exercise], repeat: int) -> Iterator[Figure]:
    """`folder` is an untouched copy; every exercise is solved in it when this ends."""
    torch = import_of_torch(folder, repeat)
    yield Figure("import torch, alone", torch)
    yield Figure("no command, nothing done: first output", median(lambda: first_output(GRADER, folder), repeat))
    yield Figure("no command, nothing done: back at the prompt", median(lambda: whole_run(GRADER, folder), repeat))
    solve_all(folder)
    launcher = start_launcher(SEED)
    try:
        computing = own_seconds(launcher)
        texts = {exercise.id: texts_for(exercise, launcher, folder / "exercises") for exercise in exercises}
    finally:
        launcher.close()
    for exercise in exercises:
        path = folder / "exercises" / exercise.file_name
        for kind, text in texts[exercise.id].kinds().items():
            path.write_text(text, encoding="utf-8")
            command = [*GRADER, "check", exercise.id, "--seed", str(SEED)]
            for way, environment in WAYS.items():
                more = WITHOUT_FORK_SECONDS if way else RIGHT_SECONDS if kind == "right" else WRONG_SECONDS
                found = median(lambda: whole_run(command, folder, environment), repeat)  # noqa: B023
                yield Figure(f"check {exercise.id[:4]}, {kind}{way}", found, torch + more)
        path.write_text(exercise.solution.text, encoding="utf-8")
    yield Figure("all checks of the reference: processor time", computing)
    course = [*GRADER, "check", "--all", "--on", "solutions"]
    with_fork = median(lambda: whole_run(course, folder), 3)
    yield Figure("check --all --on solutions", with_fork, COURSE * computing + torch)
    without = median(lambda: whole_run(course, folder, WITHOUT_FORK), 3)
    yield Figure("check --all --on solutions, without fork", without, COURSE_WITHOUT_FORK * with_fork)


def own_seconds(launcher: Launcher) -> float:
    """What the reference computes in all checks of the course."""
    processes = Processes(launcher)
    return sum(seconds_of(Bench(exercise, SEED, processes).reference()) for exercise in load(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("exercises", nargs="*", help="for instance ex06")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = untouched_copy(Path(temporary))
        exercises = choose(ROOT, arguments.exercises or EXERCISES)
        print_table(f"From cold. {machine()}.", figures(folder, exercises, arguments.repeat))


if __name__ == "__main__":
    main()
