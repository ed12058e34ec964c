"""Nothing is lost, and the verdict is told, whatever happens to the grader, its store and its disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from grader.learner.history import Attempt, Store
from grader.learner.submission import read_text

from .harness.state import survive

Command = Callable[..., subprocess.CompletedProcess[str]]
CHECK = ("check", "ex00", "ex01", "--seed", "1")
PASSED = "2 of 2 passed"

# Runs a command, given as its arguments, beside a small full disk or a read-only folder that only it sees.
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
FULL_DISK = """
set -e
mount -t tmpfs -o size=8m none "$1"
cp -R "$0/." "$1"
cd "$1"
shift
cat /dev/zero > filler 2> /dev/null || true
"$@" || code=$?
rm filler
cp -R .grader "$OLDPWD/after"
exit ${code:-0}
"""
READ_ONLY = """
set -e
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
cd "$0"
exec "$@"
"""


def can_mount() -> bool:
    """Is everything allowed here that the two scripts do?"""
    if not shutil.which("unshare"):
        return False
    trial = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t tmpfs none "$0"'
    with tempfile.TemporaryDirectory() as folder:
        return (
            subprocess.run([*NAMESPACE, "sh", "-c", trial, folder], capture_output=True, check=False).returncode
            == 0
        )


needs_mount = pytest.mark.skipif(not can_mount(), reason="no mount namespace for an ordinary user here")


@pytest.fixture
def checkout(checkout: Path, tmp_path: Path) -> Path:
    """A copy for each test, in which the first two exercises are solved."""
    own = tmp_path / "repository"
    shutil.copytree(checkout, own, ignore=shutil.ignore_patterns(".grader"))
    for name in ("ex00_tensors.py", "ex01_text.py"):
        shutil.copy(own / "solutions" / name, own / "exercises")
    return own


@pytest.fixture
def path(checkout: Path) -> Path:
    """Where the store is."""
    return checkout / ".grader" / "progress.sqlite3"


def attempts(path: Path) -> list[Attempt]:
    """The history of a store that opens without a problem."""
    with closing(Store(path)) as store:
        found = store.attempts()
        assert all(store.text_of(attempt.id) for attempt in found)
        assert store.problem == ""
    return found


def environment() -> dict[str, str]:
    return {**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "NO_COLOR": "1", "PYTHONUTF8": "1", "COLUMNS": "999"}


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, encoding="utf-8", timeout=120, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, *([signal.SIGKILL] if os.name != "nt" else [])])
def test_a_signal_at_any_moment_loses_nothing(checkout: Path, number: int) -> None:
    survival = survive(checkout, number, count=6, seed=20)
    assert survival.faults == (), survival
    assert sum(survival.phases.values()) == survival.count == 6


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_grader_that_keeps_no_verdict_is_found_out(checkout: Path) -> None:
    store = checkout / "grader" / "learner" / "history.py"
    text = store.read_text(encoding="utf-8")
    assert text.count("UPDATE attempts SET status = ?") == 1
    sabotaged = text.replace("UPDATE attempts SET status = ?", "UPDATE attempts SET status = status || ?")
    store.write_text(sabotaged, encoding="utf-8")
    survival = survive(checkout, signal.SIGINT, count=1, seed=1)
    assert any("does not hold what was shown" in fault for fault in survival.faults)


def test_two_graders_at_once_both_give_verdicts_and_keep_them(command: Command, path: Path, checkout: Path) -> None:
    """They begin together without a store, and again while a third program is writing to it."""
    for kept in (4, 8):
        with ThreadPoolExecutor() as pool:
            both = [pool.submit(command, *CHECK) for _ in range(2)]
            if path.exists():
                with closing(sqlite3.connect(path, isolation_level=None)) as third:
                    third.execute("BEGIN IMMEDIATE")
                    third.execute("INSERT INTO hints VALUES ('ex00_tensors', 'softmax', 1)")
                    time.sleep(2)
                    third.execute("COMMIT")
        for done in (future.result() for future in both):
            assert (done.returncode, done.stderr) == (0, "")
            assert PASSED in done.stdout
            assert "could not be stored" not in done.stdout
        assert [attempt.status for attempt in attempts(path)] == ["passed"] * kept
    with closing(Store(path)) as store:
        assert store.next_hint("ex00_tensors", "softmax", 3) == 2


@pytest.mark.slow
@needs_mount
@pytest.mark.parametrize("temporary", ["elsewhere", "on it"])
@pytest.mark.parametrize("earlier", [0, 2])
def test_on_a_full_disk_the_verdict_is_told(
    command: Command, checkout: Path, tmp_path: Path, earlier: int, temporary: str
) -> None:
    if earlier:
        command(*CHECK)
    small = tmp_path / "small"
    small.mkdir()
    folder = ["env", f"TMPDIR={small}"] if temporary == "on it" else []
    grader = [*folder, sys.executable, "-m", "grader", *CHECK]
    done = run(*NAMESPACE, "sh", "-c", FULL_DISK, str(checkout), str(small), *grader, cwd=tmp_path)
    assert done.returncode == 0, done
    assert PASSED in done.stdout
    assert "Your progress could not be stored (" in done.stdout.splitlines()[-1]
    assert "disk" in done.stdout.splitlines()[-1]
    assert done.stderr == ""
    assert len(attempts(tmp_path / "after" / "progress.sqlite3")) == earlier


@pytest.mark.slow
@needs_mount
@pytest.mark.parametrize("earlier", [0, 2])
def test_in_a_read_only_folder_the_verdict_is_told(
    command: Command, checkout: Path, path: Path, tmp_path: Path, earlier: int
) -> None:
    if earlier:
        command(*CHECK)
    grader = [sys.executable, "-m", "grader", *CHECK]
    done = run(*NAMESPACE, "sh", "-c", READ_ONLY, str(checkout), *grader, cwd=tmp_path)
    assert done.returncode == 0, done
    assert PASSED in done.stdout
    assert "could not be stored" in done.stdout and "cannot be written to" in done.stdout
    assert done.stderr == ""
    assert len(attempts(path)) == earlier


def test_of_a_damaged_store_one_is_told_what_to_do_and_it_is_left_alone(
    command: Command, checkout: Path, path: Path, tmp_path: Path
) -> None:
    command(*CHECK)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = command(*CHECK, "--format", "json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert (report["passed"], len(report["notices"])) == (2, 1)
    assert f"{path} is damaged; move the folder .grader away" in report["notices"][0]
    assert path.read_bytes() == whole[: len(whole) // 2]
    path.parent.rename(tmp_path / "away")
    assert json.loads(command(*CHECK, "--format", "json").stdout)["notices"] == []
    assert len(attempts(path)) == 2
    assert (tmp_path / "away" / path.name).read_bytes() == whole[: len(whole) // 2]


def test_a_file_from_the_future_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "ex00_tensors.py"
    file.write_text("whole")
    ahead = time.time() + 365 * 86400
    os.utime(file, (ahead, ahead))
    states = iter([b"whole"])
    assert read_text(file, lambda _: next(states)) == "whole"
