"""How long after a save does the verdict stand on the watch screen?

    python benchmarks/saving_speed.py [EXERCISE]… [--repeat 9] [--without-fork]

The whole command runs in a pseudo-terminal of 80 × 24 characters, and a terminal emulator reads what it writes;
what that takes is in the figures. For each exercise three texts are saved in turn: the reference, one with a
known mistake, and one that is wrong in a way that the tutor does not know. A time begins with the save and ends
when the verdict stands there. Beside it, from cold, what `pytest tests/test_exNN…` takes for the same file. All
are medians. Wanted are 150 ms, and a fifteenth of pytest, where nothing is trained.

Then, of the idle watcher: the memory of all its processes together, and the share of a core that they use.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.grader_speed import PYTHON, median, untouched_copy, whole_run  # noqa: E402
from grader.course.catalogue import choose, load  # noqa: E402
from grader.course.exercise import Exercise  # noqa: E402
from grader.course.variants import variant_sources  # noqa: E402
from grader.grading.session import Session  # noqa: E402
from grader.judge.results import ExerciseResult, Status  # noqa: E402
from grader.learner.replace import write_whole  # noqa: E402
from grader.supervisor.launcher import Launcher  # noqa: E402
from grader.supervisor.start import start_launcher  # noqa: E402
from tests.watching.terminal import Terminal  # noqa: E402

SEED = 17
MOST_SECONDS = 0.15
IDLE_SECONDS = 10.0
# Put behind a solution: what one of its functions returns is off, in a way that nobody would think of.
OFF = """

def _off(value):
    if isinstance(value, torch.Tensor):
        return value * 1.37 + 0.11 if value.is_floating_point() else value + 3
    if isinstance(value, (bool, int, float)):
        return value + 3
    if isinstance(value, str):
        return value + " and so on"
    if isinstance(value, (list, tuple)) and value:
        return type(value)([*value[:-1], _off(value[-1])])
    return value


def _with_off(function):
    return lambda *arguments, **named: _off(function(*arguments, **named))


{name} = _with_off({name})
"""


@dataclass(frozen=True)
class Texts:
    """What is saved, and words that are shown for a known mistake and for no other."""

    right: str
    named: str
    unnamed: str
    words: str


def texts_for(exercise: Exercise, launcher: Launcher, folder: Path) -> Texts:
    """The texts of an exercise. `folder` is for trying them, and holds the other exercises."""
    session = Session((exercise,), folder, SEED, launcher, None)

    def graded(text: str) -> ExerciseResult:
        (folder / exercise.file_name).write_text(text, encoding="utf-8")
        return session.grade(exercise)

    right = exercise.solution.text
    for mistake in exercise.mistakes:
        if mistake.base or mistake.hangs:
            continue
        named = variant_sources(exercise, mistake)[exercise.id].text
        first = graded(named).first_open
        if first and first.mistakes == (mistake.name,):
            break
    else:
        raise AssertionError(exercise.id)
    for name in exercise.solution_outline.functions:
        unnamed = f"import torch\n{right}{OFF.replace('{name}', name)}"
        result = graded(unnamed)
        first = result.first_open
        if result.status is Status.WRONG and first and not any(check.mistakes for check in result.checks):
            return Texts(right, named, unnamed, " ".join(first_words(mistake.says)))
    raise AssertionError(exercise.id)


def first_words(says: str) -> Sequence[str]:
    return says.split()[:5]


def saved(terminal: Terminal, path: Path, text: str, words: Sequence[str], without: Sequence[str]) -> float:
    """Seconds from the save until the verdict stands there."""
    start = time.perf_counter()
    write_whole(path, text)
    terminal.sees(*words, without=(*without, "being graded"), seconds=120)
    return time.perf_counter() - start


def come_to_rest(terminal: Terminal) -> None:
    """Wait until nothing is found out any more."""
    quiet = 0
    while quiet < 3:
        used = all_seconds(terminal)
        for _ in range(10):
            terminal.read(0.05)
        time.sleep(0.5)
        quiet = quiet + 1 if all_seconds(terminal) - used < 0.05 else 0


def processes(terminal: Terminal) -> list[psutil.Process]:
    watcher = psutil.Process(terminal.process.pid)
    return [watcher, *watcher.children(recursive=True)]


def all_seconds(terminal: Terminal) -> float:
    return sum(sum(process.cpu_times()[:4]) for process in processes(terminal))


def memory(terminal: Terminal) -> float:
    """In megabytes, what is shared counted once."""
    return sum(process.memory_full_info().pss for process in processes(terminal)) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("exercises", nargs="*", help="for instance ex06; all by default")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--without-fork", action="store_true")
    arguments = parser.parse_args()
    exercises = choose(ROOT, arguments.exercises) if arguments.exercises else load(ROOT)
    environment = {"GPT_KATA_WORKERS": "spawn"} if arguments.without_fork else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = untouched_copy(Path(temporary))
        for exercise in load(folder):
            (folder / "exercises" / exercise.file_name).write_text(exercise.solution.text, encoding="utf-8")
        torch = median(whole_run, [PYTHON, "-c", "import torch"], folder, 5)
        print(
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        print(f"import torch: {torch:.2f} s\n")
        print("| exercise | right | named | unnamed | pytest, cold | × | MB | % of a core |")
        print("|---|---|---|---|---|---|---|---|")
        for exercise in exercises:
            print(row(exercise, folder, arguments.repeat, environment), flush=True)


def row(exercise: Exercise, folder: Path, repeat: int, environment: dict[str, str]) -> str:
    path = folder / "exercises" / exercise.file_name
    launcher = start_launcher(SEED)
    try:
        texts = texts_for(exercise, launcher, folder / "exercises")
    finally:
        launcher.close()
    path.write_text(texts.right, encoding="utf-8")
    seconds: dict[str, list[float]] = {"right": [], "named": [], "unnamed": []}
    with Terminal(["watch", exercise.id, "--seed", str(SEED)], folder, environment=environment) as terminal:
        terminal.sees("checks passed", seconds=300)
        come_to_rest(terminal)
        for _ in range(repeat):
            for kind, text, words, without in (
                ("named", texts.named, ["✗", texts.words], []),
                ("unnamed", texts.unnamed, ["✗"], [texts.words]),
                ("right", texts.right, ["checks passed"], ["✗"]),
            ):
                seconds[kind].append(saved(terminal, path, text, words, without))
                terminal.read(0.3)  # nobody saves again at once
                come_to_rest(terminal) if kind == "right" else time.sleep(0.3)
        megabytes = memory(terminal)
        before = all_seconds(terminal)
        until = time.monotonic() + IDLE_SECONDS
        while time.monotonic() < until:
            terminal.read(0.5)
        idle = (all_seconds(terminal) - before) / IDLE_SECONDS
    probes = f"tests/test_{exercise.id}.py"
    pytest = statistics.median(
        whole_run([PYTHON, "-m", "pytest", "-q", probes, "--subject", "exercises"], folder) for _ in range(3)
    )
    medians = [statistics.median(found) for found in seconds.values()]
    cells = [f"{found * 1000:.0f} ms" for found in medians]
    cells += [f"{pytest:.1f} s", f"{pytest / max(medians):.0f}", f"{megabytes:.0f}", f"{100 * idle:.1f}"]
    return f"| {exercise.id[:4]} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
