"""Which known mistake explains what was observed?

A mistake is a one-line edit of the reference. If a learner's observations are those of the edited reference
and not those of the reference, what the author wrote about that edit is said. Only an unambiguous match
counts: two candidates with different words are no match.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from grader.course.catalogue import Exercise
from grader.course.tutor_file import Mistake
from grader.judge.compare import same_run
from grader.protocol.runs import CheckRun, Ending, SubjectRun

# Runs the solution with each of these sets of mistakes in it, on these checks only; None where the edits of a
# set exclude each other.
RunMistakes = Callable[[Sequence[tuple[Mistake, ...]], tuple[str, ...]], list[SubjectRun | None]]
# Each round looks for one cause of one unexplained check; a file with more causes is told of the first ones.
MAX_ROUNDS = 3
MAX_PAIRS = 200
EXPLICABLE = (Ending.RETURNED, Ending.RAISED)


def diagnose(
    exercise: Exercise, reference: SubjectRun, actual: SubjectRun, run_mistakes: RunMistakes
) -> dict[str, tuple[Mistake, ...]]:
    """For each check that went wrong, the mistakes that explain it: one, a pair, or none (not in the result)."""
    expected, observed = reference.by_name(), actual.by_name()
    hung = next((run for run in actual.checks if run.ending is Ending.TIMEOUT), None)
    if hung:
        candidates = [(mistake,) for mistake in exercise.mistakes if mistake.hangs]
        failing = [hung]
    else:
        candidates = [(mistake,) for mistake in exercise.mistakes if not mistake.hangs]
        failing = [
            run
            for run in actual.checks
            if run.check in expected and run.ending in EXPLICABLE and not same_run(expected[run.check], run)
        ]
    every_check = tuple(check.name for check in exercise.checks)

    def refuted(mistakes: tuple[Mistake, ...]) -> bool:
        """Would these mistakes have broken a check that in fact passed?"""
        names = {run.check for run in failing}
        passed = tuple(c for c in every_check if c in observed and c not in names and _returned(observed[c]))
        if hung or not passed:
            return False
        (run,) = run_mistakes([mistakes], passed)
        found = run.by_name() if run else {}
        return any(name not in found or not same_run(expected[name], found[name]) for name in passed)

    def search(among: Sequence[tuple[Mistake, ...]], first: CheckRun) -> None:
        """Look for what explains `first`, and note every other check that it explains too."""
        good = _matches(among, [first], run_mistakes)
        unexplained = [run for run in failing if run.check not in explained]
        good = _matches([mistakes for mistakes, _ in good], unexplained, run_mistakes)
        surviving = [(mistakes, seen) for mistakes, seen in good if not refuted(mistakes)]
        for run in unexplained:
            chosen = _choose([(mistakes, len(seen)) for mistakes, seen in surviving if run.check in seen])
            if chosen:
                explained[run.check] = chosen

    explained: dict[str, tuple[Mistake, ...]] = {}
    tried: set[str] = set()
    for _ in range(MAX_ROUNDS):
        first = next((run for run in failing if run.check not in explained and run.check not in tried), None)
        if first is None:
            break
        tried.add(first.check)
        search(candidates, first)
    first = next((run for run in failing if run.check not in explained), None)
    if first and not hung:
        function = next((check.function for check in exercise.checks if check.name == first.check), "")
        known = {mistake for found in explained.values() for mistake in found}
        search(_pairs(exercise, function, known), first)
    return explained


def _matches(
    candidates: Sequence[tuple[Mistake, ...]],
    failing: Sequence[CheckRun],
    run_mistakes: RunMistakes,
) -> list[tuple[tuple[Mistake, ...], set[str]]]:
    """The candidates that behave as observed in at least one of the failing checks, with those checks."""
    found = []
    names = tuple(run.check for run in failing)
    runs = run_mistakes(candidates, names)
    for mistakes, run in zip(candidates, runs, strict=True):
        theirs = run.by_name() if run else {}
        seen = {o.check for o in failing if o.check in theirs and same_run(theirs[o.check], o)}
        if seen:
            found.append((mistakes, seen))
    return found


def _choose(candidates: list[tuple[tuple[Mistake, ...], int]]) -> tuple[Mistake, ...] | None:
    """The candidate that explains most; None if there is none, or if equals would say different things."""
    if not candidates:
        return None
    most = max(count for _, count in candidates)
    best = [mistakes for mistakes, count in candidates if count == most]
    words = {tuple(sorted(mistake.says for mistake in mistakes)) for mistakes in best}
    return best[0] if len(words) == 1 else None


def _pairs(exercise: Exercise, function: str, known: set[Mistake]) -> list[tuple[Mistake, ...]]:
    """Pairs worth trying: with a mistake already found first, then those within the function that is wrong."""
    usable = [mistake for mistake in exercise.mistakes if not mistake.hangs]
    near = [m for m in usable if m.function.partition(".")[0] == function]
    pairs: list[tuple[Mistake, ...]] = [(a, b) for a in usable if a in known for b in usable if b not in known]
    pairs += [pair for pair in combinations(near, 2) if pair not in pairs]
    return pairs[:MAX_PAIRS]


def _returned(run: CheckRun) -> bool:
    return run.ending is Ending.RETURNED
