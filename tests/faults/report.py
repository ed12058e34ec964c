"""What the grader survives, on this machine: runs every fault, and writes down what came of it.

    python -m tests.faults.report [PART]… [--signals 200] [--runs 1] [--output benchmarks/faults.md]

All parts take about twenty minutes; a part that is named replaces the one that stands in the report.
Exit code 0 if everything was survived, 1 if not: what was not stands in the report.
Faults are in tests/faults/harness/table.py, and what survived means is in tests/faults/harness/suite.py.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from grader.grading.bench import limits_after
from grader.judge.results import Status
from grader.protocol.layers import NEWEST_LANDLOCK, WITHOUT, Layer
from grader.protocol.runs import SubjectRun
from grader.supervisor.protections import as_line
from tests.faults.harness.naive import TAMPERINGS, against_pytest
from tests.faults.harness.state import Survival, survive
from tests.faults.harness.suite import CASES, Case, Run, run_all
from tests.faults.harness.table import FAULTS, Kind, Place
from tests.mini import ROOT

SEED = 17


class Part(StrEnum):
    """A part of the report, as it is named on the command line."""

    SURVIVED = "survived"
    WITHOUT_FORK = "without-fork"
    LANDLOCK = "landlock"
    CONTROL = "control"
    STATE = "state"
    OPENED = "opened"


TITLES = {
    Part.SURVIVED: "Survived",
    Part.WITHOUT_FORK: "Without fork",
    Part.LANDLOCK: "Where Landlock is older, or missing",
    Part.CONTROL: "The control: the same cheating against plain pytest",
    Part.STATE: "Killed and interrupted",
    Part.OPENED: "What opens when a protection is off",
}
WITHOUT_FORK = {"GPT_KATA_WORKERS": "spawn"}
IN_A_CALL = [case for case in CASES if case.place is Place.CALL]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", nargs="*", type=Part, default=list(Part), help=f"of {', '.join(Part)} (all)")
    parser.add_argument("--signals", type=int, default=200, help="how many graders to kill, and to interrupt")
    parser.add_argument("--runs", type=int, default=1, help="how often to run all faults")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "faults.md")
    arguments = parser.parse_args()
    lost: list[str] = []
    write = {
        Part.SURVIVED: lambda: survived(arguments.runs, lost),
        Part.WITHOUT_FORK: lambda: without_fork(lost),
        Part.LANDLOCK: lambda: landlock(lost),
        Part.CONTROL: control,
        Part.STATE: lambda: state(arguments.signals, lost),
        Part.OPENED: opened,
    }
    for part in arguments.part:
        lines = "\n".join(write[part]()).rstrip()
        print(lines, flush=True)
        _replace(arguments.output, part, lines)
    for line in lost:
        print(f"not survived: {line}", file=sys.stderr)
    return 1 if lost else 0


def _replace(report: Path, part: Part, lines: str) -> None:
    """Write the report with this part in it; the others stay as they are."""
    old = report.read_text(encoding="utf-8") if report.exists() else ""
    parts = {text.partition("\n")[0]: text.rstrip() for text in old.split("\n## ")[1:]}
    parts[TITLES[part]] = f"{TITLES[part]}\n\n{lines}"
    ordered = [f"## {parts[title]}" for title in TITLES.values() if title in parts]
    report.write_text("\n\n".join(["\n".join(heading()).rstrip(), *ordered]) + "\n", encoding="utf-8")


def heading() -> list[str]:
    return [
        "# Faults",
        "",
        "What `python -m tests.faults.report` found. What each fault is stands in tests/faults/harness/table.py.",
        "*Survived* means: the verdict and what is said are as written there, the refused acts are reported,",
        "healthy exercises beside it are judged as without it, the history holds every text with its verdict,",
        "the files of the repository are as before, no process and no file of it is left, the next run is clean.",
        "",
        f"{platform.platform()}, Python {platform.python_version()}, torch {version('torch')}, "
        f"{datetime.now(UTC):%Y-%m-%d}",
        "",
    ]


def survived(times: int, lost: list[str]) -> Iterator[str]:
    """Every fault at every place, with all protections."""
    good = 0
    for _ in range(times):
        runs = _run(CASES)
        problems = _problems(runs)
        good += not problems
        lost += problems
    faults = {outcome.case.fault.name for run in runs for outcome in run.outcomes if outcome.problem}
    yield f"**{len(FAULTS) - len(faults)} of {len(FAULTS)} survived**, each at import, in a call and after it"
    yield f"where it can happen there: {len(CASES)} cases in all. {good} of {times} such runs without a flaw."
    yield ""
    yield f"`{as_line(dict(runs[0].protections))}`"
    yield ""
    yield "| what about | faults | cases | survived | verdicts |"
    yield "|---|---|---|---|---|"
    for kind in Kind:
        outcomes = [outcome for run in runs for outcome in run.outcomes if outcome.case.fault.kind is kind]
        names = {outcome.case.fault.name for outcome in outcomes}
        verdicts = Counter(outcome.status for outcome in outcomes)
        said = ", ".join(f"{status} {count}" for status, count in verdicts.most_common())
        yield f"| {kind} | {len(names)} | {len(outcomes)} | {sum(not o.problem for o in outcomes)} | {said} |"
    limit = limits_after(SubjectRun(())).seconds
    slowest = max((outcome for run in runs for outcome in run.outcomes), key=lambda outcome: outcome.seconds)
    yield ""
    yield (
        f"The slowest took {slowest.seconds:.2f} s ({slowest.case.name}), where the limit is {limit:.1f} s and a "
        "little: that includes running the reference, killing, and the second run that looks for chance."
    )


def without_fork(lost: list[str]) -> Iterator[str]:
    """In a call, in a new interpreter for each exercise, as on systems that cannot fork."""
    runs = _run(IN_A_CALL, WITHOUT_FORK)
    problems = _problems(runs)
    lost += [f"without fork: {problem}" for problem in problems]
    yield f"The same in a call, with an interpreter for each exercise: {_count(runs)} survived."
    yield from (f"- {problem}" for problem in problems)


def landlock(lost: list[str]) -> Iterator[str]:
    """In a call, with what older kernels know of Landlock; and, of the faults that do not need it, without."""
    able = [case for case in IN_A_CALL if case.fault.needs is not Layer.LANDLOCK]
    yield f"{len(IN_A_CALL) - len(able)} of the faults in a call need Landlock, of any version."
    yield ""
    for name, cases, environment in (
        ("version 1", IN_A_CALL, {NEWEST_LANDLOCK: "1"}),
        ("version 4", IN_A_CALL, {NEWEST_LANDLOCK: "4"}),
        ("none", able, {WITHOUT: Layer.LANDLOCK}),
    ):
        runs = _run(cases, environment)
        problems = _problems(runs)
        lost += [f"Landlock {name}: {problem}" for problem in problems]
        yield f"- {name}: {_count(runs)} survived. `{as_line(dict(runs[0].protections))}`"
        yield from (f"  - {problem}" for problem in problems)


def control() -> Iterator[str]:
    """What succeeds where nothing is done against it."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        folders = [Path(folder, str(number)) for number in range(len(TAMPERINGS))]
        codes = list(pool.map(against_pytest, folders, TAMPERINGS))
    runs = _run([Case(fault, place) for fault in TAMPERINGS for place in Place])
    passed = {
        outcome.case.fault.name for run in runs for outcome in run.outcomes if outcome.status == Status.PASSED
    }
    yield "Wrong code, beside a test that imports it and a reference: what an ordinary course hands out."
    yield ""
    yield "| wrong code that | plain pytest | the grader |"
    yield "|---|---|---|"
    for fault, code in zip(TAMPERINGS, codes, strict=True):
        theirs = "exit 0: **taken for right**" if code == 0 else f"exit {code}"
        yield f"| {fault.name} | {theirs} | {'**passed**' if fault.name in passed else 'never passed'} |"
    yield ""
    yield f"{codes.count(0)} of {len(codes)} succeed there, {len(passed)} here."


