"""The kill matrix: every known mistake and every equivalent against every probe.

It proves the tests: a mistake that no probe sees, two mistakes that cannot be told apart yet say different
things, an equivalent that is refused, are each a defect of the exercise.

A mistake is run only on the checks that run the function it is in: in no other can it be seen. Which those are is
found out as everything here, by running a variant: one in which the function ends at its first line.
"""

from __future__ import annotations

from collections.abc import Mapping

from grader.course.exercise import Edit, Exercise
from grader.course.shortcomings import shortcomings
from grader.course.variants import cut_short, edited_function
from grader.grading.bench import Bench, Processes
from grader.judge.compare import departures
from grader.judge.results import Matrix, Row
from grader.protocol.runs import IMPORT_CHECK, Ending
from grader.supervisor.launcher import Launcher

Reach = Mapping[str, frozenset[str]]
"""The checks that run a function, for each function of the solution."""


def run_matrix(exercise: Exercise, launcher: Launcher, seed: int) -> Matrix:
    """Run all variants of an exercise. Raises `GraderError` if the reference itself does not complete."""
    bench = Bench(exercise, seed, Processes(launcher))
    return Matrix(
        exercise=exercise.id,
        seed=seed,
        mistakes=tuple(run_mistakes(bench)),
        refused=run_equivalents(bench),
        equivalents=len(exercise.equivalents),
        shortcomings=tuple(shortcomings(exercise)),
    )


def run_mistakes(bench: Bench) -> list[Row]:
    """Which checks see a mistake, and which mistakes look alike and yet say something else."""
    mistakes, reach = bench.exercise.mistakes, find_reach(bench)
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
        rows.append(Row(mistake.name, seen[number], tuple(twins), hung is mistake.hangs, is_importable))
    return rows


def run_equivalents(bench: Bench) -> dict[str, tuple[str, ...]]:
    """The equivalents that are refused, and the checks that refuse them."""
    equivalents = bench.exercise.equivalents
    names = (IMPORT_CHECK, *(check.name for check in bench.exercise.checks))
    runs = bench.run_variants([(edit, names[1:]) for edit in equivalents])
    failed = {
        edit.name: departures(bench.reference(), run, names) for edit, run in zip(equivalents, runs, strict=True)
    }
    return {name: checks for name, checks in failed.items() if checks}


def find_reach(bench: Bench) -> Reach:
    """Which checks run which function of the solution."""
    variants = cut_short(bench.exercise)
    names = (IMPORT_CHECK, *(check.name for check in bench.exercise.checks))
    runs = zip(variants, bench.run_trusted(list(variants.values())), strict=True)
    return {function: frozenset(departures(bench.reference(), run, names)) for function, run in runs}


def checks_that_see(edit: Edit, exercise: Exercise, reach: Reach) -> tuple[str, ...]:
    """The checks in which this edit can show: all of them, unless it lies within the body of a function."""
    function = edited_function(edit, exercise)
    return tuple(check.name for check in exercise.checks if not function or check.name in reach[function])
