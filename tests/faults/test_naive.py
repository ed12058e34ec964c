"""The control: what the grader survives does succeed where nothing is done against it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.harness.naive import TAMPERINGS, against_pytest
from tests.faults.harness.suite import Case, run_all
from tests.faults.harness.table import Fault, Kind, Place

pytestmark = pytest.mark.slow


def test_plain_pytest_reports_honest_wrong_code(tmp_path: Path) -> None:
    assert against_pytest(tmp_path / "honest", Fault("honest", Kind.FORGERY, "pass", ("wrong",) * 3)) == 1


def test_the_same_cheating_succeeds_against_plain_pytest(tmp_path: Path) -> None:
    def attempt(number: int) -> int:
        return against_pytest(tmp_path / str(number), TAMPERINGS[number])

    with ThreadPoolExecutor(2) as pool:
        codes = dict(zip((t.name for t in TAMPERINGS), pool.map(attempt, range(len(TAMPERINGS))), strict=True))
    assert codes == dict.fromkeys(codes, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")
def test_none_of_it_succeeds_against_the_grader(tmp_path: Path) -> None:
    (run,) = run_all(tmp_path, [Case(fault, place) for fault in TAMPERINGS for place in Place])
    assert run.problems == ()
    assert {outcome.case.name: outcome.problem for outcome in run.outcomes if outcome.problem} == {}
