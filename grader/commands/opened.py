"""What commands open and have to close: the history, the processes, the trial of the protections."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from grader.bootstrap import ROOT, STATE
from grader.learner.history import Store
from grader.report.console import Page
from grader.stopping import undisturbed
from grader.supervisor.launcher import Launcher
from grader.supervisor.protections import Protection, try_all
from grader.supervisor.start import start_launcher


@contextmanager
def opened_store() -> Iterator[Store]:
    store = Store(STATE / "progress.sqlite3")
    try:
        yield store
    finally:
        store.close()


@contextmanager
def opened_history(page: Page) -> Iterator[Store]:
    """The store, for what is shown from it; where that could not be read, it is said."""
    with opened_store() as store:
        yield store
        if store.problem:
            page.line(f"Your history could not be used: {store.problem}", "yellow")


@contextmanager
def opened_launcher(seed: int, expected: int | None = None) -> Iterator[Launcher]:
    """As `start_launcher`."""
    started = start_launcher(seed, expected)
    try:
        yield started
    finally:
        with undisturbed():  # a second Ctrl-C must not leave half of it behind
            started.close()


@contextmanager
def tried_protections(launcher: Launcher) -> Iterator[Future[tuple[Protection, ...]]]:
    """Which protections are in force: tried while other things go on."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool.submit(try_all, launcher, ROOT, any_solution(ROOT))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def any_solution(root: Path) -> Path:
    """A file that code under test must not read."""
    return next((root / "solutions").glob("ex*.py"))
