"""The learner's history, in `.grader/progress.sqlite3`: every text that was graded or replaced.

A text is written before it is graded, so that even a killed grader has kept it. Nothing is ever deleted.
If the store cannot be used (read-only folder, full disk), the grader goes on, and `problem` says why.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from grader.records import ExerciseResult, Status
from grader.sources import digest

SCHEMA = """
CREATE TABLE IF NOT EXISTS texts (digest TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY,
    exercise TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES texts,
    saved_at TEXT NOT NULL,
    reason TEXT NOT NULL,
    seed INTEGER,
    status TEXT,
    checks TEXT
);
CREATE INDEX IF NOT EXISTS attempts_by_exercise ON attempts (exercise, id);
CREATE TABLE IF NOT EXISTS hints (exercise TEXT, function TEXT, given INTEGER, PRIMARY KEY (exercise, function));
"""
BUSY_SECONDS = 10.0
COLUMNS = "id, exercise, digest, saved_at, reason, seed, status, checks"


@dataclass(frozen=True)
class Attempt:
    """A text that was kept. `reason` is `graded`, or which command was about to replace it.

    `status` is None where the grading did not come to its end. `checks` maps a check to its verdict.
    """

    id: int
    exercise: str
    digest: str
    saved_at: datetime
    reason: str
    seed: int | None
    status: Status | None
    checks: dict[str, str]


class Store:
    """One open store. May be used from several threads and beside other graders."""

    def __init__(self, path: Path) -> None:
        self.problem = ""
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(exist_ok=True)
            self._connection = _open(str(path))
        except (sqlite3.Error, OSError) as error:
            self.problem = f"{path}: {error}"
            self._connection = _open(":memory:")  # serves this run; nothing of it stays

    def keep(self, exercise: str, text: str, reason: str, seed: int | None = None) -> int | None:
        """Write a text down; returns the number of the attempt, or None if it could not be written."""
        with self._using() as connection:
            mark = digest(text)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (mark, text))
            cursor = connection.execute(
                "INSERT INTO attempts (exercise, digest, saved_at, reason, seed) VALUES (?, ?, ?, ?, ?)",
                (exercise, mark, datetime.now(UTC).isoformat(timespec="seconds"), reason, seed),
            )
            connection.execute("COMMIT")
            return cursor.lastrowid
        return None

    def finish(self, attempt: int | None, result: ExerciseResult) -> None:
        """Add the verdict to an attempt."""
        if attempt is None:
            return
        checks = json.dumps({check.name: check.status for check in result.checks})
        with self._using() as connection:
            connection.execute(
                "UPDATE attempts SET status = ?, checks = ? WHERE id = ?", (result.status, checks, attempt)
            )

    def attempts(self, exercise: str | None = None) -> list[Attempt]:
        """Kept texts, the newest first."""
        with self._using() as connection:
            where, values = ("WHERE exercise = ?", (exercise,)) if exercise else ("", ())
            rows = connection.execute(f"SELECT {COLUMNS} FROM attempts {where} ORDER BY id DESC", values)
            return [_attempt(row) for row in rows]
        return []

    def latest_graded(self) -> dict[str, Attempt]:
        """The last graded attempt of each exercise."""
        latest: dict[str, Attempt] = {}
        for attempt in self.attempts():
            if attempt.reason == "graded" and attempt.status is not None:
                latest.setdefault(attempt.exercise, attempt)
        return latest

    def text_of(self, attempt: int) -> tuple[Attempt, str] | None:
        """An attempt by its number, with its text."""
        with self._using() as connection:
            row = connection.execute(f"SELECT {COLUMNS} FROM attempts WHERE id = ?", (attempt,)).fetchone()
            if row is None:
                return None
            text = connection.execute("SELECT text FROM texts WHERE digest = ?", (row[2],)).fetchone()
            return _attempt(row), str(text[0])
        return None

    def next_hint(self, exercise: str, function: str, count: int) -> int:
        """How many hints for a function have been given, this one included; at most `count`."""
        with self._using() as connection:
            connection.execute(
                "INSERT INTO hints VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET given = min(given + 1, ?)",
                (exercise, function, count),
            )
            row = connection.execute(
                "SELECT given FROM hints WHERE exercise = ? AND function = ?", (exercise, function)
            ).fetchone()
            return int(row[0])
        return 1

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The connection, to one thread at a time. An error is noted in `problem` and ends the block."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                self.problem = str(error)
                if self._connection.in_transaction:
                    self._connection.rollback()


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(SCHEMA)
    return connection


def _attempt(row: tuple[int, str, str, str, str, int | None, str | None, str | None]) -> Attempt:
    number, exercise, mark, saved_at, reason, seed, status, checks = row
    return Attempt(
        id=number,
        exercise=exercise,
        digest=mark,
        saved_at=datetime.fromisoformat(saved_at),
        reason=reason,
        seed=seed,
        status=Status(status) if status else None,
        checks=json.loads(checks) if checks else {},
    )
