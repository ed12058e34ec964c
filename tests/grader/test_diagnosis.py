"""Which mistake is named: only one that explains what was seen, and only without ambiguity."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from grader.course.exercise import Exercise, Mistake
from grader.course.index import CaughtBy
from grader.course.outline import outline
from grader.judge.candidates import in_order
from grader.judge.diagnosis import Candidate, RunMistakes, diagnose
from grader.judge.verdict import Submitted, compare_runs
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Ending, Failure, Observation, Place, SubjectRun


def run(**values: int) -> SubjectRun:
    """A run in which check `test_double` observed `double=…` and so on."""
    checks = tuple(
        CheckRun(f"test_{name}", Ending.RETURNED, (Observation("value", value),)) for name, value in values.items()
    )
    return SubjectRun(checks)


def diagnosed(
    exercise: Exercise,
    reference: SubjectRun,
    actual: SubjectRun,
    run_mistakes: RunMistakes,
    caught_by: CaughtBy | None = None,
) -> dict[str, tuple[Mistake, ...]]:
    """As for a learner's file that could be imported."""
    imported = CheckRun(IMPORT_CHECK, Ending.RETURNED)
    submitted = Submitted("x.py", outline(""))
    findings = compare_runs(exercise, submitted, reference, SubjectRun((imported, *actual.checks)))
    return diagnose(exercise, findings, reference, run_mistakes, caught_by or {})


RIGHT = {"double": 0, "total": 0, "counter": 0}


def explain(exercise: Exercise, known: dict[str, dict[str, int]], actual: dict[str, int]) -> dict[str, list[str]]:
    """Diagnose with mistakes that are made up: `known` maps a name to what it changes.

    A name ends in what it says: `a:axis` and `b:axis` say the same. Two at once add up, but for those whose names
    end in `!`: they exclude each other.
    """
    mistakes = {
        name: Mistake(name, "double", "return x * 2", "?", name.partition(":")[2] or name) for name in known
    }
    made_up = Exercise(**{**exercise.__dict__, "mistakes": tuple(mistakes.values())})

    def run_mistakes(candidates: Sequence[Candidate]) -> list[SubjectRun | None]:
        runs: list[SubjectRun | None] = []
        for candidate, names in candidates:
            values = dict(RIGHT)
            for mistake in candidate:
                for name, change in known[mistake.name].items():
                    values[name] += change
            excluded = sum(mistake.name.endswith("!") for mistake in candidate) > 1
            seen = run(**{name: value for name, value in values.items() if f"test_{name}" in names})
            runs.append(None if excluded else seen)
        return runs

    caught_by = {mistakes[name]: frozenset(f"test_{check}" for check in changes) for name, changes in known.items()}
    found = diagnosed(made_up, run(**RIGHT), run(**{**RIGHT, **actual}), run_mistakes, caught_by)
    return {check: [mistake.name for mistake in mistakes] for check, mistakes in found.items()}


def test_nothing_wrong_needs_no_mistake(exercise: Exercise) -> None:
    assert explain(exercise, {"a": {"double": 1}}, {}) == {}


def test_the_one_that_fits_is_named(exercise: Exercise) -> None:
    known = {"a": {"double": 1}, "b": {"double": 2}}
    assert explain(exercise, known, {"double": 2}) == {"test_double": ["b"]}


def test_one_that_would_break_what_passed_is_not_named(exercise: Exercise) -> None:
    assert explain(exercise, {"a": {"double": 1, "total": 1}}, {"double": 1}) == {}


def test_two_with_different_words_are_no_answer(exercise: Exercise) -> None:
    known = {"a": {"double": 1}, "b": {"double": 1}}
    assert explain(exercise, known, {"double": 1}) == {}


def test_two_with_the_same_words_are_one_answer(exercise: Exercise) -> None:
    known = {"a:same": {"double": 1}, "b:same": {"double": 1}}
    assert explain(exercise, known, {"double": 1}) == {"test_double": ["a:same"]}


