"""The parts of the GPT, each from an exercise: yours, or the solutions where you ask for them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from grader.course.outline import imported_names, outline
from grader.course.stubs import optional_functions
from grader.learner.submission import Unreadable, read_submission
from grader.text import COMMAND, PYTHON
from scripts.entry import ROOT, CannotYet

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


@dataclass(frozen=True)
class Parts:
    """The modules to build with, and the name of the folder that they come from."""

    folder: str
    text: ModuleType
    bpe_train: ModuleType
    bpe: ModuleType
    data: ModuleType
    gpt: ModuleType
    generate: ModuleType
    optim: ModuleType
    train: ModuleType
    weights: ModuleType

    def module(self, name: str) -> ModuleType:
        """Another exercise of the same folder, one of those that `load_parts` was told of."""
        return importlib.import_module(f"{self.folder}.{name}")

    def command(self, script: str, arguments: str) -> str:
        """What to type to run another script on the same parts."""
        using = "" if self.folder == "exercises" else f" --using {self.folder}"
        return f"{PYTHON} -m {script}{using} {arguments}"


def load_parts(folder: str, script: str, *also: str) -> Parts:
    """Import the parts that a GPT is made of.

    Arguments
        folder  `exercises`, or another folder with the same modules
        script  what stands after `python -m`, to be named where something is missing
        also    further exercises that this script needs; `Parts.module` hands them out
    Raises
        CannotYet: names the first exercise that is not written, and the way round it.
    """
    problem = first_open(ROOT / folder, *also)
    if problem:
        by_solutions = f"{PYTHON} -m {script} --using solutions"
        raise CannotYet(
            f"your GPT is not complete yet. {problem}\n"
            f"  {COMMAND:<{len(by_solutions)}}   goes on with the exercises\n"
            f"  {by_solutions}   runs the same with the reference"
        )
    modules = {part: importlib.import_module(f"{folder}.{name}") for part, name in MODULES.items()}
    return Parts(folder, **modules)


def is_done(folder: str, name: str) -> bool:
    """Whether one exercise, with what it imports, is written in this folder."""
    return first_open(ROOT / folder, name) is None


def first_open(folder: Path, *also: str) -> str | None:
    """What is missing in the first exercise that is not complete, of all those needed; None if nothing is.

    `also` names exercises beyond those that every script needs.

    The files are read, not run: a function counts as written when it no longer raises NotImplementedError.
    """
    try:
        sources = {
            name: source
            for module in (*MODULES.values(), *also)
            for name, source in read_submission(folder, module).sources.items()
        }
        imported = {other for source in sources.values() for other in imported_names(source.text)}
        for name in sorted(sources.keys() | imported):
            if name not in sources:
                return f"{name} is not done: the file is missing."
            optional = optional_functions((ROOT / "solutions" / f"{name}.py").read_text(encoding="utf-8"))
            unwritten = [stub for stub in outline(sources[name].text).stubs() if stub not in optional]
            if unwritten:
                return f"{name} is not done: `{unwritten[0]}` is still to be written."
    except Unreadable as problem:
        return f"{problem.path.stem} is not done. {problem}"
    except (SyntaxError, ValueError) as error:
        return f"{name} is not done: it cannot be read ({error})."
    return None
