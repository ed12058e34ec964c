"""On a bare machine `python3 -m grader` is enough: it makes `.venv`, installs what is pinned, and goes on there.

This module is the quick way through: it sees that everything was installed before, and costs a millisecond.
Whatever takes longer is in grader/install.py. `GPT_KATA_NO_BOOTSTRAP=1` turns both off.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXERCISES = ROOT / "exercises"
STATE = ROOT / ".grader"
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# Holds what pyproject.toml and constraints.txt asked for when all of it had been installed.
INSTALLED = VENV / "gpt-kata-installed"
NO_BOOTSTRAP = "GPT_KATA_NO_BOOTSTRAP"


def ensure(arguments: list[str], module: str = "grader") -> None:
    """Return if this interpreter is the one to use; else go on in `.venv`, which is made first if need be.

    `module` is what was started by `python -m`, with these arguments.
    """
    if arguments[:1] != ["selftest"] and not os.environ.get(NO_BOOTSTRAP) and is_installed():
        if not in_our_venv():
            go_on(arguments, module)
        return
    from grader import install

    install.ensure(arguments, module)


def ensure_for(script: str) -> None:
    """As `ensure`, for a script that was started by its path: there is nothing to install any more."""
    if not os.environ.get(NO_BOOTSTRAP) and is_installed() and not in_our_venv():
        _replace_by([str(PYTHON), script])


def is_installed() -> bool:
    """Has `.venv` been filled with what is wanted now?"""
    try:
        return INSTALLED.read_bytes() == wanted() and PYTHON.exists()
    except OSError:
        return False


def wanted() -> bytes:
    """What the installation follows from. When it changes, what is installed is looked at again."""
    return b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))


def in_our_venv() -> bool:
    return os.path.realpath(sys.prefix) == os.path.realpath(VENV)


def go_on(arguments: list[str], module: str) -> None:
    """Run the same command in `.venv`. Does not return."""
    _replace_by([str(PYTHON), "-m", module, *arguments])


def _replace_by(command: list[str]) -> None:
    """Go on as another process. Does not return."""
    sys.stdout.flush()
    if os.name == "nt":  # exec would give the prompt back before the command has ended
        import subprocess

        sys.exit(subprocess.run(command, check=False).returncode)
    os.execv(command[0], command)
