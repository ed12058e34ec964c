"""Whose fault is it: a check that only builds on something wrong waits, and what is wrong itself is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.course.catalogue import load
from grader.grading.session import Session
from grader.judge.results import CheckResult, Status
from grader.learner.history import Store
from grader.supervisor.launcher import Launcher
from tests.mini import HINTS, ID, SOLUTION, TITLE, write_exercise

SECOND = "ex01_more"
MORE = '''"""More."""

from .ex00_mini import Counter, double, total


def quadruple(x):
    """Four times x."""
    return double(double(x))


def half(x):
    """Half of x."""
    return x / 2


def same(x):
    """x again."""
    return half(double(x))


def shifted(x):
    """half(x) + 1."""
    return half(x) + 1


def summed(x):
    """The sum."""
    return total(x)
'''
MORE_PROBES = """
def test_quadruple(subject, draw, observe):
    observe("x4", subject.quadruple(draw.normal(2, 3)))


def test_half(subject, draw, observe):
    observe("x/2", subject.half(draw.normal(2, 3)))


def test_same(subject, draw, observe):
    observe("x", subject.same(draw.normal(2, 3)))


def test_shifted(subject, draw, observe):
    observe("x/2+1", subject.shifted(draw.normal(2, 3)))


def test_summed(subject, draw, observe):
    observe("sum", subject.summed(draw.normal(2, 3)))


def test_shifted_and_half_together(subject, draw, observe):
    x = draw.normal(2, 3)
    observe("1", subject.shifted(x) - subject.half(x))
"""
TUTOR = {"exercise": TITLE, **dict.fromkeys(("quadruple", "half", "same", "shifted", "summed"), HINTS)}
TUTOR["half"] = HINTS + '[mistake.third]\nfind = "x / 2"\nwith = "x / 3"\nsays = "You take a third."\n'
PASSED, WRONG, BLOCKED, RAISED = Status.PASSED, Status.WRONG, Status.BLOCKED, Status.RAISED

Results = dict[str, CheckResult]
GradeMore = Callable[..., Results]


@pytest.fixture
def grade_more(repository: Path, subject_processes: Launcher) -> GradeMore:
    """Grade a text as the second exercise, beside a text of the first; the verdicts by check."""
    write_exercise(repository, SECOND, MORE, MORE_PROBES, TUTOR)
    exercises = load(repository)
    folder = repository / "exercises"

    def run(more: str = MORE, mini: str = SOLUTION, store: Store | None = None) -> Results:
        (folder / f"{SECOND}.py").write_text(more)
        (folder / f"{ID}.py").write_text(mini)
        result = Session(exercises, folder, 17, subject_processes, store).grade(exercises[1])
        return {check.name.removeprefix("test_"): check for check in result.checks}

    return run


def statuses(results: Results) -> list[Status]:
    return [check.status for check in results.values()]


def test_what_fails_through_another_exercise_waits_and_names_it(grade_more: GradeMore) -> None:
    results = grade_more(mini=SOLUTION.replace("x * 2", "x * 3"))
    assert statuses(results) == [BLOCKED, PASSED, BLOCKED, PASSED, PASSED, PASSED]
    assert results["quadruple"].message.startswith(f"Builds on {ID}. Once that is right")


def test_ones_own_fault_is_told_although_another_exercise_is_wrong(grade_more: GradeMore) -> None:
    results = grade_more(MORE.replace("x / 2", "x / 3"), SOLUTION.replace("x * 2", "x * 4"))
    assert statuses(results) == [BLOCKED, WRONG, BLOCKED, BLOCKED, PASSED, PASSED]
    assert results["half"].message == "You take a third."


def test_what_else_another_exercise_defines_is_kept(grade_more: GradeMore) -> None:
    mini = SOLUTION.replace("x * 2", "x * 3") + "\n\ndef mine(x):\n    return x / 2\n"
    more = MORE.replace("import Counter", "import mine, Counter").replace("return x / 2", "return mine(x)")
    assert statuses(grade_more(more, mini)) == [BLOCKED, PASSED, BLOCKED, PASSED, PASSED, PASSED]


@pytest.mark.parametrize("broken", ["import nothing_like_that\n", "def f(:\n", "raise ValueError('no')\n"])
def test_another_exercise_that_cannot_be_imported_is_named(grade_more: GradeMore, broken: str) -> None:
    results = grade_more(MORE.replace("x / 2", "x / 3"), broken + SOLUTION)
    assert statuses(results) == [BLOCKED]
    assert results["import"].message.startswith(f"Builds on {ID}")


def test_what_was_seen_beside_the_reference_is_not_shown(grade_more: GradeMore) -> None:
    spying = MORE.replace("return x / 2", "import inspect; return inspect.getsource(double)")
    results = grade_more(spying, SOLUTION.replace("x * 2", "x * 4"))
    assert results["half"].difference is not None and "x * 4" in results["half"].difference.actual
    assert not any("x * 2" in repr(check) for check in results.values())


def test_what_lacks_in_another_exercise_is_named(grade_more: GradeMore) -> None:
    results = grade_more(mini=SOLUTION.replace("def total", "def summe"))
    assert statuses(results) == [PASSED, PASSED, PASSED, PASSED, BLOCKED, PASSED]
    assert results["summed"].message == "Builds on `total` of ex00_mini.py, still to be written."


def test_what_fails_through_another_function_waits_for_that(grade_more: GradeMore) -> None:
    results = grade_more(MORE.replace("x / 2", "x / 3"))
    assert statuses(results) == [PASSED, WRONG, BLOCKED, BLOCKED, PASSED, PASSED]
    assert results["shifted"].message.startswith("Builds on `half`. Once that is right")


def test_two_functions_that_are_wrong_are_both_told(grade_more: GradeMore) -> None:
    results = grade_more(MORE.replace("x / 2", "x / 3").replace("half(x) + 1", "half(x) + 2"))
    assert statuses(results) == [PASSED, WRONG, BLOCKED, WRONG, PASSED, WRONG]


@pytest.mark.slow
def test_an_endless_function_makes_the_others_wait(grade_more: GradeMore) -> None:
    results = grade_more(MORE.replace("return x / 2", "while True: pass"))
    found = statuses(results)
    assert found[1] is Status.TIMEOUT
    assert (found[0], found[4]) == (PASSED, PASSED)
    assert set(found[2:4]) == {BLOCKED}


def test_a_text_that_has_passed_is_not_doubted(grade_more: GradeMore, repository: Path) -> None:
    """Nor run again: a stored verdict on this very text is taken, and the reference's own text is right."""
    mine = SOLUTION + "# Mine.\n"
    store = Store(repository / ".grader" / "progress.sqlite3")
    (repository / "exercises" / f"{ID}.py").write_text(mine)
    exercises = load(repository)
    folder = repository / "exercises"
    session = Session(exercises, folder, 17, None, store)  # type: ignore[arg-type]
    from grader.judge.results import ExerciseResult
    from grader.learner.submission import read_submission

    (folder / f"{SECOND}.py").write_text(MORE)
    submission = read_submission(folder, SECOND)
    assert session._doubtful(exercises[1], submission) == [ID]
    attempt = store.keep(ID, mine, "graded", 17)
    store.finish(attempt, ExerciseResult(ID, PASSED, 0.0, ()))
    assert session._doubtful(exercises[1], submission) == []
    (folder / f"{ID}.py").write_text(mine + "\n")
    assert session._doubtful(exercises[1], read_submission(folder, SECOND)) == [ID]
    (folder / f"{ID}.py").write_text(SOLUTION)
    assert session._doubtful(exercises[1], read_submission(folder, SECOND)) == []


