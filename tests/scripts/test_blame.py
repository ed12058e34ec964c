"""Whom an error is put down to: an exercise only where it has not passed as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader import bootstrap
from grader.errors import GraderError, UsageError
from grader.judge.results import ExerciseResult, Status
from grader.learner.history import Store
from scripts import entry

RAISING = "def encode(text):\n    raise KeyError(text)\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("exercises", "solutions", "scripts"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(entry, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "STATE", tmp_path / ".grader")
    return tmp_path


def write(path: Path, text: str, *verdicts: Status) -> None:
    path.write_text(text, encoding="utf-8")
    store = Store(bootstrap.STATE / "progress.sqlite3")
    for status in verdicts:
        store.finish(store.keep(path.stem, text, "graded", 17), ExerciseResult(path.stem, status, 0.1, ()))
    store.close()


def told(*paths: Path, error: str = "KeyError('lost')") -> tuple[int, str]:
    """What is said about an error that the last of these files raises, called from the one before, and so on."""
    scope: dict[str, object] = {}
    for number, path in reversed(list(enumerate(paths))):
        body = f"raise {error}" if number == len(paths) - 1 else f"f{number + 1}()"
        exec(compile(f"def f{number}():\n    {body}\n", str(path), "exec"), scope)
    try:
        scope["f0"]()  # type: ignore[operator]
    except Exception as raised:
        return entry._told(raised)
    raise AssertionError("nothing was raised")


def test_one_that_has_not_passed_is_blamed(root: Path) -> None:
    for verdicts in ((), (Status.WRONG,), (Status.PASSED, Status.WRONG)):
        write(root / "exercises" / "ex03_bpe.py", RAISING, *verdicts)
        code, said = told(root / "exercises" / "ex03_bpe.py")
        assert code == 1
        assert "KeyError" in said and "ex03_bpe.py:2, in f0" in said and "check ex03" in said


def test_one_that_has_passed_is_not(root: Path) -> None:
    path = root / "exercises" / "ex03_bpe.py"
    write(path, RAISING, Status.WRONG, Status.PASSED)
    code, said = told(path)
    assert code == 1
    assert "check ex" not in said and "report" in said and "ex03_bpe.py:2" in said
    path.write_text(RAISING + "# changed\n", encoding="utf-8")
    assert "check ex03" in told(path)[1]


def test_the_one_on_the_way_that_has_not_passed_is_blamed(root: Path) -> None:
    passed, wrong = root / "exercises" / "ex06_attention.py", root / "exercises" / "ex09_gpt.py"
    write(passed, RAISING, Status.PASSED)
    write(wrong, RAISING, Status.WRONG)
    assert "check ex09" in told(wrong, passed)[1]
    write(wrong, RAISING, Status.PASSED)
    assert "check ex" not in told(wrong, passed)[1]


def test_the_reference_is_never_blamed(root: Path) -> None:
    code, said = told(root / "solutions" / "ex03_bpe.py")
    assert code == 3
    assert "check ex" not in said and "report" in said
    write(root / "exercises" / "ex09_gpt.py", RAISING, Status.WRONG)
    assert "check ex09" in told(root / "exercises" / "ex09_gpt.py", root / "solutions" / "ex03_bpe.py")[1]


def test_a_disk_or_terminal_that_fails_is_no_ones_fault(root: Path) -> None:
    write(root / "exercises" / "ex13_train.py", RAISING, Status.WRONG)
    called = (root / "exercises" / "ex13_train.py", root / "scripts" / "view.py")
    code, said = told(*called, error="OSError(28, 'No space left on device')")
    assert code == 3 and "ex13" not in said
    code, said = told(called[0], error="OSError(28, 'No space left on device')")
    assert code == 1 and "check ex13" in said


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("so"), 2),
        (GraderError("so"), 3),
        (entry.CannotYet("so"), 1),
        (entry.Diverged("so"), 1),
        (MemoryError(), 3),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), 3),
    ],
)
def test_what_is_foreseen_is_a_sentence(root: Path, error: Exception, code: int) -> None:
    found, said = entry._told(error)
    assert found == code and "\n" not in said and said
