"""The mutants that are right all the same, or that nothing can show to be wrong, each with its reason."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutations import Mutant

FILE = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True)
class Reason:
    """Why changes of one line survive: `before` is what stood there, `after` the changes that this is about."""

    before: str
    after: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Review:
    """What of an exercise's survivors has been explained, and what has not.

    `stale` are the changes that have a reason and were seen, or are no longer made.
    """

    explained: tuple[tuple[Mutant, str], ...]
    unexplained: tuple[Mutant, ...]
    stale: tuple[tuple[str, str], ...]


def read(text: str) -> dict[str, tuple[Reason, ...]]:
    """The reasons of each exercise. Raises KeyError or ValueError where the file has another form."""
    return {
        exercise: tuple(Reason(entry["before"], tuple(entry["after"]), entry["reason"]) for entry in entries)
        for exercise, entries in tomllib.loads(text).items()
    }


def review(survivors: Sequence[Mutant], reasons: Sequence[Reason]) -> Review:
    """Hold the survivors of an exercise against the reasons that are written down for it."""
    known = {(each.before, after): each.reason for each in reasons for after in each.after}
    explained = [mutant for mutant in survivors if (mutant.before, mutant.after) in known]
    used = {(mutant.before, mutant.after) for mutant in explained}
    return Review(
        tuple((mutant, known[mutant.before, mutant.after]) for mutant in explained),
        tuple(mutant for mutant in survivors if mutant not in explained),
        tuple(change for change in known if change not in used),
    )
