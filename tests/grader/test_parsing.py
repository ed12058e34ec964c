"""Several exercises are read at the same time."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.course.outline import imported_names, is_super_init, outline, parse, reach
from grader.learner.contract import read_outline
from grader.learner.submission import Unreadable

TEXT = "\n".join(f"def f{number}(x):\n    return [x, (x, {{x: [x + 1]}})]" for number in range(40))


@pytest.fixture
def threads_change_within_the_parser() -> Iterator[None]:
    """Where Python collects garbage, and here it does so all the time, another thread gets its turn."""

    def pause(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(pause)
    gc.set_threshold(5)
    yield
    gc.set_threshold(*before)
    gc.callbacks.remove(pause)


@pytest.mark.usefixtures("threads_change_within_the_parser")
def test_several_threads_may_parse_at_the_same_time() -> None:
    errors: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(20):
                parse(TEXT)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


SUM = " + ".join(["y"] * 2500)
DEEP = {
    "sum in a function": f"def f(y):\n    return {SUM}\n",
    "sum in a module": f"y = 1\nf = {SUM}\n",
    "chain of calls": f"y = 'a'\nf = y{'.strip()' * 900}\n",
    "default": f"y = 1\ndef f(x={SUM}): ...\n",
    "decorator": f"y = 1\n@(lambda f: f if {SUM} else f)\ndef f(x): ...\n",
    "brackets": f"f = {'(' * 190}1{')' * 190}\n",
    "lists": f"f = {'[' * 90}{']' * 90}\n",
    "branches": "x = 1\nif x: f = 1\n" + "elif x: f = 2\n" * 600,
    "blocks": "".join(" " * depth + "if 1:\n" for depth in range(90)) + " " * 90 + "f = 1\n",
}


@pytest.mark.parametrize("case", DEEP)
def test_whatever_python_can_run_can_be_read(case: str) -> None:
    text = DEEP[case]
    found = outline(text)
    assert "f" in found.bound
    for function in found.functions.values():
        assert function.parameters is not None and function.decorators is not None
    assert imported_names(text) == ()
    assert "f" in reach(["f"], text)
    exec(compile(text, "it.py", "exec"), {})


@pytest.mark.parametrize(
    "text", [f"f = {'-' * 100_000}1", f"f = {'(' * 300}1{')' * 300}", "f = 1\0", "f = '\ud800'"]
)
def test_what_python_cannot_read_is_a_syntax_error(text: str) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        compile(text, "it.py", "exec") if "-" not in text else parse(text)
    with pytest.raises(Unreadable, match="Syntax error: "):
        read_outline(text, Path("it.py"))
    assert imported_names(text) == ()


def test_python_says_no_more_than_once_that_an_escape_is_odd() -> None:
    """It does where the code is run, from 3.12 on."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse(r"x = '\d'")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("super().__init__()", True),
        ("super().__init__(3)", False),
        ("super(A, self).__init__()", False),
        ("super().__init__(a=1)", False),
        ("self.__init__()", False),
        ("super().forward()", False),
    ],
)
def test_the_call_that_a_stub_keeps(statement: str, expected: bool) -> None:
    assert is_super_init(parse(statement).body[0]) is expected
