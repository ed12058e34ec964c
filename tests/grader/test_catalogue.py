"""Tutor files: a mistake in one is named in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grader.course.catalogue import choose, load, load_readable
from grader.course.exercise import Edit, Exercise
from grader.course.variants import combined_sources, edited_function, variant_sources
from grader.errors import UsageError
from grader.protocol.job import Source
from tests.mini import HINTS, ID, TRIPLED, write_exercise

TRIPLE = 'find = "x * 2"\nwith = "x * 3"'
ALSO = 'says = "You triple."\n[[mistake.tripled.also]]\n'


@pytest.mark.parametrize(
    "file, old, new, said",
    [
        ("exercise", 'title = "Mini"', "title = ", "is not valid TOML"),
        ("exercise", 'title = "Mini"', "", "needs 'title'"),
        ("exercise", "minutes = 20", 'minutes = "20"', "needs 'minutes'"),
        ("exercise", "minutes = 20", "minutes = 90", "15 to 60 minutes, not 90"),
        ("exercise", "minutes = 20", "minutes = 20\ncolour = 1", "unknown key 'colour'"),
        ("exercise", '["tiktoken"]', '"tiktoken"', "[forbidden] maps"),
        ("double", '["one", "two", "three"]', '["one", "two"]', "3 or 4 hints"),
        ("total", 'hints = ["one", "two", "three"]', "", "3 or 4 hints"),
        ("double", TRIPLE, 'find = "x * 9"\nwith = "x * 3"', "stands in the code 0 times"),
        ("double", TRIPLE, 'find = "x"\nwith = "y"', "times, not once"),
        ("double", TRIPLE, 'find = "x * 2"', "needs 'with'"),
        ("double", 'says = "You triple."', "", "needs 'says'"),
        ("double", 'says = "You triple."', 'says = "You triple."\nwhy = "?"', "unknown key 'why'"),
        ("double", 'says = "You triple."', ALSO + 'find = "x * 2"', "needs 'with'"),
        (
            "double",
            'says = "You triple."',
            ALSO + 'find = "x * 9"\nwith = ""',
            "stands in the code 0 times",
        ),
        ("double", 'says = "You triple."', ALSO + 'says = "More."', "unknown key 'says'"),
        ("double", "[mistake.endless]", "[mistake.tripled]", "is not valid TOML"),
        ("double", "[mistake.tripled]", "[[mistake]]", "write each mistake as [mistake.its-name]"),
        ("double", "[equivalent.added]", "[equivalent.tripled]", "two entries have the name 'tripled'"),
    ],
)
def test_a_broken_tutor_file_is_named(repository: Path, file: str, old: str, new: str, said: str) -> None:
    path = repository / "tutor" / ID / f"{file}.toml"
    whole = path.read_text(encoding="utf-8")
    assert whole.count(old) == 1
    path.write_text(whole.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load(repository)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_two_functions_use_is_named(repository: Path) -> None:
    path = repository / "tutor" / ID / "total.toml"
    path.write_text(HINTS + TRIPLED, encoding="utf-8")
    with pytest.raises(UsageError, match="the name 'tripled', at double and here"):
        load(repository)


def test_a_file_about_nothing_is_named(repository: Path) -> None:
    (repository / "tutor" / ID / "triple.toml").write_text(HINTS, encoding="utf-8")
    with pytest.raises(UsageError, match="about 'triple', which the exercise does not ask for"):
        load(repository)


def test_the_same_mistake_may_be_made_in_two_ways(repository: Path) -> None:
    path = repository / "tutor" / ID / "double.toml"
    text = path.read_text(encoding="utf-8")
    says = 'says = """\nYou\ntriple.\n"""\n\n[[mistake.tripled.also]]\nfind = "x * 2"\nwith = "2 * x + x"\n'
    path.write_text(text.replace('says = "You triple."\n', says), encoding="utf-8")
    one, other, _ = load(repository)[0].mistakes
    assert (one.name, one.says, one.function) == (other.name, other.says, other.function)
    assert (one.says, one.replacement, other.replacement) == ("You triple.", "x * 3", "2 * x + x")


def test_find_looks_at_code_and_not_at_docstrings(repository: Path) -> None:
    solution = repository / "solutions" / f"{ID}.py"
    solution.write_text(solution.read_text().replace("Twice x.", "Twice x, é: x * 2."), encoding="utf-8")
    (exercise,) = load(repository)
    tripled = exercise.mistakes[0]
    text = variant_sources(exercise, tripled)[ID].text
    assert "é: x * 2." in text and "return x * 3" in text
    assert edited_function(tripled, exercise) == "double"


def test_one_broken_exercise_leaves_the_others_alone(repository: Path) -> None:
    write_exercise(repository, "ex01_other")
    broken = repository / "tutor" / ID / "total.toml"
    broken.write_text("hints =")
    course = load_readable(repository)
    assert [exercise.id for exercise in course.exercises] == ["ex01_other"]
    assert list(course.problems) == [ID] and str(broken) in course.problems[ID]


def test_code_in_a_hint_stays_on_lines_of_its_own(repository: Path) -> None:
    hint = '"""\nTwo\nlines.\n\n    for x in y:\n        z(x)\n\nAnd\nmore.\n"""'
    path = repository / "tutor" / ID / "total.toml"
    path.write_text(f'hints = ["one", "two", {hint}]\n', encoding="utf-8")
    assert load(repository)[0].hints["total"][2] == "Two lines.\n    for x in y:\n        z(x)\nAnd more."


@pytest.mark.parametrize("file", ["exercise.toml", "Counter.add.toml"])
def test_a_missing_part_is_named(repository: Path, file: str) -> None:
    (repository / "tutor" / ID / file).unlink()
    with pytest.raises(UsageError, match="is missing"):
        load(repository)


def test_a_folder_without_exercises_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no exercise"):
        load(tmp_path)


@pytest.mark.parametrize("word", [ID, "ex00", "0", "00", f"exercises/{ID}.py"])
def test_an_exercise_may_be_named_in_several_ways(repository: Path, word: str) -> None:
    assert [exercise.id for exercise in choose(repository, [word])] == [ID]


@pytest.mark.parametrize("word", ["ex99", "99", "mini", "", "ex0"])
def test_an_unknown_exercise_is_named(repository: Path, word: str) -> None:
    with pytest.raises(UsageError, match="There is no exercise"):
        choose(repository, [word])


def test_a_check_knows_what_it_is_about(repository: Path) -> None:
    checks = load(repository)[0].checks
    assert [(check.name, check.function) for check in checks] == [
        ("test_double", "double"),
        ("test_total", "total"),
        ("test_counter", "Counter"),
    ]


LINES = "first = 1\nsecond = 2\nthird = 3"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # The same lines in both, but other words of them.
        (
            (LINES, LINES.replace("1", "10")),
            (LINES, LINES.replace("3", "30")),
            "first = 10\nsecond = 2\nthird = 30",
        ),
        # One moves the first line to the end, the other changes the last.
        ((LINES, "second = 2\nthird = 3\nfirst = 1"), ("3", "30"), "second = 2\nthird = 30\nfirst = 1"),
        ((LINES, LINES.replace("2", "20")), ("2", "200"), None),
        (("second", "zeroth = 0\nsecond"), ("second", "half = 0.5\nsecond"), None),
    ],
)
def test_edits_go_together_where_they_change_other_words(
    exercise: Exercise, one: tuple[str, str], other: tuple[str, str], expected: str | None
) -> None:
    made_up = replace(exercise, solution=Source("x.py", LINES))
    edits = [Edit(str(number), "", *texts) for number, texts in enumerate((one, other))]
    sources = combined_sources(made_up, edits)
    assert (sources[ID].text if sources else None) == expected
