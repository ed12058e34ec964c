"""The kill matrix: every known mistake and every equivalent against every probe.

It proves the tests: a mistake that no probe sees, two mistakes that cannot be told apart yet say different
things, an equivalent that is refused, are each a defect of the exercise.

A mistake is run only on the checks that run the function it is in: in no other can it be seen. Which those are is
found out as everything here, by running a variant: one in which the function ends at its first line.
"""

from __future__ import annotations

from collections.abc import Mapping

from grader.course.exercise import Edit, Exercise
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
    reference, reach = bench.reference(), find_reach(bench)
    edits = [*exercise.mistakes, *exercise.equivalents]
    checks = [checks_that_see(edit, exercise, reach) for edit in edits]
    runs = bench.run_variants(list(zip(edits, checks, strict=True)))
    seen = [
        departures(reference, its_run, (IMPORT_CHECK, *names)) for its_run, names in zip(runs, checks, strict=True)
    ]
    rows = []
    for number, mistake in enumerate(exercise.mistakes):
        twins = [
            other.name
            for position, other in enumerate(exercise.mistakes)
            if other.says != mistake.says
            and seen[position] == seen[number]
            and not departures(runs[number], runs[position], seen[number])
        ]
        hung = any(check.ending is Ending.TIMEOUT for check in runs[number].checks)
        rows.append(Row(mistake.name, seen[number], tuple(twins), hung is mistake.hangs))
    equivalents = zip(exercise.equivalents, seen[len(exercise.mistakes) :], strict=True)
    refused = {edit.name: names for edit, names in equivalents if names}
    return Matrix(exercise.id, seed, tuple(rows), refused, len(exercise.equivalents))


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
