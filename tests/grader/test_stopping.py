"""A run that is stopped says what it knows by then, in one document, and ends as shells expect it to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from grader.course import catalogue
from grader.learner.history import Store
from tests.mini import ROOT
from tests.signals import answer_as_at_a_terminal

Command = Callable[..., subprocess.CompletedProcess[str]]
FIRST, SECOND = "ex00_tensors", "ex06_attention"
HANGS = "\nimport time\ntime.sleep(600)\n"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")


def started(checkout: Path, *arguments: str, ignoring: signal.Signals | None = None) -> subprocess.Popen[str]:
    """`check` on an exercise that passes and one that does not end."""
    for name in (FIRST, SECOND):
        text = (checkout / "solutions" / f"{name}.py").read_text(encoding="utf-8")
        path = checkout / "exercises" / f"{name}.py"
        path.write_text(text + (HANGS if name == SECOND else ""), encoding="utf-8")

    def prepare() -> None:
        answer_as_at_a_terminal()
        if ignoring:
            signal.signal(ignoring, signal.SIG_IGN)

    return subprocess.Popen(
        [sys.executable, "-m", "grader", "check", FIRST, SECOND, *arguments],
        cwd=checkout,
        env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )


@pytest.fixture(autouse=True)
def without_traces(checkout: Path) -> Iterator[None]:
    shutil.rmtree(checkout / ".grader", ignore_errors=True)  # a verdict of another test is not waited for
    stubs = {
        path: path.read_bytes() for path in (checkout / "exercises" / f"{name}.py" for name in (FIRST, SECOND))
    }
    yield
    for path, stub in stubs.items():
        path.write_bytes(stub)
    shutil.rmtree(checkout / ".grader", ignore_errors=True)


def wait_for_verdict(checkout: Path, exercise: str) -> None:
    """Until an exercise has its verdict in the history."""
    store = Store(checkout / ".grader" / "progress.sqlite3")
    deadline = time.monotonic() + 120
    while not any(a.exercise == exercise and a.status for a in store.attempts()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    store.close()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_json_is_one_document_with_what_is_known(checkout: Path, number: signal.Signals) -> None:
    process = started(checkout, "--format", "json")
    wait_for_verdict(checkout, FIRST)
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + number, "grader: stopped. Nothing is lost.\n")
    report = json.loads(out)
    assert report["stopped"] is True
    assert [(entry["id"], entry["status"]) for entry in report["exercises"]] == [(FIRST, "passed")]
    assert (report["passed"], report["total"]) == (1, 2)


@pytest.mark.slow
def test_junit_is_one_document_too(checkout: Path) -> None:
    process = started(checkout, "--format", "junit")
    wait_for_verdict(checkout, FIRST)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    root = ElementTree.fromstring(out)
    assert [suite.get("name") for suite in root] == [FIRST]
    assert "stopped" in root.get("name", "")


@pytest.mark.slow
def test_many_signals_are_no_more_than_one(checkout: Path) -> None:
    """An impatient person presses Ctrl-C again and again, and a service manager adds its own."""
    process = started(checkout, "--format", "json")
    wait_for_verdict(checkout, FIRST)
    while process.poll() is None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        time.sleep(0.01)
    out, errors = process.communicate(timeout=60)
    assert json.loads(out)["stopped"] is True
    assert errors == "grader: stopped. Nothing is lost.\n"


@pytest.mark.slow
def test_what_was_switched_off_stays_so(checkout: Path) -> None:
    """`nohup` lets a command outlive its terminal."""
    process = started(checkout, "--format", "json", ignoring=signal.SIGHUP)
    wait_for_verdict(checkout, FIRST)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=120)
    report = json.loads(out)
    assert report["stopped"] is False
    assert [entry["status"] for entry in report["exercises"]] == ["passed", "timeout"]


def test_whoever_handed_in_nothing_gets_a_verdict_on_each(command: Command, checkout: Path, tmp_path: Path) -> None:
    done = command("check", "--all", "--on", str(tmp_path), "--format", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["total"] == len(report["exercises"]) == len(catalogue.exercise_ids(checkout))
    assert {entry["status"] for entry in report["exercises"]} == {"unreadable"}
    assert report["passed"] == 0


def test_total_counts_what_was_asked_for(command: Command) -> None:
    report = json.loads(command("check", "ex00", "--on", "solutions", "--format", "json").stdout)
    assert (report["passed"], report["total"], report["stopped"]) == (1, 1, False)


def test_output_that_is_cut_says_so(command: Command, checkout: Path) -> None:
    path = checkout / "exercises" / f"{FIRST}.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nfor n in range(40): print('line', n)\n", encoding="utf-8")
    done = command("check", FIRST)
    assert "Your code printed 40 lines, the last of them:" in done.stdout
    assert "line 39" in done.stdout


def test_when_all_is_done_a_signal_does_nothing_to_the_very_end() -> None:
    """Python, when it ends, lets a process die of what its own functions answered until then."""
    code = (
        "import signal\nfrom grader import stopping\nstopping.answer_signals()\nstopping.ignore_signals()\n"
        "assert all(signal.getsignal(number) is signal.SIG_IGN for number in stopping.NUMBERS)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


UNLUCKY = """
import os, signal, sys, threading
from grader import __main__, stopping

def wait(self, timeout=None, wait=threading.Condition.wait):
    if threading.current_thread() is threading.main_thread():
        self._release_save()  # the first step of the real one
        os.kill(os.getpid(), signal.SIGINT)
    return wait(self, timeout)

threading.Condition.wait = wait
sys.argv[1:] = ["check", "{exercise}", "--format", "json", "--on", "solutions"]
sys.exit(__main__.main())
"""


def test_a_signal_at_the_worst_moment_is_a_signal_all_the_same(checkout: Path) -> None:
    """The main thread has just given up a lock and is about to wait: what is raised is an error about that lock."""
    done = subprocess.run(
        [sys.executable, "-c", UNLUCKY.format(exercise=FIRST)],
        cwd=checkout,
        env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=answer_as_at_a_terminal,
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "grader: stopped. Nothing is lost.\n")
    assert json.loads(done.stdout)["stopped"] is True
