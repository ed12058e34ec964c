"""What the code tried and may not do is reported with its line, also where it caught the refusal and went on."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from grader.judge.results import ExerciseResult, Status
from tests.mini import ROOT, with_body

Grade = Callable[[str], ExerciseResult]
SOLUTION = f"{ROOT}/solutions/ex06_attention.py"
# What is tried, and how the report begins.
ACTS = {
    f"open({SOLUTION!r})": f"read {SOLUTION}",
    f"pathlib.Path({SOLUTION!r}).read_text()": f"read {SOLUTION}",
    "open('/tmp/gpt-kata-attempt', 'w')": "write or change /tmp/gpt-kata-attempt",
    "os.fork()": "start another process",
    "subprocess.run(['true'])": "start another process",
    "os.kill(os.getppid(), 0)": "send a signal to another process",
    "socket.socket()": "use the network",
    "socket.create_connection(('127.0.0.1', 9))": "use the network",
}
# The same, where the system sees to it.
ACTS_ON_LINUX = {
    "open('/etc/passwd')": "read /etc/passwd",
    "pathlib.Path('/etc/passwd').read_bytes()": "read /etc/passwd",
    "shutil.copy('/etc/passwd', 'mine')": "read /etc/passwd",
    "os.listdir('/')": "read /",
    "list(pathlib.Path('/').iterdir())": "read /",
    "open(f'/proc/{os.getppid()}/environ', 'rb')": "read /proc/",
}


def attempts(grade: Grade, act: str) -> tuple[str, ...]:
    body = (
        "import os, pathlib, shutil, socket, subprocess\n"
        f"    try:\n        {act}\n"
        "    except OSError:\n        pass\n    return x * 2"
    )
    result = grade(with_body(body))
    assert result.status is Status.PASSED
    return result.refused


@pytest.mark.skipif(sys.platform == "win32", reason="no fork, and other paths")
@pytest.mark.parametrize(("act", "told"), ACTS.items(), ids=ACTS)
def test_what_was_refused_and_caught_is_reported(grade: Grade, act: str, told: str) -> None:
    (attempt,) = attempts(grade, act)
    assert attempt.startswith(told)
    assert attempt.endswith("(line 11)")


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock")
@pytest.mark.parametrize(("act", "told"), ACTS_ON_LINUX.items(), ids=ACTS_ON_LINUX)
def test_so_is_what_the_system_refuses(grade: Grade, act: str, told: str) -> None:
    (attempt,) = attempts(grade, act)
    assert attempt.startswith(told)
    assert attempt.endswith("(line 11)")


def test_what_libraries_look_for_is_not_the_codes_doing(grade: Grade) -> None:
    assert attempts(grade, "import platform; platform.platform(); platform.freedesktop_os_release()") == ()
