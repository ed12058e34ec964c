"""Which known mistake explains what was observed?

A mistake is a one-line edit of the reference. If a learner's observations are those of the edited reference
and not those of the reference, what the author wrote about that edit is said. Only an unambiguous match
counts: two candidates with different words are no match.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from grader.course.exercise import Exercise, Mistake
from grader.judge.compare import departures
from grader.judge.results import Status
from grader.judge.verdict import Finding
from grader.protocol.runs import IMPORT_CHECK, CheckRun, SubjectRun

# Runs the solution with each of these sets of mistakes in it, on these checks only; None where the edits of a
# set exclude each other.
RunMistakes = Callable[[Sequence[tuple[Mistake, ...]], Sequence[str]], list[SubjectRun | None]]
# Each round looks for one cause of one unexplained check; a file with more causes is told of the first ones.
MAX_ROUNDS = 3
MAX_PAIRS = 200
EXPLICABLE = (Status.WRONG, Status.RAISED)


def diagnose(
    exercise: Exercise, findings: Sequence[Finding], reference: SubjectRun, run_mistakes: RunMistakes
) -> dict[str, tuple[Mistake, ...]]:
    """For each check that went wrong, the mistakes that explain it: one, a pair, or none (not in the result)."""
    ran = [(finding.status, finding.run) for finding in findings if finding.run]
    ran = [(status, run) for status, run in ran if run.check != IMPORT_CHECK]
    hung = [run for status, run in ran if status is Status.TIMEOUT]
    wrong = [run for status, run in ran if status in EXPLICABLE]
    passed = tuple(finding.check.name for finding in findings if finding.status is Status.PASSED)
    found: dict[str, tuple[Mistake, ...]] = {}
    if hung:
        # What hangs is not waited for in the checks that passed, so it is not refuted by them.
        search = _Search(reference, hung[:1], (), run_mistakes)
        search.explain(hung[0], [(mistake,) for mistake in exercise.mistakes if mistake.hangs])
        found |= search.explained
    candidates = [(mistake,) for mistake in exercise.mistakes if not mistake.hangs]
    search = _Search(reference, wrong, passed, run_mistakes)
    tried: set[str] = set()
    for _ in range(MAX_ROUNDS):
        first = next((run for run in search.unexplained if run.check not in tried), None)
        if first is None:
            break
        tried.add(first.check)
        search.explain(first, candidates)
    if search.unexplained:
        first = search.unexplained[0]
        function = next((check.function for check in exercise.checks if check.name == first.check), "")
        known = {mistake for mistakes in search.explained.values() for mistake in mistakes}
        search.explain(first, _pairs(exercise, function, known))
    return found | search.explained


@dataclass(frozen=True)
class _Match:
    """Mistakes that behave as observed in the checks `seen`, in `to_the_word` of them with the same message too."""

    mistakes: tuple[Mistake, ...]
    seen: frozenset[str]
    to_the_word: int

    @property
    def rank(self) -> tuple[int, int]:
        return len(self.seen), self.to_the_word


class _Search:
    """For which failing checks is there a mistake that behaves as the learner's code does?"""

    def __init__(
        self,
        reference: SubjectRun,
        failing: Sequence[CheckRun],
        passed: tuple[str, ...],
        run_mistakes: RunMistakes,
    ) -> None:
        self.explained: dict[str, tuple[Mistake, ...]] = {}
        self._reference = reference
        self._failing = failing
        self._passed = passed
        self._run_mistakes = run_mistakes

    @property
    def unexplained(self) -> list[CheckRun]:
        return [run for run in self._failing if run.check not in self.explained]

    def explain(self, first: CheckRun, among: Sequence[tuple[Mistake, ...]]) -> None:
        """Look for what explains `first`, and note every other check that it explains too."""
        unexplained = self.unexplained
        good = self._matches([match.mistakes for match in self._matches(among, [first])], unexplained)
        surviving = [match for match in good if not self._refuted(match.mistakes)]
        for run in unexplained:
            chosen = _choose([match for match in surviving if run.check in match.seen])
            if chosen:
                self.explained[run.check] = chosen

    def _matches(self, candidates: Sequence[tuple[Mistake, ...]], failing: Sequence[CheckRun]) -> list[_Match]:
        """The candidates that behave as observed in at least one of the failing checks."""
        observed, names = SubjectRun(tuple(failing)), tuple(run.check for run in failing)
        found = []
        for mistakes, run in zip(candidates, self._run_mistakes(candidates, names), strict=True):
            seen = frozenset(names).difference(departures(run, observed, names)) if run else frozenset()
            if run and seen:
                reworded = departures(run, observed, seen, to_the_word=True)
                found.append(_Match(mistakes, seen, len(seen) - len(reworded)))
        return found

    def _refuted(self, mistakes: tuple[Mistake, ...]) -> bool:
        """Would these mistakes have broken a check that in fact passed?"""
        if not self._passed:
            return False
        (run,) = self._run_mistakes([mistakes], self._passed)
        return run is None or bool(departures(self._reference, run, self._passed))


def _choose(candidates: Sequence[_Match]) -> tuple[Mistake, ...] | None:
    """The candidate that explains most; None if there is none, or if equals would say different things."""
    if not candidates:
        return None
    most = max(match.rank for match in candidates)
    best = [match.mistakes for match in candidates if match.rank == most]
    words = {tuple(sorted(mistake.says for mistake in mistakes)) for mistakes in best}
    return best[0] if len(words) == 1 else None


def _pairs(exercise: Exercise, function: str, known: set[Mistake]) -> list[tuple[Mistake, ...]]:
    """Pairs worth trying: with a mistake already found first, then those within the function that is wrong."""
    usable = [mistake for mistake in exercise.mistakes if not mistake.hangs]
    near = [m for m in usable if m.function.partition(".")[0] == function]
    pairs: list[tuple[Mistake, ...]] = [(a, b) for a in usable if a in known for b in usable if b not in known]
    pairs += [pair for pair in combinations(near, 2) if pair not in pairs]
    return pairs[:MAX_PAIRS]
