"""Every speed that is promised, measured in one run and printed beside what is wanted.

    python benchmarks/speed.py [--quick]

From cold, from a save to the verdict on the screen, and the reference beside libraries that do the same. It takes
about half an hour, and wants the machine for itself; `--quick` measures three exercises, and everything fewer
times. Nothing here can fail: it measures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.commands import WITHOUT_FORK, machine, untouched_copy  # noqa: E402
from benchmarks.figures import print_table  # noqa: E402
from benchmarks.grading_speed import EXERCISES, figures  # noqa: E402
from benchmarks.saving_speed import print_saves  # noqa: E402
from benchmarks.tokenizer_speed import print_encodings  # noqa: E402
from benchmarks.training_speed import print_steps  # noqa: E402
from grader.course.catalogue import choose, load  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    is_quick = parser.parse_args().quick
    few = choose(ROOT, EXERCISES)
    repeat = 3 if is_quick else 5
    with tempfile.TemporaryDirectory() as temporary:
        folder = untouched_copy(Path(temporary))
        print_table(f"From cold. {machine()}.", figures(folder, few, repeat))
        print_saves(folder, few if is_quick else load(ROOT), repeat, {})
        print_saves(folder, few, repeat, WITHOUT_FORK)
    print_encodings(repeat)
    print_steps(20 if is_quick else 40)


if __name__ == "__main__":
    main()
