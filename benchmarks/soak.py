"""Does right code ever fail, on any inputs? And how far are right code and wrong code from the line between them?

    python benchmarks/soak.py [EXERCISE]… [--seeds 1000] [--first-seed 1] [--effects 3]

On each seed the reference runs, and beside it one right version as if a learner had written it. On every fifth
seed that is the solution, on the others in turn: the equivalents of `tutor/`, its further bases, the files of
`tests/natural/` that say they are right. A check that does not pass is a false alarm, and shown with its seed; so
is a reference that does not complete. What is forbidden is looked for in the first block of seeds only: it takes
half of the time and does not depend on the seed. One process runs many versions.

Then the table of tolerances. *Noise* is the largest error seen of right code, over what the probe allows for it;
*effect* the smallest of any known mistake, on the check where it shows most, on `--effects` seeds. Wanted are at
most 0.1 and at least 10; what departs from that is listed. Exit code 1 at any false alarm.

To go on after it was stopped: `--first-seed` with the seed that follows the last one shown.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.tolerances import distance  # noqa: E402
from grader.course.catalogue import choose, load  # noqa: E402
from grader.course.exercise import Exercise  # noqa: E402
from grader.course.variants import base_sources, variant_sources  # noqa: E402
from grader.grading.bench import REFERENCE_SECONDS, Bench, Processes, job_for  # noqa: E402
from grader.grading.matrix import Reach, checks_that_see, find_reach  # noqa: E402
from grader.judge.compare import departures, first_departure  # noqa: E402
from grader.protocol.job import Limits, Source  # noqa: E402
from grader.protocol.runs import IMPORT_CHECK, Ending, SubjectRun  # noqa: E402
from grader.supervisor.start import start_launcher  # noqa: E402
from tests.natural.harness import expected, natural_files  # noqa: E402

# Each block begins with fresh processes, in which sets and dictionaries are in another order.
BLOCK = 50
SOLUTION_EVERY = 5
MOST_NOISE, LEAST_EFFECT = 0.1, 10.0
SOLUTION = "the solution"


@dataclass(frozen=True)
class Extreme:
    """A distance over what is allowed, and where it was seen: the check, the version of the code, the seed."""

    distance: float
    check: str
    version: str
    seed: int

    def __str__(self) -> str:
        return f"{self.distance:.2g} ({self.check}, {self.version}, seed {self.seed})"


@dataclass
class Seen:
    """What was seen of one exercise: the largest noise of each check, the smallest effect of each mistake."""

    runs: int = 0
    alarms: int = 0
    noise: dict[str, Extreme] = field(default_factory=dict)
    effects: dict[str, Extreme] = field(default_factory=dict)

    def add_noise(self, found: Extreme) -> None:
        if found.distance > self.noise.get(found.check, Extreme(-1, "", "", 0)).distance:
            self.noise[found.check] = found

    def add_effect(self, found: Extreme) -> None:
        if found.distance < self.effects.get(found.version, Extreme(math.inf, "", "", 0)).distance:
            self.effects[found.version] = found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exercises", nargs="*", help="for instance ex06; all by default")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--effects", type=int, default=3, help="on how many seeds the known mistakes run")
    arguments = parser.parse_args()
    chosen = choose(ROOT, arguments.exercises) if arguments.exercises else load(ROOT)
    seen = {exercise.id: Seen() for exercise in chosen}
    last = arguments.first_seed + arguments.seeds
    for first in range(arguments.first_seed, last, BLOCK):
        seeds = range(first, min(first + BLOCK, last))
        launcher = start_launcher(first)
        try:
            forbids = first == arguments.first_seed
            for exercise in chosen:
                run_block(exercise, seeds, Processes(launcher), forbids, seen[exercise.id])
        finally:
            launcher.close()
        alarms = sum(each.alarms for each in seen.values())
        print(f"seeds {seeds[0]} to {seeds[-1]}: {alarms} false alarms so far", flush=True)
    launcher = start_launcher(arguments.first_seed)
    try:
        for exercise in chosen:
            seeds = range(arguments.first_seed, arguments.first_seed + arguments.effects)
            measure_effects(exercise, seeds, Processes(launcher), seen[exercise.id])
    finally:
        launcher.close()
    print_table(seen)
    return 1 if any(each.alarms for each in seen.values()) else 0


def right_versions(exercise: Exercise) -> dict[str, dict[str, Source]]:
    """The sources of each right version but the solution, by its name."""
    versions = {edit.name: variant_sources(exercise, edit) for edit in exercise.equivalents}
    versions |= {base.name: base_sources(exercise, base) for base in exercise.bases}
    natural = [path for path in natural_files() if path.parent.name == exercise.id and expected(path).is_right]
    for path in natural:
        source = Source(exercise.solution.path, path.read_text(encoding="utf-8"))
        versions[path.name] = {**exercise.imported, exercise.id: source}
    return versions


def run_block(exercise: Exercise, seeds: Sequence[int], processes: Processes, forbids: bool, seen: Seen) -> None:
    """Run the reference and a right version on each of these seeds, and note what departs."""
    others = right_versions(exercise)
    sources = {SOLUTION: variant_sources(exercise), **others}
    work = [(seed, whose_turn(list(others), seed)) for seed in seeds]
    jobs = [
        job_for(exercise, sources[name], seed, Limits(REFERENCE_SECONDS), forbids)
        for seed, version in work
        for name in (SOLUTION, version)
    ]
    names = (IMPORT_CHECK, *(check.name for check in exercise.checks))
    runs = processes.many(jobs)
    for (seed, name), reference, run in zip(work, runs[::2], runs[1::2], strict=True):
        seen.runs += 1
        for check in incomplete(reference, names):
            seen.alarms += 1
            print(f"false alarm: {exercise.id}, seed {seed}, the reference does not complete {check}", flush=True)
        may_be_missing = unfinished(exercise, run)
        for check in departures(reference, run, [each for each in names if each not in may_be_missing]):
            seen.alarms += 1
            print(
                f"false alarm: {exercise.id}, seed {seed}, {name}, {check}: {said(reference, run, check)}",
                flush=True,
            )
        for found in distances(reference, run, names[1:], name, seed):
            if found.check not in may_be_missing:
                seen.add_noise(found)


def whose_turn(others: Sequence[str], seed: int) -> str:
    """The version to run on this seed: all of them, in turn, and the solution on every fifth."""
    turn, rest = divmod(seed, SOLUTION_EVERY)
    if not rest or not others:
        return SOLUTION
    return others[(turn * (SOLUTION_EVERY - 1) + rest - 1) % len(others)]


def incomplete(reference: SubjectRun, names: Sequence[str]) -> list[str]:
    """The checks that the reference did not come to the end of."""
    runs = reference.by_name()
    return [name for name in names if name not in runs or runs[name].ending is not Ending.RETURNED]


def unfinished(exercise: Exercise, run: SubjectRun) -> set[str]:
    """The checks of functions that may be left stubs, and were."""
    endings = {check.check: check.ending for check in run.checks}
    optional = [check.name for check in exercise.checks if check.optional]
    return {name for name in optional if endings.get(name) is Ending.UNFINISHED}


def distances(
    reference: SubjectRun, run: SubjectRun, names: Sequence[str], version: str, seed: int
) -> Iterator[Extreme]:
    """How far a version is from the reference, in each of these checks that both ran."""
    ours, theirs = reference.by_name(), run.by_name()
    for check in names:
        if check in ours and check in theirs:
            yield Extreme(distance(ours[check], theirs[check]), check, version, seed)


def said(reference: SubjectRun, run: SubjectRun, check: str) -> str:
    """In words, how a check departs."""
    ours, theirs = reference.by_name().get(check), run.by_name().get(check)
    if ours is None or theirs is None:
        return "was not run"
    departure = first_departure(ours, theirs)
    if theirs.failure:
        return f"{theirs.ending}: {theirs.failure.types[0]}: {theirs.failure.message}"
    return (
        f"{departure.difference.observation}: {departure.difference.summary}" if departure else str(theirs.ending)
    )


def measure_effects(exercise: Exercise, seeds: Sequence[int], processes: Processes, seen: Seen) -> None:
    """How far each known mistake is from the reference, in the check where it shows most; the smallest of these."""
    reach: Reach = {}
    for seed in seeds:
        bench = Bench(exercise, seed, processes)
        reach = reach or find_reach(bench)
        work = [(mistake, checks_that_see(mistake, exercise, reach)) for mistake in exercise.mistakes]
        for (mistake, names), run in zip(work, bench.run_variants(work), strict=True):
            if not has_ended(run, names):
                found = distances(bench.reference(), run, names, mistake.name, seed)
                seen.add_effect(max(found, key=lambda each: each.distance))


def has_ended(run: SubjectRun, names: Sequence[str]) -> bool:
    """Did something end the process, or keep the file from being imported, before all checks were run?"""
    return any(name not in run.by_name() for name in names)


def print_table(seen: dict[str, Seen]) -> None:
    print("\n| exercise | runs | false alarms | largest noise | smallest effect |\n|---|---|---|---|---|")
    for exercise, each in seen.items():
        noise = max(each.noise.values(), key=lambda found: found.distance, default="none")
        effect = min(each.effects.values(), key=lambda found: found.distance, default="none")
        print(f"| {exercise} | {each.runs:,} | {each.alarms} | {noise} | {effect} |")
    for exercise, each in seen.items():
        for found in each.noise.values():
            if found.distance > MOST_NOISE:
                print(f"noise, {exercise}: {found}")
        for found in each.effects.values():
            if found.distance < LEAST_EFFECT:
                print(f"effect, {exercise}: {found}")


if __name__ == "__main__":
    sys.exit(main())
