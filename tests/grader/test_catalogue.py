"""Tutor files: a mistake in one is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.catalogue import choose, load
from grader.errors import UsageError

from .conftest import ID, TUTOR


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('title = "Mini"', "title = ", "is not valid TOML"),
        ('title = "Mini"', "", "needs 'title'"),
        ("minutes = 5", 'minutes = "5"', "needs 'minutes'"),
        ("minutes = 5", "minutes = 5\ncolour = 1", "unknown key 'colour'"),
        ('double = ["one", "two", "three"]', 'double = ["one", "two"]', "3 hints for 'double'"),
        ('double = ["one", "two", "three"]', "", "3 hints for 'double'"),
        ("[hints]", '[hints]\ntriple = ["a", "b", "c"]', "names 'triple'"),
        ('find = "x * 2"\nwith = "x * 3"', 'find = "x * 9"\nwith = "x * 3"', "stands in the solution 0 times"),
        ('find = "x * 2"\nwith = "x * 3"', 'find = "x"\nwith = "y"', "times, not once"),
        ('find = "x * 2"\nwith = "x * 3"', 'find = "x * 2"', "needs 'with'"),
        ('says = "You triple."', "", "needs 'says'"),
        ('says = "You triple."', 'says = "You triple."\nwhy = "?"', "unknown key 'why'"),
        ('name = "endless"', 'name = "tripled"', "two entries have the name 'tripled'"),
    ],
)
def test_a_broken_tutor_file_is_named(repository: Path, old: str, new: str, said: str) -> None:
    assert TUTOR.count(old) == 1
    path = repository / "tutor" / f"{ID}.toml"
    path.write_text(TUTOR.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load(repository)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_part_is_named(repository: Path) -> None:
    (repository / "tutor" / f"{ID}.toml").unlink()
    with pytest.raises(UsageError, match="is missing"):
        load(repository)


def test_a_folder_without_exercises_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no exercise"):
        load(tmp_path)


@pytest.mark.parametrize("word", [ID, "ex00", "0", "00", f"exercises/{ID}.py"])
def test_an_exercise_may_be_named_in_several_ways(repository: Path, word: str) -> None:
    assert [exercise.id for exercise in choose(load(repository), [word])] == [ID]


@pytest.mark.parametrize("word", ["ex99", "99", "mini", "", "ex0"])
def test_an_unknown_exercise_is_named(repository: Path, word: str) -> None:
    with pytest.raises(UsageError, match="There is no exercise"):
        choose(load(repository), [word])


def test_a_check_knows_what_it_is_about(repository: Path) -> None:
    checks = load(repository)[0].checks
    assert [(check.name, check.function) for check in checks] == [
        ("test_double", "double"),
        ("test_total", "total"),
        ("test_counter", "Counter"),
    ]
