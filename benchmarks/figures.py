"""A figure beside what is wanted of it, as a line of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`value` is in seconds; `most` is what is wanted at most, or None where nothing is."""

    what: str
    value: float
    most: float | None = None

    def as_line(self) -> str:
        if self.most is None:
            return f"| {self.what} | {self.value:.2f} s | | |"
        answer = "yes" if self.value <= self.most else "no"
        return f"| {self.what} | {self.value:.2f} s | {self.most:.2f} s | {answer} |"


def print_table(title: str, figures: Iterable[Figure]) -> None:
    """Each line as soon as it is there: some take minutes."""
    print(f"\n{title}\n\n| what | is | at most | met |\n|---|---|---|---|", flush=True)
    for figure in figures:
        print(figure.as_line(), flush=True)
