"""Further right bases: read beside the tutor's files, and proved by the matrix like the solution."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.course.catalogue import load
from grader.course.exercise import Exercise
from grader.course.variants import combined_sources, edited_function, variant_sources
from grader.errors import UsageError
from grader.grading.bench import Bench, Processes
from grader.grading.matrix import run_equivalents, run_mistakes
from grader.supervisor.launcher import Launcher
from tests.mini import ID, SOLUTION, with_body

SUMMED = """about = "Adds it to itself."
without = ["endless"]

[mistake.tripled]
find = "x + x"
with = "x + x + x"
"""


def with_base(repository: Path, text: str, table: str) -> Exercise:
    folder = repository / "tutor" / ID / "bases"
    folder.mkdir()
    (folder / "summed.py").write_text(text, encoding="utf-8")
    (folder / "summed.toml").write_text(table, encoding="utf-8")
    return load(repository)[0]


def test_a_base_is_read_with_the_known_mistakes_in_it(repository: Path) -> None:
    exercise = with_base(repository, with_body("return x + x"), SUMMED)
    assert [base.name for base in exercise.bases] == ["summed"]
    (there,) = [mistake for mistake in exercise.mistakes if mistake.base]
    assert (there.name, there.says, there.function) == ("tripled", "You triple.", "double")
    assert "return x + x + x" in variant_sources(exercise, there)[ID].text
    assert edited_function(there, exercise) == "double"


def test_an_edit_that_fits_applies_by_itself(repository: Path) -> None:
    exercise = with_base(repository, SOLUTION.replace("self.count = 0", "self.count = int(0)"), 'about = "Odd."')
    assert [mistake.name for mistake in exercise.mistakes if mistake.base == "summed"] == ["tripled", "endless"]


def test_edits_of_two_bases_do_not_go_together(repository: Path) -> None:
    exercise = with_base(repository, with_body("return x + x"), SUMMED)
    first, last = exercise.mistakes[0], exercise.mistakes[-1]
    assert (first.base, last.base) == ("", "summed")
    assert combined_sources(exercise, (first, last)) is None


def test_the_matrix_proves_a_base_and_the_mistakes_in_it(repository: Path, subject_processes: Launcher) -> None:
    bench = Bench(with_base(repository, with_body("return x + x"), SUMMED), 17, Processes(subject_processes))
    rows = {row.name: row for row in run_mistakes(bench)}
    assert rows["summed/tripled"].caught_by == rows["tripled"].caught_by == ("test_double",)
    assert all(row.good for row in rows.values())
    assert run_equivalents(bench) == {}


def test_a_base_that_is_wrong_is_found(repository: Path, subject_processes: Launcher) -> None:
    exercise = with_base(repository, with_body("return x + x + 1"), 'about = "Wrong."')
    assert run_equivalents(Bench(exercise, 17, Processes(subject_processes))) == {
        "the base summed": ("test_double",)
    }


@pytest.mark.parametrize(
    ("text", "table", "said"),
    [
        (SOLUTION, "", "needs 'about'"),
        (SOLUTION, 'about = "x"\nwithout = ["nobody"]', "there is no mistake 'nobody'"),
        (SOLUTION, 'about = "x"\n[mistake.nobody]\nfind = "x * 2"\nwith = "x"', "there is no mistake 'nobody'"),
        (SOLUTION, 'about = "x"\n[mistake.tripled]\nfind = "x + x"\nwith = "x"', "stands in the code 0 times"),
        (SOLUTION, 'about = "x"\n[mistake.tripled]\nfind = "x * 2"\nwith = "x"\nsays = "?"', "unknown key 'says'"),
        ("def double(x:", 'about = "x"', "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_base_is_named(repository: Path, text: str, table: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_base(repository, text, table)
    assert said in str(caught.value)
    assert "summed" in str(caught.value)
