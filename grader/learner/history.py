"""The learner's history, in `.grader/progress.sqlite3`: every text that was graded or replaced.

A text is written before it is graded, so that even a killed grader has kept it. Nothing is ever deleted.
If the store cannot be used (read-only folder, full disk), the grader goes on, and `problem` says why. A damaged
store is left as it is: whoever knows SQLite may still find texts in it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from grader.judge.results import ExerciseResult, Status
from grader.learner.submission import digest

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
# How long to wait for another grader that is writing. Whoever was waited for in vain is not waited for that long
# again: with a verdict on every exercise still to be stored, that would add up to minutes.
BUSY_SECONDS = 5.0
BUSY_AGAIN_SECONDS = 0.2
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

    @property
    def passed(self) -> bool:
        return self.status is Status.PASSED

    def is_of(self, text: str) -> bool:
        """Was it this very text?"""
        return self.digest == digest(text)


class Store:
    """One open store. May be used from several threads and beside other graders."""

    def __init__(self, path: Path) -> None:
        self.problem = ""
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(exist_ok=True)
            self._connection = _open_patiently(str(path))
        except OSError as error:
            self.problem = f"{path.parent} cannot be written to: {error.strerror}"
        except sqlite3.Error as error:
            self.problem = _in_words(error, path)
        if self.problem:
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
        with self._using() as connection:
            newest = "SELECT max(id) FROM attempts WHERE reason = 'graded' AND status IS NOT NULL GROUP BY exercise"
            rows = connection.execute(f"SELECT {COLUMNS} FROM attempts WHERE id IN ({newest})")
            return {attempt.exercise: attempt for attempt in map(_attempt, rows)}
        return {}

    def text_of(self, attempt: int) -> tuple[Attempt, str] | None:
        """An attempt by its number, with its text."""
        with self._using() as connection:
            query = f"SELECT {COLUMNS}, text FROM attempts JOIN texts USING (digest) WHERE id = ?"
            row = connection.execute(query, (attempt,)).fetchone()
            return (_attempt(row[:-1]), row[-1]) if row else None
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
        """Wait for whoever is using it: Python crashes where a store is closed under a thread's hands.

        After Ctrl-C some threads still come with a verdict; that is not kept, since what they saw was cut off.
        """
        with self._lock:
            self._connection.close()

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The connection, to one thread at a time. An error is noted in `problem` and ends the block."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.ProgrammingError:
                self.problem = f"{self._path} is closed"
            except sqlite3.Error as error:
                self.problem = _in_words(error, self._path)
                if self._connection.in_transaction:
                    self._connection.rollback()
                if _code(error) == sqlite3.SQLITE_BUSY:
                    self._connection.execute(f"PRAGMA busy_timeout = {BUSY_AGAIN_SECONDS * 1000:.0f}")
            except Exception as error:  # something in it that no grader of this version has written
                self.problem = f"{self._path} cannot be used: {type(error).__name__}: {error}"
                if self._connection.in_transaction:
                    self._connection.rollback()


def _open_patiently(path: str) -> sqlite3.Connection:
    """Open the store. SQLite does not wait by itself where two graders make a new store at the same moment."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return _open(path)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Where the power fails, the last moments may be missing, and nothing is damaged. All else it survives, and
        # nobody waits for the disk.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _code(error: sqlite3.Error) -> int:
    """What kind of error it is: one of SQLite's result codes, or 0 where it was not SQLite that complained."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _in_words(error: sqlite3.Error, path: Path) -> str:
    """What is wrong with the store, and what to do about it."""
    match _code(error):
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return f"{path} is damaged; move the folder {path.parent.name} away, and a new history begins"
        case sqlite3.SQLITE_FULL:
            return f"no space is left on the disk of {path}"
        case sqlite3.SQLITE_IOERR:
            return f"the disk of {path} is full, or it fails"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"{path} cannot be written to"
        case sqlite3.SQLITE_BUSY:
            return f"another program is writing to {path}"
    return f"{path}: {error}"


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
