"""One report for each save, for terminals on which nothing can be drawn."""

from __future__ import annotations

import queue
import time
from pathlib import Path

from grader.commands.watching.desk import Desk, Event, Failed, Graded, Opened, Saved, Seen
from grader.commands.watching.saves import GLANCE_SECONDS, Saves
from grader.commands.watching.views import scene_view, verdict_view
from grader.learner.history import Store
from grader.report.console import Page, relative


def watch_plainly(root: Path, folder: Path, store: Store, seed: int | None, name: str | None, options: str) -> None:
    """Report on each save until Ctrl-C."""
    page = Page()
    events: queue.Queue[Event] = queue.Queue()
    desk = Desk(root, folder, store, events.put)
    saves = Saves(folder)
    desk.start(seed)
    page.line(f"Watching {relative(str(folder))}, seed {desk.seed}. Save a file to have it graded; Ctrl-C ends.")
    try:
        desk.open_exercise(name or desk.first_open())
        while True:
            while not events.empty():
                _show(page, events.get(), desk, folder, options)
            time.sleep(GLANCE_SECONDS)
            names = saves.glance(desk.open_name)
            if names:
                desk.saved(names)
    finally:
        desk.close()


def _show(page: Page, event: Event, desk: Desk, folder: Path, options: str) -> None:
    match event:
        case Opened(exercise):
            page.line()
            page.line(f"{exercise.id}  {exercise.title}", "bold")
        case Graded():
            page.line()
            verdict_view(event, folder, desk.seed, options)(page)
        case Seen():
            scene_view(event)(page)
        case Failed(message):
            page.line(message, "red")
        case Saved():
            pass
