"""Several exercises are read at the same time."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from grader.course.outline import parse

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
