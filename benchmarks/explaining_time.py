"""What does it cost to say what is wrong? Processor time above the same file when it is right.

    python benchmarks/explaining_time.py [EXERCISE]…

Every wrong file of `tests/natural/` is graded twice: as it is, and with its own mistakes taken out of the tutor, as
if nobody had thought of them. What it takes above the exercise's solution is the cost of the words: the search
among the known mistakes, whose fault it is, the code to paste. Wanted are at most 1.5 s for any. Everything counts
that the grader and its processes do; the start of Python and the import of torch are the same for all and left out.

Exit code 1 where a file costs more. A machine with other work makes everything dearer: run it alone.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from grader.course.catalogue import choose, load  # noqa: E402
from grader.course.exercise import Exercise  # noqa: E402
from grader.course.index import CaughtBy, read_index  # noqa: E402
from grader.grading.session import Session  # noqa: E402
from grader.judge.results import Status  # noqa: E402
from grader.supervisor.launcher import Launcher  # noqa: E402
from grader.supervisor.start import start_launcher  # noqa: E402
from tests.natural.harness import SEED, expected, natural_files  # noqa: E402

MOST_SECONDS = 1.5
# The cheapest of so many gradings of the right file is what the others are compared with.
RIGHT_ROUNDS = 5


@dataclass(frozen=True)
class Cost:
    """The processor time of a file above the right one, in seconds: as it is, and with its mistakes unknown."""

    file: str
    named: float
    unnamed: float


class Grader:
    """Grades texts of one exercise, each as the first one ever, and says what that took."""

    def __init__(self, exercise: Exercise, launcher: Launcher, folder: Path) -> None:
        """`folder` is for the learner's files, and empty."""
        self._exercise = exercise
        self._launcher = launcher
        self._folder = folder
        for source in exercise.imported.values():
            (folder / Path(source.path).name).write_text(source.text, encoding="utf-8")

    def seconds(self, text: str, unknown: Collection[str] = ()) -> tuple[Status, float]:
        """The verdict, and the processor time, where the mistakes of these names are not in the tutor."""
        (self._folder / self._exercise.file_name).write_text(text, encoding="utf-8")
        known = tuple(each for each in self._exercise.mistakes if each.name not in unknown)
        index = read_index(self._exercise)

        def read_less(exercise: Exercise) -> CaughtBy:
            return {each: index[each] for each in exercise.mistakes}

        exercise = replace(self._exercise, mistakes=known)
        session = Session((exercise,), self._folder, SEED, self._launcher, None)
        before = processor_time()
        with patch("grader.grading.grading.read_index", read_less):
            result = session.grade(exercise)
        return result.status, processor_time() - before


def processor_time() -> float:
    """Of this process, and of all below it, those that have ended too."""
    total = time.process_time()
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def costs(exercise: Exercise) -> tuple[float, list[Cost]]:
    """What the right file takes, and each wrong one above that."""
    launcher = start_launcher(SEED)
    try:
        with TemporaryDirectory() as folder:
            grader = Grader(exercise, launcher, Path(folder))
            right = min(grader.seconds(exercise.solution.text)[1] for _ in range(RIGHT_ROUNDS))
            found = []
            for path in natural_files():
                if path.parent.name == exercise.id and not expected(path).is_right:
                    text = path.read_text(encoding="utf-8")
                    status, named = grader.seconds(text)
                    _, unnamed = grader.seconds(text, expected(path).all_names)
                    assert status is not Status.PASSED, path
                    found.append(Cost(path.stem, named - right, unnamed - right))
    finally:
        launcher.close()
    return right, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exercises", nargs="*", help="for instance ex06; all by default")
    chosen = parser.parse_args().exercises
    print("| exercise | right | named, median | most | unnamed, median | most |\n|---|---|---|---|---|---|")
    dear: list[Cost] = []
    for exercise in choose(ROOT, chosen) if chosen else load(ROOT):
        right, found = costs(exercise)
        cells = []
        for kind in ("named", "unnamed"):
            worst = max(found, key=lambda cost: float(getattr(cost, kind)))
            cells.append(f"{statistics.median(getattr(cost, kind) for cost in found):.2f}")
            cells.append(f"{getattr(worst, kind):.2f} ({worst.file})")
        print(f"| {exercise.id} | {right:.2f} | {' | '.join(cells)} |", flush=True)
        dear += [cost for cost in found if max(cost.named, cost.unnamed) > MOST_SECONDS]
    for cost in dear:
        print(f"dear: {cost.file}, {cost.named:.2f} s named, {cost.unnamed:.2f} s unnamed")
    return 1 if dear else 0


if __name__ == "__main__":
    sys.exit(main())
