"""A picture of two matrices in lines of text, legible without colour."""

from __future__ import annotations

from grader.judge.picture import NOT_A_NUMBER
from grader.judge.results import Picture

GAP = "    "
# Stands beside, or in place of, a cell that is wrong.
WRONG = "×"
EXPECTED, YOURS = "expected", "yours"


def picture_lines(picture: Picture, width: int) -> tuple[str, ...]:
    """The lines of a picture that fits into this width; nothing where none does.

    A cell is two characters wide, or one where there is no room for that. Where some cells are right, those that
    are wrong are marked on the learner's side.
    """
    drawings = [_numbers(picture)] if picture.are_numbers else [_shades(picture, 2), _shades(picture, 1)]
    fitting = (lines for lines in drawings if max(map(len, lines)) <= width)
    lines = next(fitting, [])
    return (*lines, *(note for note in (_legend(picture), picture.note) if note and lines))


def _shades(picture: Picture, cell_width: int) -> list[str]:
    left = ["".join(cell * cell_width for cell in row) for row in picture.expected]
    right = [
        "".join(_cell(cell, is_wrong, cell_width) for cell, is_wrong in zip(cells, marks, strict=True))
        for cells, marks in zip(picture.actual, _marked(picture), strict=True)
    ]
    at = max(len(EXPECTED), len(left[0]))
    sides = [(EXPECTED, YOURS), *zip(left, right, strict=True)]
    return [f"{ours:<{at}}{GAP}{theirs}" for ours, theirs in sides]


def _marked(picture: Picture) -> tuple[tuple[bool, ...], ...]:
    """Which cells get a mark: none where all are wrong, since that would only hide them, and none that is no number
    where there should be one, since that is seen."""
    everything = all(wrong for row in picture.wrong for wrong in row)
    return tuple(
        tuple(
            wrong and not everything and (cell == expected or cell != NOT_A_NUMBER) for expected, cell, wrong in row
        )
        for row in map(zip, picture.expected, picture.actual, picture.wrong)
    )


def _legend(picture: Picture) -> str:
    return f"{WRONG} wrong" if any(cell for row in _marked(picture) for cell in row) else ""


def _cell(shade: str, is_wrong: bool, width: int) -> str:
    if not is_wrong:
        return shade * width
    return f"{shade}{WRONG}" if width == 2 else WRONG


def _numbers(picture: Picture) -> list[str]:
    """A row of numbers under another, those that are wrong with their mark."""
    (expected,), (actual,), (marks,) = picture.expected, picture.actual, _marked(picture)
    yours = [cell + WRONG * is_wrong for cell, is_wrong in zip(actual, marks, strict=True)]
    columns = [(EXPECTED, YOURS), *zip(expected, yours, strict=True)]
    rows = zip(*([f"{cell:<{max(map(len, column))}}" for cell in column] for column in columns), strict=True)
    return ["  ".join(row).rstrip() for row in rows]