def test_the_one_that_explains_more_wins(exercise: Exercise) -> None:
    known = {"a": {"double": 1}, "b": {"double": 1, "total": 1}}
    assert explain(exercise, known, {"double": 1, "total": 1}) == {"test_double": ["b"], "test_total": ["b"]}


def test_two_mistakes_in_two_places_are_both_named(exercise: Exercise) -> None:
    known = {"a": {"double": 1}, "b": {"total": 1}}
    assert explain(exercise, known, {"double": 1, "total": 1}) == {"test_double": ["a"], "test_total": ["b"]}


def test_where_two_meet_both_are_named(exercise: Exercise) -> None:
    known = {"a": {"double": 1, "total": 1}, "b": {"counter": 1, "total": 10}}
    found = explain(exercise, known, {"double": 1, "total": 11, "counter": 1})
    assert found == {"test_double": ["a"], "test_total": ["a", "b"], "test_counter": ["b"]}


def test_several_edits_of_one_mistake_are_named_once(exercise: Exercise) -> None:
    mistakes = tuple(Mistake("a", "double", "return x * 2", how, "says") for how in ("?", "??"))
    made_up = Exercise(**{**exercise.__dict__, "mistakes": mistakes})
    effects = dict(zip(mistakes, ({"double": 1, "total": 1}, {"total": 10, "counter": 1}), strict=True))

    def run_mistakes(candidates: Sequence[Candidate]) -> list[SubjectRun | None]:
        runs: list[SubjectRun | None] = []
        for candidate, names in candidates:
            values = {name: sum(effects[each].get(name, 0) for each in candidate) for name in RIGHT}
            runs.append(run(**{name: value for name, value in values.items() if f"test_{name}" in names}))
        return runs

    caught_by = {each: frozenset(f"test_{name}" for name in effect) for each, effect in effects.items()}
    actual = run(double=1, total=11, counter=1)
    found = diagnosed(made_up, run(**RIGHT), actual, run_mistakes, caught_by)
    assert {name: len(named) for name, named in found.items()} == dict.fromkeys(
        ("test_double", "test_total", "test_counter"), 1
    )


def test_one_that_shows_only_beside_another_is_named(exercise: Exercise) -> None:
    known = {"a": {"double": 1, "total": 1}, "b": {"total": 10}}
    assert explain(exercise, known, {"double": 1, "total": 11}) == {"test_double": ["a"], "test_total": ["a", "b"]}


def test_of_several_that_would_show_so_beside_another_none_is_named(exercise: Exercise) -> None:
    known = {"a": {"double": 1, "total": 1}, "b": {"total": 10}, "c": {"total": 10}}
    assert explain(exercise, known, {"double": 1, "total": 11}) == {"test_double": ["a"]}


def test_two_of_which_neither_has_a_check_of_its_own_are_not_named(exercise: Exercise) -> None:
    known = {"a": {"double": 1}, "b": {"double": 10}}
    assert explain(exercise, known, {"double": 11}) == {}


def test_what_is_named_together_has_to_hold_together(exercise: Exercise) -> None:
    known = {"a": {"double": 1, "total": 1}, "b": {"counter": 1, "total": -1}}
    # Both at once leave `total` as it should be, and here it is not: the weaker one is not named.
    assert explain(exercise, known, {"double": 1, "total": 1, "counter": 1}) == {
        "test_double": ["a"],
        "test_total": ["a"],
    }


def test_two_that_exclude_each_other_are_not_both_named(exercise: Exercise) -> None:
    known = {"a!": {"double": 1, "total": 1}, "b!": {"counter": 1}}
    found = explain(exercise, known, {"double": 1, "total": 1, "counter": 1})
    assert found == {"test_double": ["a!"], "test_total": ["a!"]}


