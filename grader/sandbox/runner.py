"""Run the probes of one exercise on one subject. The same code serves the reference, the learner's
code, every known mistake, and `pytest tests/`."""

from __future__ import annotations

import errno
import gc
import importlib
import inspect
import os
import random
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import chain
from pathlib import Path
from time import process_time  # bound here: code under test may put something else into `time`
from types import FunctionType, ModuleType
from typing import Any, cast

import torch

from grader.protocol.job import Job
from grader.protocol.runs import CHANGED_INPUTS, IMPORT_CHECK, CheckRun, Ending, Failure, Observation, Place
from grader.sandbox.draw import Draw, derive
from grader.sandbox.forbid import ForbiddenCall, forbidding, importing, packages_refused, watched
from grader.sandbox.loading import importable, run_source
from grader.sandbox.observe import Observe, error_types, message_of
from grader.sandbox.recorder import taking_notes

# torch raises a RuntimeError with these words where Python would raise a MemoryError.
ALLOCATION_FAILED = "can't allocate memory"
NO_MORE_THREADS = "can't start new thread"
PACKAGE = "your_code"
SYNTAX_ERRORS = (SyntaxError, IndentationError, TabError)

Probe = Callable[..., None]

# Optimizers, what runs on the device "meta" and more import torch's compiler when they are first called, to
# tell it that they are not for it. That takes a second and 70 MB, and does nothing here.
asks_the_compiler = torch.optim.Optimizer.zero_grad.__code__
for asking in gc.get_referrers(asks_the_compiler):
    if isinstance(asking, FunctionType):
        cells = dict(zip(asks_the_compiler.co_freevars, asking.__closure__ or (), strict=True))
        function = cells["fn"].cell_contents
        function.__dynamo_disable = function


def run_job(job: Job, emit: Callable[[CheckRun], None], scratch: Path) -> None:
    """Import the subject, then run the asked-for checks in order, and emit each result as it is there.

    `scratch` is a folder that the caller removes; a probe that asks for `tmp_path` gets one of its own in it.
    The first result is that of the import itself, named `IMPORT_CHECK`; if it failed it is the only one.
    """
    files = frozenset(source.path for source in job.sources.values())
    operations = frozenset(chain.from_iterable(job.forbidden_operations.values()))
    with importable(PACKAGE, job.sources, job.asked), packages_refused(job.forbidden_packages), watched(operations):
        probes = run_source("probes", job.probes)
        surroundings = Surroundings.now()
        start = process_time()
        ending, failure, subject = Ending.RETURNED, None, None
        try:
            with importing(operations):
                subject = importlib.import_module(f"{PACKAGE}.{job.exercise}")
        except BaseException as error:
            ending, failure = describe(error, files)
        seconds = process_time() - start
        surroundings.put_back()
        emit(CheckRun(IMPORT_CHECK, ending, (), failure, seconds))
        if subject is None:
            return
        for check in job.checks:
            forbidden = job.forbidden_operations.get(check, ())
            probe: Probe = getattr(probes, check)
            probe = taking_notes(probe) if job.takes_notes else probe
            result = run_check(probe, subject, job, forbidden, files, scratch)
            emit(result)
            if result.ending is Ending.LIMIT:  # out of memory: the checks that follow would only be slow
                return


def run_check(
    probe: Probe,
    subject: ModuleType,
    job: Job,
    operations: tuple[str, ...],
    files: frozenset[str],
    scratch: Path,
) -> CheckRun:
    """Run one probe. Whatever the subject raises ends this check only and is part of the result."""
    draw, observe = fixtures_for(probe.__name__, job.exercise, job.seed)
    surroundings = Surroundings.now()
    ending: Ending = Ending.RETURNED
    failure: Failure | None = None
    start = process_time()
    try:
        with forbidding(operations):
            probe(**_arguments(probe, job, subject, draw, observe, scratch))
    except BaseException as error:
        ending, failure = describe(error, files)
    seconds = process_time() - start
    observations = all_observations(draw, observe) if ending is Ending.RETURNED else tuple(observe.recorded)
    surroundings.put_back()
    return CheckRun(probe.__name__, ending, observations, failure, seconds)


def _set_filters(filters: tuple[Any, ...]) -> None:
    warnings.resetwarnings()
    cast(list[Any], warnings.filters).extend(filters)


# Torch 2.9 says so to whoever reads one of its settings.
warnings.filterwarnings("ignore", "Please use the new API settings to control TF32 behavior")
# How to read and to set what Python and torch have once for a whole process. Another check that has to do with what
# one check chose would go wrong, or another bit would come out.
SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (lambda: tuple(warnings.filters), _set_filters),  # first: to read another one may warn
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (sys.getrecursionlimit, sys.setrecursionlimit),
)


