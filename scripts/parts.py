"""The parts of the GPT, each from an exercise: yours, the reference's, or yours as far as they have passed."""

from __future__ import annotations

import atexit
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from grader.bootstrap import STATE
from grader.course.outline import imported_names
from grader.course.stubs import unwritten
from grader.learner.history import Store
from grader.learner.mixture import PART_NAMES, Mixture, mix
from grader.learner.submission import Unreadable, read_submission
from grader.protocol.job import Source
from grader.text import COMMAND, PYTHON
from scripts.entry import ROOT, CannotYet
from scripts.options import MIXED

# Which exercise each part comes from. What these import from other exercises is needed as well.
MODULES = {
    "text": "ex01_text",
    "bpe_train": "ex02_bpe_train",
    "bpe": "ex03_bpe",
    "data": "ex04_data",
    "gpt": "ex09_gpt",
    "generate": "ex10_generate",
    "optim": "ex12_optim",
    "train": "ex13_train",
    "weights": "ex14_weights",
}
# Nobody has to wait for this one: until it is written, the reference keeps what was trained.
STORING = "ex14_weights"
# A package of modules from two folders stays importable to the end of the process.
_importable = ExitStack()
atexit.register(_importable.close)


@dataclass(frozen=True)
class Parts:
    """The modules to build with. `folder` says where they come from, as in `--using`, and `package` holds them."""

    folder: str
    package: str
    text: ModuleType
    bpe_train: ModuleType
    bpe: ModuleType
    data: ModuleType
    gpt: ModuleType
    generate: ModuleType
    optim: ModuleType
    train: ModuleType
    weights: ModuleType

    @property
    def owner(self) -> str:
        """Whose GPT it is: `the GPT of exercises/`."""
        return "your GPT" if self.folder == MIXED else f"the GPT of {self.folder}/"

    def module(self, name: str) -> ModuleType:
        """Another exercise of the same folder, one of those that `load_parts` was told of."""
        return importlib.import_module(f"{self.package}.{name}")

    def has(self, name: str) -> bool:
        """Whether one more exercise, with what it imports, is there to be used."""
        if self.package == MIXED:
            return find_spec(f"{MIXED}.{name}") is not None
        return first_open(ROOT / self.folder, [name]) is None

    def command(self, script: str, arguments: str) -> str:
        """What to type to run another script on the same parts."""
        using = "" if self.folder == "exercises" else f" --using {self.folder}"
        return f"{PYTHON} -m {script}{using} {arguments}"


def load_parts(folder: str, script: str, *also: str) -> Parts:
    """Import the parts that a GPT is made of, and say whose they are where that is not clear.

    Arguments
        folder  `exercises`, or another folder with the same modules; `mixed` takes from the exercises what has
                passed, and the rest from the solutions
        script  what stands after `python -m`, to be named where something is missing
        also    further exercises that this script needs; `Parts.module` hands them out
    Raises
        CannotYet: names the first exercise that is not written, and the ways round it.
    """
    wanted = (*MODULES.values(), *also)
    if folder == MIXED:
        mixture = _passed(wanted)
        _say(*_told(mixture))
        return _parts(folder, _made_importable(mixture.sources))
    problem = first_open(ROOT / folder, [name for name in wanted if name != STORING])
    if problem:
        ways = {
            COMMAND: "goes on with the exercises",
            f"{PYTHON} -m {script} --using {MIXED}": "takes what has passed, and the reference for the rest",
            f"{PYTHON} -m {script} --using solutions": "runs the same with the reference alone",
        }
        width = max(map(len, ways))
        lines = "".join(f"\n  {command:<{width}}   {meaning}" for command, meaning in ways.items())
        raise CannotYet(f"your GPT is not complete yet. {problem}{lines}")
    if first_open(ROOT / folder, [STORING]) is None:
        return _parts(folder, folder)
    sources = _sources(ROOT / folder, wanted) | {STORING: _sources(ROOT / "solutions", [STORING])[STORING]}
    _say(f"Until {STORING} is written, the reference keeps what was trained.")
    return _parts(folder, _made_importable(sources))


def _parts(folder: str, package: str) -> Parts:
    modules = {part: importlib.import_module(f"{package}.{name}") for part, name in MODULES.items()}
    return Parts(folder, package, **modules)


def _say(*lines: str) -> None:
    """On stderr, so that a text that is written stays alone; of several processes the first one speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(*lines, sep="\n", file=sys.stderr, flush=True)


def _passed(wanted: Sequence[str]) -> Mixture:
    store = Store(STATE / "progress.sqlite3")
    try:
        return mix(ROOT, ROOT / "exercises", wanted, store.latest_graded())
    finally:
        store.close()


def _told(mixture: Mixture) -> tuple[str, ...]:
    """Whose the parts are, in a line; and a line on those that have changed since they passed."""
    parts = [name for name in mixture.sources if name in PART_NAMES]
    left = len(parts) - len(mixture.own)
    theirs = ", ".join(PART_NAMES[name] for name in mixture.own if name in PART_NAMES)
    if not theirs:
        lines = [f"All {left} parts are the reference's: none of your exercises has passed yet. `{COMMAND}`"]
    else:
        others = "The other part is" if left == 1 else f"The other {left} parts are"
        lines = [f"Yours: {theirs}." + (f" {others} the reference's." if left else "")]
    if mixture.changed:
        changed = " ".join(name[:4] for name in mixture.changed)
        lines.append(
            f"Changed since it passed, so the reference's is taken: {changed}. `{COMMAND} check {changed}`"
        )
    return tuple(lines)


def _made_importable(sources: dict[str, Source]) -> str:
    """A package of these modules; returns its name."""
    from grader.sandbox.loading import importable

    _importable.close()
    _importable.enter_context(importable(MIXED, sources))
    return MIXED


def _sources(folder: Path, names: Sequence[str]) -> dict[str, Source]:
    """The texts of these exercises and of what they import."""
    return {name: source for module in names for name, source in read_submission(folder, module).sources.items()}


def first_open(folder: Path, names: Sequence[str] = tuple(MODULES.values())) -> str | None:
    """What is missing in the first of these exercises, or of what they import, that is not complete; None if
    nothing is.

    The files are read, not run: a function counts as written when it no longer raises NotImplementedError.
    """
    try:
        sources = _sources(folder, names)
        imported = {other for source in sources.values() for other in imported_names(source.text)}
        for name in sorted(sources.keys() | imported):
            if name not in sources:
                return f"{name} is not done: the file is missing."
            reference = ROOT / "solutions" / f"{name}.py"
            solution = reference.read_text(encoding="utf-8") if reference.exists() else ""
            left = unwritten(sources[name].text, solution)
            if left:
                return f"{name} is not done: `{left[0]}` is still to be written."
    except Unreadable as problem:
        return f"{problem.path.stem} is not done. {problem}"
    except SyntaxError as error:
        return f"{name} is not done: it cannot be read ({error})."
    return None
