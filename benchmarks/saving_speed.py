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
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.commands import (  # noqa: E402
    PYTHON,
    WITHOUT_FORK,
    import_of_torch,
    machine,
    median,
    solve_all,
    untouched_copy,
    whole_run,
)
from benchmarks.texts import SEED, texts_for  # noqa: E402
from grader.course.catalogue import choose, load  # noqa: E402
from grader.course.exercise import Exercise  # noqa: E402
from grader.learner.replace import write_whole  # noqa: E402
from grader.supervisor.start import start_launcher  # noqa: E402
from tests.watching.terminal import Terminal  # noqa: E402

WANTED = "| wanted | 150 ms | 150 ms | 150 ms | | 15 | 400 | 1.0 |"
IDLE_SECONDS = 5.0
PYTESTS = 3


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


def print_saves(folder: Path, exercises: Sequence[Exercise], repeat: int, environment: dict[str, str]) -> None:
    """`folder` is an untouched copy, in which every exercise is solved then."""
    solve_all(folder)
    way = "without fork" if environment else "with fork"
    torch = import_of_torch(folder, 5)
    print(f"\nFrom a save to the verdict on the screen, {way}. `import torch` takes {torch:.2f} s.\n")
    print("| exercise | right | named | unnamed | pytest, cold | × | MB | % of a core |")
    print(f"|---|---|---|---|---|---|---|---|\n{WANTED}", flush=True)
    for exercise in exercises:
        print(row(exercise, folder, repeat, environment), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("exercises", nargs="*", help="for instance ex06; all by default")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--without-fork", action="store_true")
    arguments = parser.parse_args()
    exercises = choose(ROOT, arguments.exercises) if arguments.exercises else load(ROOT)
    with tempfile.TemporaryDirectory() as temporary:
        folder = untouched_copy(Path(temporary))
        print(machine())
        print_saves(folder, exercises, arguments.repeat, WITHOUT_FORK if arguments.without_fork else {})


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
                terminal.read(0.3)  # nobody saves again within a second
                if kind == "right" or environment:  # without fork it takes seconds until the next process is ready
                    come_to_rest(terminal)
                else:
                    time.sleep(0.7)
        megabytes = memory(terminal)
        before = all_seconds(terminal)
        until = time.monotonic() + IDLE_SECONDS
        while time.monotonic() < until:
            terminal.read(0.5)
        idle = (all_seconds(terminal) - before) / IDLE_SECONDS
    probes = f"tests/test_{exercise.id}.py"
    pytest = median(
        lambda: whole_run([PYTHON, "-m", "pytest", "-q", probes, "--subject", "exercises"], folder), PYTESTS
    )
    medians = [statistics.median(found) for found in seconds.values()]
    cells = [f"{found * 1000:.0f} ms" for found in medians]
    cells += [f"{pytest:.1f} s", f"{pytest / max(medians):.0f}", f"{megabytes:.0f}", f"{100 * idle:.1f}"]
    return f"| {exercise.id[:4]} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
