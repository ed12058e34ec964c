"""The kill matrix: every known mistake, in every base, and every equivalent against every probe.

It proves the tests: a mistake that no probe sees, two mistakes that cannot be told apart yet say different
things, an equivalent that is refused, are each a defect of the exercise.

A mistake is run only on the checks that run the function it is in: in no other can it be seen. Which those are is
found out as everything here, by running a variant: one in which the function ends at its first line.
"""

from __future__ import annotations

from collections.abc import Mapping

from grader.course.exercise import Edit, Exercise
from grader.course.index import CaughtBy
from grader.course.shortcomings import shortcomings
from grader.course.variants import base_sources, cut_short, edited_function, variant_sources
from grader.grading.bench import Bench, Processes
from grader.judge.compare import departures
from grader.judge.results import Matrix, Row
from grader.protocol.runs import IMPORT_CHECK, Ending
from grader.supervisor.launcher import Launcher

Reach = Mapping[tuple[str, str], frozenset[str]]
"""The checks that run a function, for each base and function of it."""


def run_matrix(exercise: Exercise, launcher: Launcher, seed: int) -> Matrix:
    """Run all variants of an exercise. Raises `GraderError` if the reference itself does not complete."""
    bench = Bench(exercise, seed, Processes(launcher))
    return Matrix(
        exercise=exercise.id,
        seed=seed,
        mistakes=tuple(run_mistakes(bench)),
        refused=run_equivalents(bench),
        equivalents=len(exercise.equivalents),
        bases=1 + len(exercise.bases),
        shortcomings=tuple(shortcomings(exercise)),
    )


def run_mistakes(bench: Bench, caught_by: CaughtBy | None = None) -> list[Row]:
    """Which checks see a mistake, and which mistakes look alike and yet say something else.

    Each is run on all checks in which it could be seen, or only on those of `caught_by`.
    """
    mistakes = bench.exercise.mistakes
    if caught_by:
        checks = [tuple(sorted(caught_by[mistake])) for mistake in mistakes]
    else:
        reach = find_reach(bench)
        checks = [checks_that_see(mistake, bench.exercise, reach) for mistake in mistakes]
    runs = bench.run_variants(list(zip(mistakes, checks, strict=True)))
    seen = [
        departures(bench.reference(), run, (IMPORT_CHECK, *names)) for run, names in zip(runs, checks, strict=True)
    ]
    rows = []
    for number, mistake in enumerate(mistakes):
        twins = [
            other.name
            for position, other in enumerate(mistakes)
            if other.says != mistake.says
            and seen[position] == seen[number]
            and not departures(runs[number], runs[position], seen[number], to_the_word=True)
        ]
        hung = any(check.ending is Ending.TIMEOUT for check in runs[number].checks)
        is_importable = IMPORT_CHECK not in seen[number]
        name = f"{mistake.base}/{mistake.name}" if mistake.base else mistake.name
        rows.append(Row(name, seen[number], tuple(twins), hung is mistake.hangs, is_importable))
    return rows


def run_equivalents(bench: Bench) -> dict[str, tuple[str, ...]]:
    """The equivalents and the other bases that are refused, and the checks that refuse them."""
    exercise = bench.exercise
    right = [(edit.name, variant_sources(exercise, edit)) for edit in exercise.equivalents]
    right += [(f"the base {base.name}", base_sources(exercise, base)) for base in exercise.bases]
    names = (IMPORT_CHECK, *(check.name for check in exercise.checks))
    runs = bench.run_right([sources for _, sources in right])
    failed = {name: departures(bench.reference(), run, names) for (name, _), run in zip(right, runs, strict=True)}
    return {name: checks for name, checks in failed.items() if checks}


def find_reach(bench: Bench) -> Reach:
    """Which checks run which function of which base."""
    exercise = bench.exercise
    variants = {
        (base, function): sources
        for base in ("", *(each.name for each in exercise.bases))
        for function, sources in cut_short(exercise, base).items()
    }
    names = (IMPORT_CHECK, *(check.name for check in exercise.checks))
    runs = zip(variants, bench.run_trusted(list(variants.values())), strict=True)
    return {function: frozenset(departures(bench.reference(), run, names)) for function, run in runs}


def checks_that_see(edit: Edit, exercise: Exercise, reach: Reach) -> tuple[str, ...]:
    """The checks in which this edit can show: all of them, unless it lies within the body of a function."""
    function = edited_function(edit, exercise)
    seen = reach.get((edit.base, function), frozenset())
    return tuple(check.name for check in exercise.checks if not function or check.name in seen)
