"""Draw the pictures of the README, from real runs of the watch screen.

    python pictures/make.py

They are written beside this file: `finding.svg`, a mistake that was just saved, and `passed.svg`, the same exercise
when it is right. Seed 17.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from textual.pilot import Pilot

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.commands import ENVIRONMENT, PYTHON, untouched_copy  # noqa: E402
from grader.commands.watching.screen import WatchScreen  # noqa: E402
from grader.course.catalogue import load  # noqa: E402
from grader.learner.history import Store  # noqa: E402

SEED = 17
SIZE = (80, 30)
EXERCISE = "ex06_attention"
WRONG = ("masked_fill(mask, -torch.inf)", "masked_fill(mask, 0.0)")
# The fonts would be fetched from elsewhere; every browser has one of its own in which columns stay straight.
FETCHED_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


async def draw(root: Path, store: Store) -> dict[str, str]:
    """The pictures by their names."""
    drawn = {}
    folder = root / "exercises"
    right = (root / "solutions" / f"{EXERCISE}.py").read_text(encoding="utf-8")
    assert right.count(WRONG[0]) == 1
    app = WatchScreen(root, folder, store, SEED, EXERCISE, "")
    async with app.run_test(size=SIZE) as pilot:
        for name, text, words in (
            ("finding", right.replace(*WRONG), "expected"),
            ("passed", right, "causal mask"),
        ):
            (folder / f"{EXERCISE}.py").write_text(text, encoding="utf-8")
            await shown(app, pilot, words)
            drawn[name] = FETCHED_FONT.sub("", app.export_screenshot(title="python3 -m grader watch"))
    return drawn


async def shown(app: WatchScreen, pilot: Pilot[None], words: str) -> None:
    """Wait until these words are on the screen, and what they stand in is new."""
    for _ in range(1200):
        await pilot.pause(0.05)
        picture = re.sub(r"<[^>]+>", "", app.export_screenshot()).replace("&#160;", " ")
        if words in picture and "being graded" not in picture:
            return
    raise AssertionError(f"{words} did not come")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = untouched_copy(Path(temporary))
        os.chdir(root)  # paths are shown as one would type them here
        store = Store(root / ".grader" / "progress.sqlite3")
        for exercise in load(root):
            if exercise.id < EXERCISE:
                text = exercise.solution.text
                (root / "exercises" / exercise.file_name).write_text(text, encoding="utf-8")
        subprocess.run([PYTHON, "-m", "grader"], env=ENVIRONMENT, check=False, stdout=subprocess.DEVNULL)
        drawn = asyncio.run(draw(root, store))
        store.close()
    for name, picture in drawn.items():
        (HERE / f"{name}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
