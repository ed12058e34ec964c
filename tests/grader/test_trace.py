"""The line on which code hangs is written down by its own process, and never while the code runs on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from grader.bootstrap import ROOT

HANGING = """
import faulthandler, os, signal, sys, time
from grader.sandbox.child import telling_where
from grader.sandbox.confine import set_limits
from grader.protocol.job import Limits
{before}

def hang():
    while not done():
        pass

with open(sys.argv[1], "w", encoding="utf-8") as trace, telling_where(trace, 0.1):
    {block}
"""


def run(trace: Path, before: str, block: str) -> int:
    code = HANGING.format(before=before, block=block)
    command = [sys.executable, "-c", code, str(trace)]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode


def test_without_signals_a_thread_writes(tmp_path: Path) -> None:
    trace = tmp_path / "where.txt"
    done = 'del faulthandler.register\ndef done(): return "in hang" in open(sys.argv[1]).read()'
    assert run(trace, done, "hang()") == 0
    assert "in hang" in trace.read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_nothing_is_written_until_the_signal_says_that_time_is_up(tmp_path: Path) -> None:
    trace = tmp_path / "where.txt"
    assert run(trace, "", "time.sleep(0.3)") == 0
    assert trace.read_text(encoding="utf-8") == ""
    raising = "def done(): signal.raise_signal(signal.SIGXCPU)"
    assert run(trace, raising, "hang()") == -signal.SIGXCPU
    assert "in hang" in trace.read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_the_limit_on_processor_time_says_so_before_it_kills(tmp_path: Path) -> None:
    trace = tmp_path / "where.txt"
    limited = "set_limits(Limits(0), time.process_time() / os.cpu_count())\n"
    assert run(trace, limited + "def done(): return False", "hang()") == -signal.SIGXCPU
    assert "in hang" in trace.read_text(encoding="utf-8")
    ignored = f"{limited}def done(): signal.signal(signal.SIGXCPU, signal.SIG_IGN)"
    assert run(trace, ignored, "hang()") == -signal.SIGKILL
