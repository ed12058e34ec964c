"""The small picture of two matrices, and of two rows of numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.judge.picture import LARGEST, draw
from grader.protocol.values import Array
from grader.report.picture import picture_lines
from grader.sandbox.observe import freeze


def drawn(expected: torch.Tensor, actual: torch.Tensor, width: int = 76) -> list[str]:
    one, other = freeze(expected), freeze(actual)
    assert isinstance(one, Array) and isinstance(other, Array)
    picture = draw(one, other, 1e-5)
    return list(picture_lines(picture, width)) if picture else []


TRIANGLE = torch.triu(torch.ones(5, 5, dtype=torch.bool), diagonal=1)
WITH_DIAGONAL = torch.triu(torch.ones(5, 5, dtype=torch.bool))


def test_a_triangle_is_seen_and_its_wrong_cells_are_marked() -> None:
    assert drawn(TRIANGLE, WITH_DIAGONAL) == [
        "expected      yours",
        "  ████████    █×████████",
        "    ██████      █×██████",
        "      ████        █×████",
        "        ██          █×██",
        "                      █×",
        "× wrong",
    ]


def test_a_narrow_terminal_gets_a_narrower_one() -> None:
    assert drawn(TRIANGLE, WITH_DIAGONAL, 20) == [
        "expected    yours",
        " ████       ×████",
        "  ███        ×███",
        "   ██         ×██",
        "    █          ×█",
        "                ×",
        "× wrong",
    ]
    assert drawn(TRIANGLE, WITH_DIAGONAL, 10) == []


def test_where_all_is_wrong_nothing_is_marked() -> None:
    assert drawn(torch.ones(2, 3), 2 * torch.ones(2, 3)) == [
        "expected    yours",
        "▒▒▒▒▒▒      ██████",
        "▒▒▒▒▒▒      ██████",
    ]


def test_larger_is_darker_and_nan_is_marked() -> None:
    row = [0.1, 0.4, 0.6, 1.0]
    expected = torch.tensor([[0.0, *row], [0.0, *row]])
    actual = expected.clone()
    actual[1, 0] = float("nan")
    assert drawn(expected, actual)[2] == "  ░░▒▒▓▓██    ??░░▒▒▓▓██"


def test_the_first_matrix_that_differs_is_shown() -> None:
    expected = torch.zeros(2, 3, 2, 2)
    actual = expected.clone()
    actual[1, 0, 1, 1] = 1.0
    assert [row[12:] for row in drawn(expected, actual)[1:3]] == ["    ", "  █×"]


def test_a_single_row_is_a_line_of_numbers() -> None:
    expected = torch.tensor([1.0, 2.5, 0.333333333, -4.0])
    actual = expected.clone()
    actual[2] = 0.25
    lines = [
        "expected  1.0  2.5  0.3333  -4.0",
        "yours     1.0  2.5  0.25×   -4.0",
        "× wrong",
    ]
    assert [line.replace(".0", "") for line in lines] == drawn(expected, actual)
    assert drawn(expected[None], actual[None]) == drawn(expected, actual)
    assert drawn(expected, actual, 20) == []


def test_numbers_are_shown_as_they_are() -> None:
    assert drawn(torch.tensor([1, 2**60]), torch.tensor([1, 2**60 + 1]))[1] == "yours     1  1152921504606846977×"
    assert drawn(torch.tensor([True, False]), torch.tensor([False, False]))[1] == "yours     False×  False"


def test_what_is_large_is_cropped_around_the_first_wrong_cell() -> None:
    expected = torch.zeros(40, 30)
    actual = expected.clone()
    actual[20, 29] = 1.0
    lines = drawn(expected, actual)
    assert lines[-1] == "rows 17 to 28 of 40, columns 18 to 29 of 30, counted from 0"
    assert len(lines) == 1 + LARGEST + 2
    assert lines[4].endswith("█×") and not any("█" in line for line in (*lines[1:4], *lines[5:]))
    numbers = drawn(torch.zeros(50), torch.cat([torch.zeros(49), torch.ones(1)]))
    assert numbers == [
        "expected  0  0  0  0  0  0",
        "yours     0  0  0  0  0  1×",
        "× wrong",
        "places 44 to 49 of 50, counted from 0",
    ]


@pytest.mark.parametrize(
    "expected, actual",
    [
        (torch.zeros(1), torch.ones(1)),
        (torch.zeros(()), torch.ones(())),
        (torch.zeros(3, 1), torch.ones(3, 1)),
        (torch.zeros(2, 3), torch.ones(3, 2)),
        (torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.float64)),
        (torch.zeros(2, 2), torch.zeros(2, 2)),
    ],
)
def test_what_is_no_matrix_and_no_row_has_no_picture(expected: torch.Tensor, actual: torch.Tensor) -> None:
    assert drawn(expected, actual) == []


@given(st.integers(1, 40), st.integers(2, 40), st.integers(0, 2**31), st.integers(20, 80))
def test_the_first_wrong_cell_is_always_among_what_is_shown(rows: int, columns: int, seed: int, width: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    expected = torch.rand(rows, columns, generator=chance)
    actual = expected + (torch.rand(rows, columns, generator=chance) < 0.05)
    one, other = freeze(expected), freeze(actual)
    assert isinstance(one, Array) and isinstance(other, Array)
    picture = draw(one, other, 1e-5)
    assert (picture is None) is bool((expected == actual).all())
    if picture:
        assert any(cell for row in picture.wrong for cell in row)
        assert len(picture.wrong) <= LARGEST and len(picture.wrong[0]) <= LARGEST
        assert all(len(line) <= max(width, 60) for line in picture_lines(picture, width))
