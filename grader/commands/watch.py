"""Watch the files of a folder: on a screen where there is a terminal that can draw one, else line by line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from grader.bootstrap import EXERCISES, ROOT
from grader.commands.grade import check_folder
from grader.commands.opened import opened_store
from grader.course.catalogue import exercise_ids, find
from grader.report.console import relative


def watch(name: str | None, on: Path, seed: int | None, plain: bool) -> None:
    """Until it is quitted. Raises `UsageError` for a folder or a name that is none."""
    folder = on.resolve()
    check_folder(folder, "text")
    chosen = find(exercise_ids(ROOT), [name])[0] if name else None
    options = "" if folder == EXERCISES else f" --on {relative(str(folder))}"
    with opened_store() as store:
        if plain or not can_draw():
            from grader.commands.watching.plain import watch_plainly

            watch_plainly(ROOT, folder, store, seed, chosen, options)
        else:
            from grader.commands.watching.screen import WatchScreen

            screen = WatchScreen(ROOT, folder, store, seed, chosen, options)
            screen.run()
            if screen.problem:
                raise screen.problem


def can_draw() -> bool:
    """Is there a terminal, and one that can draw?"""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return os.name == "nt" or os.environ.get("TERM", "") not in ("", "dumb", "unknown")
