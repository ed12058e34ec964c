"""Which known mistakes to try first, and which of those that fit to name. Pure functions over records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from grader.course.exercise import Mistake
from grader.course.index import CaughtBy

# A mistake that would break more checks that passed is not tried: the index may be wrong in one, where it hangs on
# the seed.
MOST_CONFLICTS = 1


@dataclass(frozen=True)
class Match:
    """A mistake that alone breaks the failing checks `breaks`, behaves as observed in those that are `seen`, and in
    `to_the_word` of them with the same message too. It also breaks `conflicts` checks that passed."""

    mistake: Mistake
    breaks: frozenset[str]
    seen: frozenset[str]
    to_the_word: int = 0
    conflicts: int = 0

    def explains(self, failing: frozenset[str]) -> bool:
        """Is all that fails just as if this mistake were made, word for word?"""
        return self.seen == failing and self.to_the_word == len(failing) and not self.conflicts


def in_order(
    mistakes: Iterable[Mistake], caught_by: CaughtBy, wanted: Collection[str], passed: Collection[str]
) -> list[Mistake]:
    """The mistakes that can explain some of the checks `wanted`, those first that fit best.

    The check that the fewest of them break comes first: one of these few must be behind it, and what is right there
    often explains the rest.
    """
    explained: dict[Mistake, frozenset[str]] = {}
    for mistake in mistakes:
        caught = caught_by[mistake]
        if caught.intersection(wanted) and len(caught.intersection(passed)) <= MOST_CONFLICTS:
            explained[mistake] = caught.intersection(wanted)
    breaking = Counter(name for names in explained.values() for name in names)

    def rank(mistake: Mistake) -> tuple[int, int, int, int]:
        caught, names = caught_by[mistake], explained[mistake]
        return len(caught.intersection(passed)), min(breaking[name] for name in names), -len(names), len(caught)

    return sorted(explained, key=rank)


def rarest(caught: Collection[str], popularity: Mapping[str, int], count: int) -> tuple[str, ...]:
    """Of these checks, those that the fewest mistakes break: what is seen there tells most."""
    return tuple(sorted(caught, key=lambda name: (popularity[name], name))[:count])


def popularity(caught_by: CaughtBy) -> Counter[str]:
    """How many mistakes break each check."""
    return Counter(name for caught in caught_by.values() for name in caught)


def cover(matches: Sequence[Match]) -> list[Match]:
    """As few as explain what can be explained, the one that explains most first.

    Where equals would say different things, neither is taken, and nothing else for what they explain.
    """
    chosen: list[Match] = []
    left: set[str] = set().union(*(match.seen for match in matches))

    def rank(match: Match) -> tuple[int, int, int]:
        return len(match.seen & left), -match.conflicts, match.to_the_word

    while left:
        most = max(map(rank, matches))
        best = [match for match in matches if rank(match) == most]
        explained = best[0].seen & left
        words = {match.mistake.says for match in best if match.seen & left == explained}
        if len(words) == 1:
            chosen.append(best[0])
        left -= explained
    return chosen