@pytest.mark.slow
def test_what_hangs_is_waited_for_once(grade_more: GradeMore) -> None:
    """Whatever does not call it is judged, however many checks do."""
    results = grade_more(MORE.replace("return x / 2", "while True: pass").replace("return total(x)", "return x"))
    assert statuses(results) == [PASSED, Status.TIMEOUT, BLOCKED, BLOCKED, WRONG, BLOCKED]
    assert results["shifted"].message.startswith("Builds on `half`. Once that is right")


@pytest.mark.slow
def test_another_exercise_that_hangs_is_named(grade_more: GradeMore) -> None:
    results = grade_more(mini=SOLUTION.replace("return x * 2", "while True: pass"))
    assert statuses(results) == [BLOCKED, PASSED, BLOCKED, PASSED, PASSED, PASSED]
    assert results["quadruple"].message.startswith(f"Builds on {ID}")


def test_the_line_is_the_one_in_this_exercise_and_not_in_the_one_that_it_calls(grade_more: GradeMore) -> None:
    more = MORE.replace("return total(x)", 'return total("x")')
    place = grade_more(more)["summed"].place
    assert place is not None
    assert (Path(place.file).stem, place.line) == (SECOND, line_of(more, 'total("x")'))


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")
def test_what_is_refused_is_told_with_a_line_of_this_exercise(
    grade_more: GradeMore, repository: Path, subject_processes: Launcher
) -> None:
    more = MORE.replace("return total(x)", "return total(open)")
    grade_more(more, SOLUTION.replace("return x.sum(dim=-1)", "return x('/x.txt', 'w')"))
    exercises = load(repository)
    result = Session(exercises, repository / "exercises", 17, subject_processes, None).grade(exercises[1])
    assert result.refused == (f"write or change /x.txt (line {line_of(more, 'total(open)')})",)


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1