def state(count: int, lost: list[str]) -> Iterator[str]:
    """Graders that are killed, and that are interrupted, at random moments."""
    yield "| signal | graders | when it fell | texts kept | verdicts kept | lost or left | nothing left after |"
    yield "|---|---|---|---|---|---|---|"
    for number in (signal.SIGKILL, signal.SIGINT):
        found: Survival = survive(ROOT, number, count, SEED)
        lost += found.faults
        phases = ", ".join(f"{phase}: {times}" for phase, times in found.phases.items())
        yield (
            f"| {number.name} | {found.count} | {phases} | {found.texts_kept} | {found.verdicts_kept} | "
            f"{len(found.faults)} | {found.last_gone_seconds:.1f} s |"
        )
    yield ""
    yield f"Seed {SEED}. After them the history opens, every text in it is whole, and the next run gives the same."


def opened() -> Iterator[str]:
    """What is no longer survived when one layer of protection is left out."""
    yield "Each layer left out alone, the faults in a call. What stands here is why the layer is there."
    for layers in (*((layer,) for layer in Layer), (Layer.LANDLOCK, Layer.GUARD), (Layer.SECCOMP, Layer.GUARD)):
        runs = _run(IN_A_CALL, {WITHOUT: ",".join(layers)})
        yield ""
        yield f"### Without {' and '.join(layers)}: {_count(runs)} survived"
        yield ""
        if runs[0].protections:
            yield f"`{as_line(dict(runs[0].protections))}`"
            yield ""
        yield from (f"- {problem}" for problem in _problems(runs))


def _run(cases: Sequence[Case], environment: dict[str, str] | None = None) -> list[Run]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return run_all(Path(folder), cases, environment)


def _count(runs: Sequence[Run]) -> str:
    outcomes = [outcome for run in runs for outcome in run.outcomes]
    return f"{sum(not outcome.problem for outcome in outcomes)} of {len(outcomes)}"


def _problems(runs: Sequence[Run]) -> list[str]:
    found = [f"{o.case.name}: {o.problem}" for run in runs for o in run.outcomes if o.problem]
    return [*found, *(problem for run in runs for problem in run.problems)]


if __name__ == "__main__":
    sys.exit(main())
