"""What the scripts' command lines have in common. Standard library only."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NoReturn, TypeVar

from grader.errors import UsageError
from grader.text import PYTHON

Number = TypeVar("Number", int, float)
FOLDERS = ("exercises", "solutions")


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. `--help` lists what there is.")


def parser(script: str, description: str, usage: str = "[options]") -> Parser:
    """A parser whose result holds only what was given, with the options that every script has."""
    command = f"{PYTHON} -m {script}"
    made = Parser(usage=f"{command} {usage}", description=description, argument_default=argparse.SUPPRESS)
    made.add_argument("--using", choices=FOLDERS, help="whose code: yours, or the reference (exercises)")
    made.add_argument("--device", help="auto, cpu, cuda or mps (auto)")
    return made


def flag(name: str) -> str:
    """`batch_size` is `--batch-size`."""
    return "--" + name.replace("_", "-")


def positive(text: str) -> int:
    """A whole number from 1 on."""
    return _checked(int, text, lambda value: value >= 1, "a whole number from 1 on")


def not_negative(text: str) -> int:
    """A whole number from 0 on."""
    return _checked(int, text, lambda value: value >= 0, "a whole number from 0 on")


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


def _checked(kind: type[Number], text: str, allowed: Callable[[Number], bool], wanted: str) -> Number:
    try:
        value = kind(text)
        if allowed(value):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