def test_one_that_fits_in_few_of_the_checks_it_breaks_is_not_named(exercise: Exercise) -> None:
    known = {"a": {"double": 1, "total": 1, "counter": 1}}
    assert explain(exercise, known, {"double": 1, "total": 5, "counter": 7}) == {}


def test_all_failing_checks_are_explained_not_the_first_ones(exercise: Exercise) -> None:
    known = {"x": {"double": 5}, "y": {"total": 5}, "a": {"double": 1}, "b": {"total": 1}, "c": {"counter": 1}}
    found = explain(exercise, known, {"double": 1, "total": 1, "counter": 1})
    assert found == {"test_double": ["a"], "test_total": ["b"], "test_counter": ["c"]}


@pytest.mark.parametrize("message, expected", [("index 3", ["a"]), ("index 4", [])])
def test_an_error_is_explained_only_by_the_same_error(
    exercise: Exercise, message: str, expected: list[str]
) -> None:
    def raised(text: str) -> SubjectRun:
        return SubjectRun((CheckRun("test_double", Ending.RAISED, (), Failure(("IndexError",), text)),))

    mistake = Mistake("a", "double", "return x * 2", "?", "says")
    made_up = Exercise(**{**exercise.__dict__, "mistakes": (mistake,)})

    def run_mistakes(candidates: Sequence[Candidate]) -> list[SubjectRun | None]:
        return [raised("index 3") for _ in candidates]

    found = diagnosed(made_up, run(double=0), raised(message), run_mistakes)
    assert [mistake.name for mistake in found.get("test_double", ())] == expected


@pytest.mark.parametrize(
    ("error", "function", "expected"),
    [
        ("AttributeError: 'NoneType' object has no attribute 'pow'", "step", ["a"]),
        ("AttributeError: 'NoneType' object has no attribute 'double'", "step", ["a"]),
        ("TypeError: unsupported operand type(s) for *: 'float' and 'NoneType'", "step", ["a"]),
        ("TypeError: unsupported operand", "step", []),
        ("AttributeError: 'NoneType' object has no attribute 'double'", "__init__", []),
        ("AttributeError: no attribute 'grad'", "step", ["a"]),  # and b raises so too, to the word
    ],
)
def test_the_words_of_an_error_do_not_matter_but_its_type_and_function(
    exercise: Exercise, error: str, function: str, expected: list[str]
) -> None:
    def raised(text: str, where: str = "step") -> SubjectRun:
        kind, _, message = text.partition(": ")
        failure = Failure((kind,), message, (Place("x.py", 3, where),))
        return SubjectRun((CheckRun("test_double", Ending.RAISED, (), failure),))

    errors = {"a": "AttributeError: 'NoneType' object has no attribute 'pow'"}
    if "grad" in error:
        errors = {"b": "AttributeError: something else", "a": error}
    mistakes = tuple(Mistake(name, "double", "return x * 2", "?", name) for name in errors)
    made_up = Exercise(**{**exercise.__dict__, "mistakes": mistakes})

    def run_mistakes(candidates: Sequence[Candidate]) -> list[SubjectRun | None]:
        return [raised(errors[candidate[0].name]) for candidate, _ in candidates]

    found = diagnosed(made_up, run(double=0), raised(error, function), run_mistakes)
    assert [mistake.name for mistake in found.get("test_double", ())] == expected


def test_what_fits_best_is_tried_first() -> None:
    def mistake(name: str) -> Mistake:
        return Mistake(name, "double", "return x * 2", "?", name)

    breaks = {
        "all of it": "ab",
        "one of them": "a",
        "more than that": "ax",
        "what passed": "abp",
        "too much": "apq",
    }
    caught_by = {mistake(name): frozenset(checks) for name, checks in breaks.items()}
    in_turn = in_order(caught_by, caught_by, {"a", "b"}, {"p", "q"})
    assert [each.name for each in in_turn] == ["all of it", "one of them", "more than that", "what passed"]
