"""Every fault, at every place, is survived: see tests/faults/harness/table.py and tests/faults/harness/suite.py.

All of it takes minutes and depends little on the version of Python: what happens in a call runs on each of them,
the rest is marked slow.
"""

from __future__ import annotations

import sys

import pytest

from grader.commands.opened import any_solution
from grader.protocol.layers import NEWEST_LANDLOCK, Layer
from grader.supervisor.launcher import Launcher
from grader.supervisor.protections import try_all
from tests.faults.harness.suite import CASES, Case, Run, run_all
from tests.faults.harness.table import FAULTS, SYSTEM, Fault, Kind, Place
from tests.mini import ROOT

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's"),
    pytest.mark.timeout(3000),
]


@pytest.fixture(scope="module")
def missing(subject_processes: Launcher) -> frozenset[Layer]:
    """The layers that this system lacks, of those without which a fault is not survived."""
    lacking = {tried.name for tried in try_all(subject_processes, ROOT, any_solution(ROOT)) if not tried.in_force}
    if lacking - {"files", "reference-hidden"}:
        pytest.skip(f"this system lacks protections: {lacking}")
    return frozenset({Layer.LANDLOCK} if lacking else ())


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, missing: frozenset[Layer]
) -> list[Run]:
    """Those that were asked for, in a handful of runs of the real command."""
    items = (item for item in request.session.items if isinstance(item, pytest.Function))
    chosen = [item.callspec.params["case"] for item in items if item.function is test_a_fault_is_survived]
    return run_all(tmp_path_factory.mktemp("faults"), [case for case in chosen if case.fault.needs not in missing])


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if case.place is Place.CALL else pytest.mark.slow)
        for case in CASES
    ],
)
def test_a_fault_is_survived(runs: list[Run], missing: frozenset[Layer], case: Case) -> None:
    if case.fault.needs in missing:
        pytest.skip(f"it needs {case.fault.needs}, which this system lacks")
    outcome = next((outcome for run in runs for outcome in run.outcomes if outcome.case == case), None)
    assert outcome is not None, [run.problems for run in runs]
    assert outcome.problem == "", f"{outcome.status}: {outcome.message}"


def test_nothing_else_suffers_and_nothing_is_left(runs: list[Run]) -> None:
    assert [problem for run in runs for problem in run.problems] == []


def test_there_are_some_of_each_kind() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert {fault.kind for fault in FAULTS} == set(Kind)


def test_wrong_code_is_never_expected_to_pass() -> None:
    wrong = [fault for fault in FAULTS if fault.kind in (Kind.FORGERY, Kind.VALUE, Kind.CHANCE)]
    assert len(wrong) > 30
    for fault in wrong:
        assert not any("passed" in fault.verdict(place) for place in Place), fault.name


@pytest.mark.slow
def test_without_fork_they_are_survived_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One of each kind, in a new interpreter each, as on systems that cannot fork."""
    chosen: dict[Kind, Case] = {}
    for case in CASES:
        if case.place is Place.CALL and case.fault.name not in ("endless loop",):
            chosen.setdefault(case.fault.kind, case)
    runs = run_all(tmp_path_factory.mktemp("spares"), chosen.values(), {"GPT_KATA_WORKERS": "spawn"})
    assert [problem for run in runs for problem in run.problems] == []
    problems = {outcome.case.name: outcome.problem for run in runs for outcome in run.outcomes if outcome.problem}
    assert problems == {}
    assert len(chosen) == len(Kind)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1", "4"])
def test_with_an_older_landlock_too(
    tmp_path_factory: pytest.TempPathFactory, missing: frozenset[Layer], version: str
) -> None:
    """What Landlock came to know later is refused by seccomp as well."""
    if missing:
        pytest.skip(f"this system lacks {missing}")
    about = (Kind.PARENT, Kind.REFERENCE, Kind.REPOSITORY)
    faults = [case for case in CASES if case.place is Place.CALL]
    chosen = [case for case in faults if case.fault in SYSTEM or case.fault.kind in about]
    runs = run_all(tmp_path_factory.mktemp("older"), chosen, {NEWEST_LANDLOCK: version})
    assert [problem for run in runs for problem in run.problems] == []
    assert {o.case.name: o.problem for run in runs for o in run.outcomes if o.problem} == {}


def test_a_fault_that_is_not_survived_is_noticed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The suite itself can fail: right code is not a timeout, and a promised word has to be there."""
    cases = [
        Case(Fault("does nothing", Kind.TIME, "", ("timeout",) * 3), Place.CALL),
        Case(Fault("ends", Kind.ENDING, "import os; os._exit(0)", ("crashed",) * 3, "no such words"), Place.CALL),
        Case(Fault("asks nothing", Kind.PARENT, "", ("passed",) * 3, "", "send a signal"), Place.CALL),
    ]
    (run,) = run_all(tmp_path_factory.mktemp("noticed"), cases)
    assert [outcome.problem for outcome in run.outcomes] == [
        "the verdict is passed",
        "nothing is said of 'no such words'",
        "that it tried to send a signal is not reported",
    ]
