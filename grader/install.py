"""Make `.venv` and install what is pinned into it. Standard library only.

Reached through grader/bootstrap.py, and only where that has not seen a finished installation.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, NoReturn

from grader import torch_build
from grader.bootstrap import INSTALLED, NO_BOOTSTRAP, PYTHON, ROOT, VENV, go_on, in_our_venv, wanted

# While this file is there, the environment is half-made, by us, and may be removed.
UNFINISHED = VENV / "gpt-kata-unfinished"
LOCK = ROOT / ".venv.lock"
CONSTRAINTS = ROOT / "constraints.txt"
# Where the name to import is not the name to install.
MODULES = {"pytest-timeout": "pytest_timeout"}
SETUP_FAILED = 3
# `-P`: what lies in the current folder is not pip.
PIP = (str(PYTHON), "-P", "-m", "pip")
RESUME_RETRIES = "20"
GO_ON = "What was fetched whole is kept, and is not fetched again."
# The command that needs other packages than the rest, and the extra that lists them.
SELFTEST = "selftest"


def ensure(arguments: list[str], module: str) -> None:
    """Return if this interpreter has what the command needs; else go on in `.venv`, made first if need be.

    In the second case this does not return: the process is replaced, or exits with the other's code.
    """
    extra = SELFTEST if arguments[:1] == [SELFTEST] else None
    absent = missing(extra)
    if absent and os.environ.get(NO_BOOTSTRAP):
        _give_up(f"Not installed here: {', '.join(absent)}. {NO_BOOTSTRAP} is set, so nothing was done about it.")
    if absent and not in_our_venv():
        with _only_one():
            if UNFINISHED.exists():
                _say("An earlier start did not finish. What pip had fetched whole by then is not fetched again.")
                shutil.rmtree(VENV)
            if not PYTHON.exists():
                _make(extra)
        go_on(arguments, module)
    if absent:
        _install(extra, "torch" in absent)
        importlib.invalidate_caches()
    if in_our_venv() and not extra:
        _note_installed()


def _note_installed() -> None:
    """Let the next start skip all this. Where it cannot be written, the next start looks again."""
    with contextlib.suppress(OSError):
        INSTALLED.write_bytes(wanted())


def missing(extra: str | None) -> list[str]:
    """Names of required packages that cannot be imported here; nothing is imported to find out."""
    names = [requirement_name(requirement) for requirement in requirements(extra)]
    return [name for name in names if find_spec(MODULES.get(name, name)) is None]


def requirements(extra: str | None) -> list[str]:
    """The requirements in pyproject.toml, or only those of this extra.

    Whoever runs the self-test needs no torch here: each environment of tox has its own.
    """
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked: list[str] = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return asked


def requirement_name(requirement: str) -> str:
    """`torch>=2.9` is `torch`."""
    for position, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:position]
    return requirement


def _make(extra: str | None) -> None:
    _asked_for()  # what is not understood is said before anything is made
    _say(f"First start: making an environment in {VENV} and installing {'tox' if extra else 'torch and friends'}.")
    try:
        VENV.mkdir()
    except OSError as error:
        _give_up(f"{VENV} cannot be made ({error.strerror}). If it is there without an interpreter, delete it.")
    try:
        UNFINISHED.touch()
        venv.create(VENV, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(VENV, ignore_errors=True)
        _give_up(f"The environment could not be made: {error}. On Debian and Ubuntu, install python3-venv first.")
    _install(extra, with_torch=extra is None)
    UNFINISHED.unlink()


def _install(extra: str | None, with_torch: bool) -> None:
    """Install what is missing into `.venv`; what was half-made by this run is removed if that fails."""
    if in_our_venv() and find_spec("pip") is None:  # made by uv
        subprocess.run([str(PYTHON), "-P", "-m", "ensurepip"], capture_output=True, check=False)
    if with_torch:
        _prepare_torch()
    if problems := _pip("--constraint", str(CONSTRAINTS), *requirements(extra)):
        _not_installed(problems)
    _progress("")


def _prepare_torch() -> None:
    """Say which build of torch comes and how much that is; install it if it is not the one that pip would take."""
    asked = _asked_for()
    machine = torch_build.this_machine()
    settings = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False).stdout
    own_index = torch_build.names_an_index(settings)
    try:
        choice = torch_build.choose(
            machine, asked, own_index, lambda: torch_build.offered(pinned("torch"), machine.architecture)
        )
    except torch_build.CannotChoose as error:
        _remove_half_made()
        _give_up(str(error))
    _say(choice.said)
    # A newer pip goes on with a file whose download broke off. Without it, this one will do.
    _pip("--constraint", str(CONSTRAINTS), "--upgrade", "pip")
    if choice.wheel:
        # Alone, so that no other package comes from that index: what torch needs is installed with the rest.
        index = ("--no-deps", "--index-url", torch_build.INDEX)
        if problems := _pip(*index, f"torch=={choice.wheel.version}"):
            _not_installed(problems, f", or take the other build: {torch_build.ASKED}={torch_build.DEFAULT}")


def pinned(package: str) -> str:
    """The version in constraints.txt."""
    pins = dict(line.split("==") for line in CONSTRAINTS.read_text(encoding="utf-8").split())
    return pins[package]


def _asked_for() -> str | None:
    try:
        return torch_build.asked_for(os.environ)
    except torch_build.CannotChoose as error:
        _give_up(str(error))


def _pip(*arguments: str) -> list[str]:
    """Let pip install into `.venv`, and show what it does. Returns what went wrong, nothing if all went well."""
    command = [*PIP, "install", "--retries", "1", "--disable-pip-version-check", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={"PIP_RESUME_RETRIES": RESUME_RETRIES, **os.environ},  # an older pip does not mind
    )
    assert process.stdout
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            _progress(lines[-1])
    except BaseException:
        process.kill()
        _remove_half_made()
        _say(f"\nNot finished. {GO_ON}")
        raise
    if process.wait() == 0:
        return []
    return [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["pip ended without a word."]


def _not_installed(problems: list[str], otherwise: str = "") -> NoReturn:
    _remove_half_made()
    for line in problems[:3]:
        _say("  " + line[:300])
    cause = "Make room on the disk" if any("No space left" in line for line in problems) else "Check the network"
    _give_up(f"The packages could not be installed. {cause} and run the same command again{otherwise}. {GO_ON}")


def _remove_half_made() -> None:
    if UNFINISHED.exists():
        shutil.rmtree(VENV, ignore_errors=True)


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """Let two first starts at once wait for each other. A lock whose owner is gone is taken over."""
    while True:
        try:
            handle = os.open(LOCK, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            break
        except FileExistsError:
            if _lock_is_stale():
                LOCK.unlink(missing_ok=True)
            time.sleep(0.2)
        except OSError as error:
            _give_up(f"This folder cannot be written to ({error}).")
    with os.fdopen(handle, "w") as stream:
        stream.write(str(os.getpid()))
    try:
        yield
    finally:
        LOCK.unlink(missing_ok=True)


def _lock_is_stale() -> bool:
    try:
        owner = int(LOCK.read_text() or "0")
    except (OSError, ValueError):
        return False
    if os.name == "nt":
        return time.time() - LOCK.stat().st_mtime > 1800
    try:
        os.kill(owner, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _progress(line: str) -> None:
    """What pip is doing: one line that is overwritten on a terminal, the milestones elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + line[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()
    elif line.startswith(("Collecting", "Downloading", "Installing", "Successfully")):
        _say("  " + line[:160])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _give_up(message: str) -> NoReturn:
    _say("grader: " + message)
    sys.exit(SETUP_FAILED)
