"""What is changed of a solution, what is not, and what is said of the survivors."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.course.catalogue import load
from grader.course.variants import variant_sources
from tests.mini import ID, ROOT, write_exercise

pytest.importorskip("mutmut", reason="comes with the extra `bench`")

from benchmarks import survivors
from benchmarks.mutations import Mutant, meaning, mutants


@pytest.fixture
def found(tmp_path: Path) -> list[Mutant]:
    write_exercise(tmp_path)
    (exercise,) = load(tmp_path)
    return list(mutants(exercise))


def test_a_number_an_operator_a_condition_and_a_statement_are_changed(found: list[Mutant]) -> None:
    changes = {(mutant.before, mutant.after) for mutant in found}
    assert {
        ("return x * 2", "return x / 2"),
        ("return x * 2", "return x * 3"),
        ("return x * 2", "return x * 1"),
        ("if amount < 0:", "if amount <= 0:"),
        ("self.count += amount", "self.count -= amount"),
        ("self.count += amount", "pass"),
        ("self.count = 0", "self.count = None"),
    } <= changes


def test_each_line_is_that_of_the_solution(found: list[Mutant], tmp_path: Path) -> None:
    (exercise,) = load(tmp_path)
    lines = exercise.solution.text.splitlines()
    assert all(lines[mutant.line - 1].strip() == mutant.before for mutant in found)


def test_each_is_an_edit_that_makes_another_program(found: list[Mutant], tmp_path: Path) -> None:
    (exercise,) = load(tmp_path)
    texts = [variant_sources(exercise, mutant.edit)[ID].text for mutant in found]
    programs = {meaning(text) for text in texts}
    assert len(programs) == len(texts)
    assert meaning(exercise.solution.text) not in programs


def test_the_words_of_an_error_are_nobodys_business() -> None:
    assert meaning("def f():\n    raise ValueError('a', 1)") == meaning(
        "def f():\n    raise ValueError('b', 1)  # c"
    )
    assert meaning("def f():\n    raise ValueError('a', 1)") != meaning("def f():\n    raise ValueError('a', 2)")
    assert meaning("x = 'a'") != meaning("x = 'b'")


REASONS = """
[[ex00_mini]]
before = "return x * 2"
after = ["return x * 3", "return x * 1"]
reason = "Because."
"""


def test_survivors_and_reasons_are_held_against_each_other(
    found: list[Mutant],
) -> None:
    tripled, halved = (
        next(mutant for mutant in found if mutant.after == after) for after in ("return x * 3", "return x / 2")
    )
    review = survivors.review([tripled, halved], survivors.read(REASONS)[ID])
    assert review.explained == ((tripled, "Because."),)
    assert review.unexplained == (halved,)
    assert review.stale == (("return x * 2", "return x * 1"),)


def test_each_reason_is_about_an_exercise_and_says_something() -> None:
    reasons = survivors.read(survivors.FILE.read_text(encoding="utf-8"))
    assert set(reasons) <= {path.stem for path in (ROOT / "solutions").glob("ex*.py")}
    assert all(
        each.before and each.after and each.reason.endswith(".") for some in reasons.values() for each in some
    )
