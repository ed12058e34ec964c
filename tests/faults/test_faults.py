"""Every fault, at every place, is survived: see tests/faults/harness/table.py and tests/faults/harness/suite.py.

All of it takes minutes and depends little on the version of Python: what happens in a call runs on each of them,
the rest is marked slow.
"""

from __future__ import annotations

import sys

import pytest

from tests.faults.harness.suite import CASES, Case, Run, run_all
from tests.faults.harness.table import FAULTS, Fault, Kind, Place

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's"),
    pytest.mark.timeout(3000),
]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Those that were asked for, in a handful of runs of the real command."""
    items = (item for item in request.session.items if isinstance(item, pytest.Function))
    chosen = [item.callspec.params["case"] for item in items if item.function is test_a_fault_is_survived]
    done = run_all(tmp_path_factory.mktemp("faults"), chosen)
    missing = {name: value for name, value in done[0].protections.items() if value in ("no", "python-only")}
    if missing:
        pytest.skip(f"this system lacks protections: {missing}")
    return done


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if case.place is Place.CALL else pytest.mark.slow)
        for case in CASES
    ],
)
def test_a_fault_is_survived(runs: list[Run], case: Case) -> None:
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
