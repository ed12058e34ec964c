"""How every script starts and ends: the environment first, then the work, then an exit code.

Exit codes: 0 done; 1 the exercises cannot do it yet, or a training diverged; 2 the input of the command is wrong;
3 this machine cannot do it, or the script is at fault; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from grader.text import COMMAND, make_output_safe, printable

INTERRUPTED = 130
ROOT = Path(__file__).resolve().parent.parent
# In what torch says where memory runs out, on the CPU and on a GPU.
OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "Storage size calculation overflowed",
)


class CannotYet(Exception):
    """The exercises are not far enough for this. Exit code 1."""


class Diverged(Exception):
    """The loss of a training is not a finite number any more. Exit code 1."""


@dataclass(frozen=True)
class Place:
    """A line of an exercise or a solution on the way to an error."""

    path: Path
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}, in {self.function}"


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
    if isinstance(error, CannotYet | Diverged):
        return 1, said
    if isinstance(error, UsageError):
        return 2, said
    if isinstance(error, GraderError):
        return 3, said
    if isinstance(error, MemoryError) or any(words in said for words in OUT_OF_MEMORY):
        return 3, "this takes more memory than there is here. A smaller model, batch or context takes less."
    places = _places(error)
    if places:
        return _told_with_places(f"{type(error).__name__}: {said}", places)
    if isinstance(error, OSError):
        return 3, said
    traceback.print_exc()
    return 3, f"this is a fault of the script, not yours. Please report it: {type(error).__name__}: {said}"


def _told_with_places(said: str, places: list[Place]) -> tuple[int, str]:
    """For an error that passed through exercises. Blamed is only one that has not passed as it is now."""
    suspect = next((place for place in reversed(places) if _is_open(place.path)), None)
    if suspect is not None:
        name = suspect.path.stem[:4]
        return 1, f"{said}\n  {suspect}\n`{COMMAND} check {name}` says more about this exercise."
    theirs = any(place.path.parent.name == "exercises" for place in places)
    whose = "Your exercises have passed" if theirs else "This is the reference"
    return (1 if theirs else 3), (
        f"{said}\n  {places[-1]}\n{whose}, so what you gave the script, or the script itself, is the cause."
        " Please report it, with the command and these lines."
    )


def _places(error: BaseException) -> list[Place]:
    """The lines of exercises and solutions on the way to an error, the last one last.

    An `OSError` is theirs only where they raised it: their loops call what writes to the terminal and to the disk.
    """
    frames = traceback.extract_tb(error.__traceback__)
    found = [Place(Path(frame.filename), frame.lineno or 1, frame.name) for frame in frames]
    ours = [place for place in found if place.path.is_relative_to(ROOT) and ".venv" not in place.path.parts]
    folders = (ROOT / "exercises", ROOT / "solutions")
    if isinstance(error, OSError) and ours and ours[-1].path.parent not in folders:
        return []
    return [place for place in found if place.path.parent in folders]


def _is_open(path: Path) -> bool:
    """Whether this is an exercise whose last verdict, on the very text that is there now, is not `passed`."""
    from grader.bootstrap import STATE
    from grader.learner.history import Store
    from grader.learner.submission import Unreadable, read_text

    if path.parent.name != "exercises" or not re.match(r"ex\d\d_", path.name):
        return False
    store = Store(STATE / "progress.sqlite3")
    try:
        attempt = store.latest_graded().get(path.stem)
        return attempt is None or not (attempt.passed and attempt.is_of(read_text(path)))
    except Unreadable:
        return True
    finally:
        store.close()
