"""What the scripts' command lines have in common. Standard library only."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, TypeVar

from grader.errors import UsageError
from grader.text import PYTHON

Number = TypeVar("Number", int, float)
MIXED = "mixed"
FOLDERS = ("exercises", MIXED, "solutions")
# What may be said beside --resume.
ALWAYS_ALLOWED = {"using", "device", "resume", "epochs"}
RESUME = (
    "go on with a run that was stopped; it keeps its settings, but for --epochs, which may be more than it had: the"
    " learning rate then follows the plan for that many, from here on"
)
# More than any of these numbers can be, and less than what torch takes for a size.
LARGEST = 2**31 - 1
# What a fine-tuning does where nothing else is asked for.
FINETUNING: dict[str, Any] = {
    "data": None,
    "encoding": "utf-8",
    "base": None,
    "epochs": 6,
    "batch_size": 4,
    "accumulate": 1,
    "lr": 1e-3,
    "warmup": 5,
    "weight_decay": 0.1,
    "max_norm": 1.0,
    "eval_every": None,
    "seed": 123,
    "threads": 1,
    "out": None,
    "resume": None,
    "using": "exercises",
    "device": "auto",
}


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        refuse(message)


def parser(script: str, description: str, usage: str = "[options]") -> Parser:
    """A parser whose result holds only what was given, with the options that every script has."""
    command = f"{PYTHON} -m {script}"
    made = Parser(usage=f"{command} {usage}", description=description, argument_default=argparse.SUPPRESS)
    whose = "whose code: yours, the reference's, or mixed: yours where it has passed (exercises)"
    made.add_argument("--using", choices=FOLDERS, help=whose)
    made.add_argument("--device", help="auto, cpu, cuda or mps (auto)")
    return made


def refuse(problem: str) -> NoReturn:
    """Raise the `UsageError` for options that do not go together."""
    raise UsageError(f"{problem}. `--help` lists what there is.")


def flag(name: str) -> str:
    """`batch_size` is `--batch-size`."""
    return "--" + name.replace("_", "-")


def positive(text: str) -> int:
    """A whole number from 1 on."""
    return _checked(int, text, lambda value: 1 <= value <= LARGEST, f"a whole number from 1 on, up to {LARGEST}")


def not_negative(text: str) -> int:
    """A whole number from 0 on."""
    return _checked(int, text, lambda value: 0 <= value <= LARGEST, f"a whole number from 0 on, up to {LARGEST}")


def random_seed(text: str) -> int:
    """A seed that torch takes."""
    return _checked(int, text, lambda value: 0 <= value < 2**64, "a whole number from 0 on, of 64 bits at most")


def above_zero(text: str) -> float:
    """A number above 0."""
    return _checked(float, text, lambda value: 0 < value < math.inf, "a number above 0")


def not_negative_number(text: str) -> float:
    """A number from 0 on."""
    return _checked(float, text, lambda value: 0 <= value < math.inf, "a number from 0 on")


def fraction(text: str) -> float:
    """A number from 0 on, below 1."""
    return _checked(float, text, lambda value: 0 <= value < 1, "a number from 0 on and below 1")


def share(text: str) -> float:
    """A number above 0, at most 1."""
    return _checked(float, text, lambda value: 0 < value <= 1, "a number above 0 and at most 1")


def add_finetuning(made: argparse.ArgumentParser, defaults: Mapping[str, Any]) -> None:
    """What every fine-tuning takes beside what is its own."""
    loop = made.add_argument_group("the training")
    for name, kind, meaning in (
        ("epochs", positive, "how often it goes through the examples"),
        ("batch_size", positive, "examples in a batch"),
        ("accumulate", positive, "batches to an update"),
        ("lr", above_zero, "the largest learning rate; it falls to a tenth of it"),
        ("warmup", not_negative, "updates until it is reached"),
        ("weight_decay", not_negative_number, "of the matrices"),
        ("max_norm", above_zero, "where gradients are clipped"),
        ("seed", not_negative, "of everything that is drawn"),
        ("threads", positive, "with more, large models are quicker and no two runs equal to the bit"),
    ):
        loop.add_argument(flag(name), type=kind, metavar="N", help=f"{meaning} ({defaults[name]})")
    loop.add_argument("--eval-every", type=positive, metavar="STEPS", help="evaluate so often (an epoch)")
    runs = made.add_argument_group("the run")
    what = "a run to begin from, its best.pt, or a GPT-2 folder (a small GPT, trained first)"
    add_run(runs, what)


def add_run(made: argparse._ArgumentGroup, beginning: str) -> None:
    """What a training begins from, where it goes, and how it goes on. `beginning` is the help for the first."""
    made.add_argument("--from", dest="base", metavar="RUN|FOLDER", help=beginning)
    made.add_argument("--out", metavar="FOLDER", help="where to put it (a new folder in runs/)")
    made.add_argument("--resume", metavar="RUN", help=RESUME)


def add_sampling(made: argparse.ArgumentParser, defaults: Mapping[str, Any]) -> None:
    """How a text begins and how it goes on."""
    made.add_argument("--prompt", help=f"how the text begins ({defaults['prompt']})")
    made.add_argument("--new-tokens", type=positive, help=f"how many tokens at most ({defaults['new_tokens']})")
    what = f"0: the likeliest token; above 1: wild ({defaults['temperature']:g})"
    made.add_argument("--temperature", type=not_negative_number, help=what)
    made.add_argument("--top-k", type=positive, help="choose among the k likeliest tokens (all)")
    made.add_argument("--top-p", type=share, help="choose among those that make up this share (all)")
    made.add_argument("--seed", type=random_seed, help="draw the same again (drawn anew, and shown)")
    add_threads(made)


def add_threads(made: argparse.ArgumentParser) -> None:
    """With how many threads a script computes that does not train."""
    what = "with so many threads; on a busy machine, one is the quickest (1)"
    made.add_argument("--threads", type=positive, metavar="N", help=what)


def refuse_beside_resume(given: Collection[str]) -> None:
    """A resumed run keeps its settings. Raises `UsageError` for an option that would change them."""
    changed = sorted(set(given) - ALWAYS_ALLOWED)
    if "resume" in given and changed:
        option = "--from" if changed[0] == "base" else flag(changed[0])
        raise UsageError(f"A resumed run keeps its settings: leave {option} out.")


def _checked(kind: type[Number], text: str, allowed: Callable[[Number], bool], wanted: str) -> Number:
    try:
        value = kind(text)
        if allowed(value):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