@dataclass(frozen=True)
class Surroundings:
    """What a process has once and code under test may change: put back before the next check stumbles over it."""

    folder: Path
    environment: dict[str, str]
    settings: tuple[Any, ...]

    @staticmethod
    def now() -> Surroundings:
        return Surroundings(Path.cwd(), dict(os.environ), tuple(read() for read, _ in SETTINGS))

    def put_back(self) -> None:
        """Undo changes."""
        with suppress(OSError):
            os.chdir(self.folder)  # without a look at where it is: that folder may be gone
        if dict(os.environ) != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        for before, (read, put) in zip(self.settings, SETTINGS, strict=True):
            if read() != before:
                put(before)


def _arguments(
    probe: Probe, job: Job, subject: ModuleType, draw: Draw, observe: Observe, scratch: Path
) -> dict[str, object]:
    """What the probe's parameters ask for, by name."""
    names = inspect.signature(probe).parameters
    available: dict[str, object] = {"subject": subject, "draw": draw, "observe": observe, **job.given}
    available["folder"] = None if job.folder is None else Path(job.folder)
    if "tmp_path" in names:
        available["tmp_path"] = Path(tempfile.mkdtemp(dir=scratch))
    return {name: available[name] for name in names}


def fixtures_for(check: str, exercise: str, seed: int) -> tuple[Draw, Observe]:
    """What a probe is given, and the global generators set, all from the run's seed and the check's name.

    Whether torch records a graph, its default dtype and its default device are as at the start, whatever an earlier
    check did.
    """
    check_seed = derive(seed, exercise, check)
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    random.seed(check_seed)
    torch.default_generator.manual_seed(check_seed)  # torch.manual_seed would also look for every GPU
    return Draw(check_seed), Observe()


def all_observations(draw: Draw, observe: Observe) -> tuple[Observation, ...]:
    """What a probe that returned wrote down, and which of its inputs were changed meanwhile."""
    return (*observe.recorded, Observation(CHANGED_INPUTS, list(draw.changed_inputs())))


def describe(error: BaseException, files: frozenset[str]) -> tuple[Ending, Failure]:
    """How a check ended and with what, keeping only the frames of the code under test.

    An error may be of a class of the code under test, of which every method may do what it likes.
    """
    try:
        return _described(error, files)
    except BaseException:
        types = error_types(error) or ("BaseException",)
        return Ending.RAISED, Failure(types, "(what it says could not be read)", ())


def _described(error: BaseException, files: frozenset[str]) -> tuple[Ending, Failure]:
    frames = traceback.extract_tb(error.__traceback__)
    trace = tuple(Place(f.filename, f.lineno or 0, f.name) for f in frames if f.filename in files)
    trace += _place_of_syntax_error(error, files)
    ending, message = Ending.RAISED, message_of(error)
    if type(error) is AttributeError and isinstance(error.obj, ModuleType):
        message += _much_like(error.obj, error.name)
    if isinstance(error, ForbiddenCall):
        ending = Ending.FORBIDDEN
    elif isinstance(error, NotImplementedError) and frames and frames[-1].filename in files:
        ending = Ending.UNFINISHED
    elif isinstance(error, MemoryError) or ALLOCATION_FAILED in message:
        ending, message = Ending.LIMIT, "asked for more memory than an exercise may use"
    elif isinstance(error, RuntimeError) and NO_MORE_THREADS in message:
        ending, message = Ending.LIMIT, "started more threads than an exercise may"
    elif isinstance(error, BlockingIOError) and error.errno == errno.EAGAIN:
        ending, message = Ending.LIMIT, "tried to start another process, and an exercise may not"
    elif isinstance(error, OSError) and error.errno == errno.EMFILE:
        ending, message = Ending.LIMIT, "opened more files than an exercise may"
    return ending, Failure(error_types(error) or ("BaseException",), message, trace[-40:])


@cache
def _much_like(module: ModuleType, name: str) -> str:
    """A name of the module that could have been meant."""
    found = get_close_matches(name, [there for there in dir(module) if there[0] != "_"], 1, 0.8)
    return f". Did you mean `{found[0]}`?" if found else ""


def _place_of_syntax_error(error: BaseException, files: frozenset[str]) -> tuple[Place, ...]:
    """The line that Python could not compile: there is no frame of it, since it has not begun."""
    if not isinstance(error, SyntaxError) or type(error) not in SYNTAX_ERRORS:
        return ()
    file, line = error.filename, error.lineno
    return (Place(file, line),) if type(file) is str and file in files and type(line) is int else ()
