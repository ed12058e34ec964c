"""How every script starts and ends: the environment first, then the work, then an exit code.

Exit codes: 0 done, 1 the exercises cannot do it yet, 2 the input of the command is wrong, 3 this machine
cannot do it, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from grader.text import COMMAND, make_output_safe, printable

INTERRUPTED = 130
ROOT = Path(__file__).resolve().parent.parent


class CannotYet(Exception):
    """The exercises are not far enough for this. Exit code 1."""


def run(module: str, main: Callable[[list[str]], int]) -> int:
    """Run a script's `main` on the command line's arguments, in `.venv` where that is needed.

    Arguments
        module  what stands after `python -m`
        main    takes the arguments, returns the exit code
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - the whole point is to say so in one line
        print("GPT Kata needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".", file=sys.stderr)
        return 3
    make_output_safe()
    try:
        from grader import bootstrap

        bootstrap.ensure(sys.argv[1:], module)
        return main(sys.argv[1:])
    except KeyboardInterrupt:
        code, message = INTERRUPTED, "stopped."
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        code, message = _told(error)
    with suppress(OSError):
        sys.stdout.flush()
        if os.environ.get("RANK", "0") == "0":  # of several processes that torchrun started, the first one speaks
            print(f"{module}: {message}", file=sys.stderr, flush=True)
    if code == INTERRUPTED:
        os._exit(code)  # as in the grader: nobody waits for threads after Ctrl-C
    return code


def _told(error: Exception) -> tuple[int, str]:
    """The exit code and the line for what went wrong."""
    from grader.errors import GraderError, UsageError

    said = printable(str(error))
    place = _place_in_exercises(error)
    if isinstance(error, CannotYet):
        return 1, said
    if isinstance(error, UsageError):
        return 2, said
    if isinstance(error, GraderError):
        return 3, said
    if place:
        file, line, function = place
        return 1, (
            f"{type(error).__name__}: {said}\n  {file}:{line}, in {function}\n"
            f"`{COMMAND} check {Path(file).stem[:4]}` says more about this exercise."
        )
    if isinstance(error, OSError):
        return 3, said
    traceback.print_exc()
    return 3, f"this is a fault of the script, not yours. Please report it: {type(error).__name__}: {said}"


def _place_in_exercises(error: BaseException) -> tuple[str, int, str] | None:
    """The last line of an exercise or a solution on the way to an error."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.parent in (ROOT / "exercises", ROOT / "solutions"):
            return str(path.relative_to(ROOT)), frame.lineno or 1, frame.name
    return None
