"""The whole command in a real terminal."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from grader.course import catalogue
from tests.watching.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
WRONG = ("/ key.shape[-1] ** 0.5", "")
ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture
def attention(checkout: Path) -> Path:
    """The learner's file of ex06, a stub; put back afterwards."""
    (exercise,) = catalogue.choose(checkout, ["ex06"])
    path = checkout / "exercises" / exercise.file_name
    path.write_text(exercise.stub, encoding="utf-8")
    yield path
    path.write_text(exercise.stub, encoding="utf-8")


def test_an_evening_with_it(checkout: Path, attention: Path) -> None:
    solution = (checkout / "solutions" / attention.name).read_text(encoding="utf-8")
    assert solution.count(WRONG[0]) == 1
    with Terminal(["watch", "ex06", "--seed", "17"], checkout) as terminal:
        terminal.sees("ex06 Attention", "still to be written")
        attention.write_text(solution.replace(*WRONG), encoding="utf-8")
        terminal.sees("Your scores are not divided by √d", "expected", "yours", "? help  q quit")
        terminal.press("?")
        terminal.sees("the next exercise that is not done")
        terminal.press("\x1b")
        attention.write_text(solution, encoding="utf-8")
        terminal.sees("24 checks passed", "With your causal mask", without=["√d"])
        terminal.press("q")
        assert terminal.ends() == 0
        assert ENTERED in terminal.written and LEFT in terminal.written


@pytest.mark.slow
def test_without_colour_there_is_none(checkout: Path, attention: Path) -> None:
    for variables, has_colours in (({}, True), ({"NO_COLOR": "1"}, False)):
        with Terminal(["watch", "ex06"], checkout, environment=variables) as terminal:
            terminal.sees("still to be written")
            assert (terminal.colours != {"default"}) is has_colours
            terminal.press("\x03")
            assert terminal.ends() == 0


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGHUP, signal.SIGINT))],
)
def test_a_signal_leaves_the_terminal_as_it_was(checkout: Path, attention: Path, number: int) -> None:
    with Terminal(["watch", "ex06"], checkout) as terminal:
        terminal.sees("still to be written")
        children = psutil.Process(terminal.process.pid).children(recursive=True)
        os.kill(terminal.process.pid, number)
        assert terminal.ends() == 128 + number
        assert terminal.written.rindex(LEFT) > terminal.written.rindex(ENTERED)
        psutil.wait_procs(children, timeout=10)
        assert not [child for child in children if child.is_running()]


@pytest.mark.parametrize(
    "arguments, term", [pytest.param(["--plain"], "xterm", marks=pytest.mark.slow), ([], "dumb")]
)
def test_line_by_line(checkout: Path, attention: Path, arguments: list[str], term: str) -> None:
    solution = (checkout / "solutions" / attention.name).read_text(encoding="utf-8")
    with Terminal(["watch", "ex06", *arguments], checkout, (80, 60), {"TERM": term}) as terminal:
        terminal.sees("Watching exercises", "Ctrl-C ends", "still to be written")
        attention.write_text(solution.replace(*WRONG), encoding="utf-8")
        terminal.sees("Your scores are not divided by √d")
        assert ENTERED not in terminal.written
        terminal.press("\x03")
        assert terminal.ends() == 130
        assert "Nothing is lost" in terminal.shown


@pytest.mark.slow
def test_it_needs_hardly_anything_while_nothing_happens(checkout: Path, attention: Path) -> None:
    """Not a measurement, which is in benchmarks/: that it sleeps at all."""
    with Terminal(["watch", "ex06"], checkout) as terminal:
        terminal.sees("still to be written")
        watcher = psutil.Process(terminal.process.pid)
        give_up = time.monotonic() + 120
        while time.monotonic() < give_up:
            before = sum(watcher.cpu_times()[:2])
            terminal.read(0.5)
            time.sleep(2)
            if sum(watcher.cpu_times()[:2]) - before < 0.5:
                return
    raise AssertionError("it never comes to rest")


def test_what_is_no_folder_and_no_exercise_is_said_before_anything_is_drawn(checkout: Path) -> None:
    for arguments in (["watch", "ex77"], ["watch", "--on", "nowhere"]):
        with Terminal(arguments, checkout) as terminal:
            assert terminal.ends() == 2
            assert terminal.shown.startswith("grader: There is no ")
