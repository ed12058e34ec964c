"""The index of the diagnosis: what was written is read again, and what is not of these texts is not used."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from grader.commands.authors import with_index
from grader.course.exercise import Exercise
from grader.course.index import index_path, read_index, spell_index
from grader.grading.matrix import run_matrix
from grader.protocol.job import Source
from grader.supervisor.launcher import Launcher

DOUBLE, COUNTER = "test_double", "test_counter"


def test_what_is_written_is_read_again(exercise: Exercise) -> None:
    index_path(exercise).write_text(spell_index(exercise, [[DOUBLE, COUNTER], []]), encoding="utf-8")
    tripled, endless = exercise.mistakes
    assert read_index(exercise) == {tripled: {DOUBLE, COUNTER}, endless: frozenset()}


def test_several_edits_of_one_name_are_kept_apart(exercise: Exercise) -> None:
    tripled, endless = exercise.mistakes
    more = replace(exercise, mistakes=(tripled, replace(tripled, replacement="x * 4"), endless))
    index_path(more).write_text(spell_index(more, [[DOUBLE], [COUNTER], []]), encoding="utf-8")
    assert [sorted(caught) for caught in read_index(more).values()] == [[DOUBLE], [COUNTER], []]


@pytest.mark.parametrize("runs", [[0], [0, 1], [0, 1, 2, 3], [0, 2], [1, 2, 4, 5, 6, 9], []])
def test_any_set_of_checks_is_read_again(exercise: Exercise, runs: list[int]) -> None:
    checks = tuple(replace(exercise.checks[0], name=f"test_{number}") for number in range(10))
    many = replace(exercise, checks=checks)
    names = [f"test_{number}" for number in runs]
    index_path(many).write_text(spell_index(many, [names, []]), encoding="utf-8")
    assert read_index(many)[many.mistakes[0]] == set(names)


def test_an_index_of_other_texts_is_not_used(exercise: Exercise) -> None:
    index_path(exercise).write_text(spell_index(exercise, [[DOUBLE], []]), encoding="utf-8")
    assert read_index(exercise)
    other = Source(exercise.probes.path, exercise.probes.text + "\n")
    assert read_index(replace(exercise, probes=other)) == {}
    assert read_index(replace(exercise, mistakes=exercise.mistakes[:1])) == {}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 1}', "null", "caught", "numbers", "\0"])
def test_a_damaged_index_is_not_used(exercise: Exercise, damage: str) -> None:
    document = json.loads(spell_index(exercise, [[DOUBLE], []]))
    if damage == "caught":
        damage = json.dumps({**document, "caught": {}})
    elif damage == "numbers":
        damage = json.dumps({**document, "caught": {"tripled": "99", "endless": ""}})
    index_path(exercise).write_text(damage, encoding="utf-8")
    assert read_index(exercise) == {}
    index_path(exercise).unlink()
    assert read_index(exercise) == {}


def test_the_matrix_writes_it_and_says_where_it_is_not_current(
    exercise: Exercise, subject_processes: Launcher
) -> None:
    found = run_matrix(exercise, subject_processes, 17)
    lacks = with_index(exercise, found, only_check=True).shortcomings
    assert lacks[-1].startswith("its index is not what the matrix finds")
    assert not index_path(exercise).exists()
    assert with_index(exercise, found, only_check=False) == found
    assert with_index(exercise, found, only_check=True) == found
    assert set(read_index(exercise)[exercise.mistakes[0]]) == {DOUBLE}
