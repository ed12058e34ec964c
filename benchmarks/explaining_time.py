"""What does it cost to say what is wrong? Processor time above that of the verdict.

    python benchmarks/explaining_time.py [EXERCISE]…

Every wrong file of `tests/natural/` is graded three times: as it is, with its own mistakes taken out of the tutor,
as if nobody had thought of them, and without a word, which is what the same file would take if it were right. What
it takes above that is the cost of the words: the search among the known mistakes, whose fault it is, the code to
paste. Wanted are at most 1.5 s for any. Everything counts that the grader and its processes do; the start of Python
and the import of torch are the same for all and left out.

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


@dataclass(frozen=True)
class Cost:
    """The processor time of a file in seconds: for the verdict, and what comes on top of that for the words, where
    its mistakes are known and where they are not."""

    file: str
    verdict: float
    named: float
    unnamed: float


class Grader:
    """Grades texts of one exercise, each as the first one ever, and says what that took."""

    def __init__(self, exercise: Exercise, launcher: Launcher, folder: Path) -> None:
        """`folder` is for the learner's files, and empty."""
        self._exercise = exercise
        self._index = read_index(exercise)
        self._launcher = launcher
        self._folder = folder
        for source in exercise.imported.values():
            (folder / Path(source.path).name).write_text(source.text, encoding="utf-8")

    def cost(self, path: Path) -> Cost:
        text = path.read_text(encoding="utf-8")
        with patch.object(Session, "_explained", lambda _, grading, *__: (grading.status, ())):
            verdict = self._seconds(text)
        named, unnamed = self._seconds(text), self._seconds(text, expected(path).all_names)
        return Cost(path.stem, verdict, named - verdict, unnamed - verdict)

    def _seconds(self, text: str, unknown: Collection[str] = ()) -> float:
        """The processor time of a wrong text, where the mistakes of these names are not in the tutor."""
        (self._folder / self._exercise.file_name).write_text(text, encoding="utf-8")
        known = tuple(each for each in self._exercise.mistakes if each.name not in unknown)

        def read_less(exercise: Exercise) -> CaughtBy:
            return {each: self._index[each] for each in exercise.mistakes}

        exercise = replace(self._exercise, mistakes=known)
        session = Session((exercise,), self._folder, SEED, self._launcher, None)
        before = processor_time()
        with patch("grader.grading.grading.read_index", read_less):
            status = session.grade(exercise).status
        assert status not in (Status.PASSED, Status.GRADER_ERROR), status
        return processor_time() - before


def processor_time() -> float:
    """Of this process, and of all below it, those that have ended too."""
    total = time.process_time()
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def costs(exercise: Exercise) -> list[Cost]:
    """What each wrong file of an exercise takes."""
    paths = [path for path in natural_files() if path.parent.name == exercise.id and not expected(path).is_right]
    launcher = start_launcher(SEED)
    try:
        with TemporaryDirectory() as folder:
            grader = Grader(exercise, launcher, Path(folder))
            grader.cost(paths[0])  # the first one also waits for the import of torch
            return [grader.cost(path) for path in paths]
    finally:
        launcher.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exercises", nargs="*", help="for instance ex06; all by default")
    chosen = parser.parse_args().exercises
    print("| exercise | verdict | named, median | most | unnamed, median | most |\n|---|---|---|---|---|---|")
    dear: list[Cost] = []
    for exercise in choose(ROOT, chosen) if chosen else load(ROOT):
        found = costs(exercise)
        cells = [f"{statistics.median(cost.verdict for cost in found):.2f}"]
        for kind in ("named", "unnamed"):
            worst = max(found, key=lambda cost: float(getattr(cost, kind)))
            cells.append(f"{statistics.median(getattr(cost, kind) for cost in found):.2f}")
            cells.append(f"{getattr(worst, kind):.2f} ({worst.file})")
        print(f"| {exercise.id} | {' | '.join(cells)} |", flush=True)
        dear += [cost for cost in found if max(cost.named, cost.unnamed) > MOST_SECONDS]
    for cost in dear:
        print(f"dear: {cost.file}, {cost.named:.2f} s named, {cost.unnamed:.2f} s unnamed")
    return 1 if dear else 0


if __name__ == "__main__":
    sys.exit(main())
