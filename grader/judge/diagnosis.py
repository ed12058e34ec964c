"""Which known mistakes explain what was observed?

A mistake is an edit of a right file. If a learner's observations are those of the edited file and not those of the
reference, what the author wrote about that edit is said. The kill matrix is the index: the set of checks that fail
leaves a few candidates, and only these are run, on few checks first. Only their observations decide:

1. Each candidate alone: in which failing checks does it behave as the learner's code does?
2. As few as cover most of these, none of them ambiguous, are put into one right file *together*. That has to
   behave as the learner's code in each check that is claimed, break no check that passed, and each of them has to
   explain a check of its own. Otherwise the weakest is dropped, and it is tried again.
3. What still has no name may be one more mistake, seen only through those that were found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from grader.course.exercise import Exercise, Mistake
from grader.course.index import CaughtBy
from grader.course.outline import reach
from grader.judge.candidates import Match, cover, in_order, popularity, rarest
from grader.judge.compare import departures
from grader.judge.results import Status
from grader.judge.verdict import Finding
from grader.protocol.runs import IMPORT_CHECK, CheckRun, SubjectRun

Candidate = tuple[tuple[Mistake, ...], Sequence[str]]
"""Mistakes to make at once, and the checks to run on that."""
RunMistakes = Callable[[Sequence[Candidate]], list[SubjectRun | None]]
"""Runs each candidate; None where the edits exclude each other."""

EXPLICABLE = (Status.WRONG, Status.RAISED)
# How many candidates are run at a time, on how many checks at first, and how many of those that fit on all that
# they break. The first few break just what is broken, and a single mistake is nearly always among them.
FIRST_ROUND = 8
ROUND = 12
SAMPLE = 2
MOST_KEPT = 8
# After so many that explained nothing new no more are tried, nor after so many runs, nor after so much work: in
# seconds that the reference takes for the same checks, or in times what it takes for all, whichever is more.
MOST_BARREN = 30
MOST_RUNS = 60
MOST_SECONDS = 0.7
MOST_TIMES = 1.5
# What the index says that a mistake does not break is looked at all the same, for so much of the reference's time.
OTHERS_SECONDS = 0.1
# So often those of which too little is seen are left out, and the rest is tried again.
MOST_ANEW = 2


def diagnose(
    exercise: Exercise,
    findings: Sequence[Finding],
    reference: SubjectRun,
    run_mistakes: RunMistakes,
    caught_by: CaughtBy,
) -> dict[str, tuple[Mistake, ...]]:
    """For each check that went wrong, the mistakes that explain it: one, several, or none (not in the result).

    `caught_by` is what the kill matrix found; without it, they are tried in the author's order, and not all.
    """
    ran = [(finding.status, finding.run) for finding in findings if finding.run]
    ran = [(status, run) for status, run in ran if run.check != IMPORT_CHECK]
    passed = frozenset(finding.check.name for finding in findings if finding.status is Status.PASSED)
    wrong = [run for status, run in ran if status in EXPLICABLE]
    hung = [run for status, run in ran if status is Status.TIMEOUT]
    others_seconds = OTHERS_SECONDS if caught_by else math.inf
    caught_by = caught_by or _guessed(exercise, {run.check for run in (*wrong, *hung)})
    found: dict[str, tuple[Mistake, ...]] = {}
    if hung:
        # What hangs is not waited for in the checks that passed, so it is not refuted by them.
        hanging = [each for each in exercise.mistakes if each.hangs and hung[0].check in caught_by[each]]
        search = _Search(exercise, hung[:1], frozenset(), reference, run_mistakes, caught_by, others_seconds)
        found |= search.explain(hanging)
    if wrong:
        search = _Search(exercise, wrong, passed, reference, run_mistakes, caught_by, others_seconds)
        found |= search.explain([each for each in exercise.mistakes if not each.hangs])
    return found


def _guessed(exercise: Exercise, failing: Collection[str]) -> CaughtBy:
    """Without an index: of the failing checks, those that run the function."""
    text = exercise.solution.text
    used = {check.name: reach(check.uses, text) for check in exercise.checks if check.name in failing}
    return {
        mistake: frozenset(name for name, names in used.items() if mistake.function.partition(".")[0] in names)
        for mistake in exercise.mistakes
    }


@dataclass(frozen=True)
class _Explanation:
    """Matches that hold together: their edits of one base, and which of them explain which check."""

    matches: tuple[Match, ...] = ()
    edits: tuple[Mistake, ...] = ()
    explained: dict[str, tuple[Mistake, ...]] = field(default_factory=dict)

    @property
    def thin(self) -> list[Match]:
        """Those for which something else was observed in most of the checks that they break."""
        return [match for match in self.matches if 2 * len(match.breaks & set(self.explained)) < len(match.breaks)]


class _Search:
    """For which failing checks are there mistakes that behave as the learner's code does?"""

    def __init__(
        self,
        exercise: Exercise,
        failing: Sequence[CheckRun],
        passed: frozenset[str],
        reference: SubjectRun,
        run_mistakes: RunMistakes,
        caught_by: CaughtBy,
        others_seconds: float,
    ) -> None:
        self._exercise = exercise
        self._observed = SubjectRun(tuple(failing))
        self._failing = frozenset(run.check for run in failing)
        self._passed = passed
        self._reference = reference
        self._run_mistakes = run_mistakes
        self._caught_by = caught_by
        self._others_seconds = others_seconds
        self._popularity = popularity(caught_by)
        self._seconds = {run.check: run.seconds for run in reference.checks}
        self._runs = 0
        self._work = 0.0

    @property
    def _has_done_enough(self) -> bool:
        """Has the search taken as long as it may?"""
        most = max(MOST_SECONDS, MOST_TIMES * sum(self._seconds.values()))
        return self._runs > MOST_RUNS or self._work > most

    def _run(self, candidates: Sequence[Candidate]) -> list[SubjectRun | None]:
        self._runs += len(candidates)
        self._work += sum(self._seconds.get(name, 0.0) for _, names in candidates for name in names)
        return self._run_mistakes(candidates)

    def explain(self, candidates: Sequence[Mistake]) -> dict[str, tuple[Mistake, ...]]:
        """The failing checks that some of these candidates explain, and which of them."""
        pool = self._matches(candidates)
        for _ in range(MOST_ANEW):
            explanation = self._held_together(pool)
            further = self._with_one_more(explanation, candidates)
            while further and len(further.explained) > len(explanation.explained):
                explanation, further = further, self._with_one_more(further, candidates)
            if not explanation.thin:
                return explanation.explained
            pool = [match for match in pool if match not in explanation.thin]
        return {}

    def _matches(self, candidates: Sequence[Mistake]) -> list[Match]:
        """The candidates that alone behave as observed somewhere, tried round by round.

        What one of them breaks is not looked into any further: if it is not as observed, there is another mistake
        beside it, and nothing alone explains that.
        """
        matches: list[Match] = []
        left = list(candidates)
        size, barren = FIRST_ROUND, 0
        unexplained = self._failing
        while unexplained and barren < MOST_BARREN and not self._has_done_enough:
            batch = in_order(left, self._caught_by, unexplained, self._passed)[:size]
            if not batch:
                break
            size = ROUND
            done = set(batch)
            left = [mistake for mistake in left if mistake not in done]
            matches += [match for match in self._fitting(batch, unexplained) if not self._is_refuted(match)]
            before, unexplained = unexplained, self._failing.difference(*(match.breaks for match in matches))
            barren = 0 if unexplained != before else barren + len(batch)
        return matches

    def _fitting(self, batch: Sequence[Mistake], unexplained: frozenset[str]) -> list[Match]:
        """Those that behave as observed in one of the checks that tell most, and in which others they do."""
        matches: list[Match] = []
        found: Match | None = None
        for each in self._promising(batch, unexplained):
            if found and (each.says == found.mistake.says or not self._failing <= self._caught_by[each]):
                continue  # it says the same, or explains less
            names = self._caught_by[each] & (self._failing | self._passed)
            (run,) = self._run([((each,), sorted(names))])
            if run:
                matches.append(self._match(each, run, names))
                found = matches[-1] if matches[-1].explains(self._failing) else found
        return matches

    def _promising(
        self, batch: Sequence[Mistake], unexplained: frozenset[str], beside: tuple[Mistake, ...] = ()
    ) -> list[Mistake]:
        """The first of those that behave as observed, `beside` others or alone, where what is seen tells most."""
        samples = [rarest(self._caught_by[each] & unexplained, self._popularity, SAMPLE) for each in batch]
        runs = self._run([((*beside, each), names) for each, names in zip(batch, samples, strict=True)])
        fitting = zip(batch, runs, samples, strict=True)
        return [each for each, run, names in fitting if self._seen(run, frozenset(names))][:MOST_KEPT]

    def _match(self, mistake: Mistake, run: SubjectRun, ran: frozenset[str]) -> Match:
        seen = self._seen(run, ran & self._failing)
        reworded = departures(run, self._observed, seen, to_the_word=True)
        breaks = frozenset(departures(self._reference, run, ran & self._failing))
        conflicts = departures(self._reference, run, ran & self._passed)
        return Match(mistake, breaks, seen, len(seen) - len(reworded), len(conflicts))

    def _is_refuted(self, match: Match) -> bool:
        """Does it break what passed, or fit only in that one check ends in an error of the same type, with other
        words, where more is wrong than that?"""
        is_vague = not match.to_the_word and len(match.seen) == 1 and match.seen != self._failing
        return bool(match.conflicts) or is_vague or not match.seen

    def _seen(self, run: SubjectRun | None, among: frozenset[str]) -> frozenset[str]:
        """In which of these failing checks it behaves as observed."""
        return among.difference(departures(run, self._observed, among)) if run else frozenset()

    def _held_together(self, matches: Sequence[Match]) -> _Explanation:
        """As many matches as behave as observed when all are made at once."""
        pool = list(matches)
        while chosen := cover(pool):
            weak = chosen[-1:]
            for edits in self._on_one_base(chosen, pool):
                run = self._run_all(edits)
                if run is None:
                    continue
                weak = self._weak(chosen, run)
                if not weak:
                    return _Explanation(tuple(chosen), edits, self._explained(chosen, run))
            pool = [match for match in pool if match not in weak]
        return _Explanation()

    def _weak(self, chosen: Sequence[Match], together: SubjectRun) -> list[Match]:
        """Those that cannot be held: what they break had passed, what one alone explains is lost with the other,
        or they have no check of their own."""
        broken = departures(self._reference, together, self._passed & together.by_name().keys())
        if broken:
            guilty = [match for match in chosen if self._caught_by[match.mistake].intersection(broken)]
            return guilty or [chosen[-1]]
        seen = self._seen(together, self._failing)
        if not set().union(*(match.seen for match in chosen)) <= seen:
            return [chosen[-1]]
        weak = []
        for match in chosen:
            others = [other.seen for other in chosen if other is not match]
            own = (match.seen & seen).difference(*others)
            if not own:
                weak.append(match)
        return weak[-1:]

    def _explained(self, chosen: Sequence[Match], together: SubjectRun) -> dict[str, tuple[Mistake, ...]]:
        """Which of the chosen explain which check: one that alone behaves so, or all that break it. Of two, one may
        only show beside the other."""
        explained = {}
        for name in sorted(self._seen(together, self._failing)):
            alone = [match.mistake for match in chosen if name in match.seen]
            breaking = [match.mistake for match in chosen if name in match.breaks]
            if len(breaking) < 2 and len(chosen) == 2:
                breaking = [match.mistake for match in chosen]
            if alone or len(breaking) > 1:
                explained[name] = _each_once(alone[:1] or breaking)
        return explained

    def _with_one_more(self, known: _Explanation, candidates: Sequence[Mistake]) -> _Explanation | None:
        """With a further mistake that shows only beside those that are known; None where there is none, or several
        that would say different things."""
        unexplained = self._failing.difference(known.explained)
        if not known.edits or not unexplained or self._has_done_enough:
            return None
        names = {mistake.name for mistake in known.edits}
        base = known.edits[0].base
        others = [each for each in candidates if each.base == base and each.name not in names]
        batch = in_order(others, self._caught_by, unexplained, self._passed)[:ROUND]
        kept = self._promising(batch, unexplained, known.edits)
        found = []
        together = [(*known.edits, each) for each in kept]
        whole = self._run([(edits, self._telling(edits)) for edits in together])
        for mistake, run in zip(kept, whole, strict=True):
            seen = self._seen(run, self._failing)
            breaks = self._caught_by[mistake] & self._failing
            if not run or departures(self._reference, run, self._passed & run.by_name().keys()):
                continue
            if seen >= set(known.explained):
                found.append(Match(mistake, breaks, seen & unexplained))
        best = cover(found)[:1]
        if not best:
            return None
        (more,) = best
        explained = dict(known.explained)
        for name in sorted(more.seen):
            beside = [match.mistake for match in known.matches if name in match.breaks]
            explained[name] = _each_once((*beside, more.mistake))
        return _Explanation((*known.matches, more), (*known.edits, more.mistake), explained)

    def _on_one_base(self, chosen: Sequence[Match], pool: Sequence[Match]) -> Iterator[tuple[Mistake, ...]]:
        """The chosen as edits of one base, for each base that has them all; of several edits that are the same
        mistake, one that fits."""
        fitting = [match.mistake for match in pool]
        for base in dict.fromkeys(match.mistake.base for match in chosen):
            edits = []
            for match in chosen:
                known = (match.mistake, *fitting, *self._exercise.mistakes)
                edits += [each for each in known if (each.name, each.base) == (match.mistake.name, base)][:1]
            if len(edits) == len(chosen):
                yield tuple(edits)

    def _run_all(self, edits: tuple[Mistake, ...]) -> SubjectRun | None:
        (run,) = self._run([(edits, self._telling(edits))])
        return run

    def _telling(self, edits: Sequence[Mistake]) -> list[str]:
        """The checks that tell whether these mistakes are behind it all: those that failed, of those that passed
        all that they may break, and as many others as take little time."""
        names = self._failing | (self._passed & frozenset().union(*(self._caught_by[each] for each in edits)))
        left = self._others_seconds
        for name in sorted(self._passed - names, key=lambda name: (self._seconds.get(name, 0.0), name)):
            left -= self._seconds.get(name, 0.0)
            if left < 0:
                break
            names |= {name}
        return sorted(names)


def _each_once(mistakes: Sequence[Mistake]) -> tuple[Mistake, ...]:
    """Several edits may be the same mistake: it is named once."""
    return tuple({mistake.name: mistake for mistake in mistakes}.values())
