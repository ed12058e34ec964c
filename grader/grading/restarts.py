"""Go on after a check that ended its process: a hang or a crash costs that check, and no other.

What hangs is not waited for again and again: for the checks that are about something else, a stub that raises takes
the place of the function in which it hung. Who calls it waits until that is mended; who does not is judged as ever.

All seconds here are of a process's own time (grader/supervisor/clock.py): what a busy machine keeps it waiting does
not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grader.course.exercise import Check
from grader.course.outline import outline
from grader.protocol.job import Source
from grader.protocol.runs import ENDLESS, CheckRun, Ending, SubjectRun

# After a check that ended its process, the next ones get what is left of the limit on time, but at least the limit
# divided by this; and all processes together get so many times the limit.
LATER = 4
TOTAL = 2

Sources = dict[str, Source]
Run = Callable[[Sources, Sequence[Check], float], SubjectRun]
"""Runs these checks on these sources in one process, for so many seconds."""


@dataclass
class Allowance:
    """How much time all that is still to be run of a learner's file may take together."""

    seconds: float


def run_every_check(
    run: Run, sources: Sources, checks: Sequence[Check], limit: float, allowance: Allowance
) -> list[SubjectRun]:
    """What each process showed, until all checks are there or the allowance is used up, which is reduced."""
    runs: list[SubjectRun] = []
    others, about_ended = list(checks), list[Check]()
    ended: set[str] = set()
    stubbed, seconds, spent = sources, min(limit, allowance.seconds), 0.0
    while seconds > 0 and (others or about_ended or not runs):
        runs.append(run(stubbed, others, seconds) if others or not runs else run(sources, about_ended, seconds))
        spent += runs[-1].seconds
        allowance.seconds -= runs[-1].seconds
        last = runs[-1].checks[-1]
        at = next((check for check in (*others, *about_ended) if check.name == last.check), None)
        if at is None:  # while it was imported: it would do so again
            break
        if last.ending is Ending.TIMEOUT:
            stubbed = without(stubbed, last)
            ended.add(at.function)
        seen = runs[-1].by_name()
        left = [check for check in (*others, *about_ended) if check.name not in seen]
        others = [check for check in left if check.function not in ended]
        about_ended = [check for check in left if check.function in ended]
        seconds = max(limit - spent, limit / LATER)
        if seconds > allowance.seconds:
            break
    return runs


def without(sources: Sources, hung: CheckRun) -> Sources:
    """The sources, in which the innermost function that hung raises. The same ones where that is not known."""
    places = hung.failure.trace if hung.failure else ()
    for place in reversed(places):
        module = next((name for name, source in sources.items() if source.path == place.file), None)
        name = outline(sources[module].text).function_at(place.line) if module else ""
        if module and name:
            source = sources[module]
            message = f"{ENDLESS} {name}"
            stub = (
                f"\n\ndef _endless(*_, **__):\n    raise NotImplementedError({message!r})\n\n\n{name} = _endless\n"
            )
            return {**sources, module: Source(source.path, source.text + stub)}
    return sources
