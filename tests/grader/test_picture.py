"""The small picture of two matrices."""

from __future__ import annotations

import torch

from grader.judge.picture import draw
from grader.protocol.values import Array
from grader.sandbox.observe import freeze


def drawn(expected: torch.Tensor, actual: torch.Tensor) -> list[str]:
    one, other = freeze(expected), freeze(actual)
    assert isinstance(one, Array) and isinstance(other, Array)
    return list(draw(one, other, 1e-5))


def test_a_triangle_is_seen() -> None:
    expected = torch.triu(torch.ones(5, 5, dtype=torch.bool), diagonal=1)
    actual = torch.triu(torch.ones(5, 5, dtype=torch.bool))
    assert drawn(expected, actual) == [
        "expected      yours",
        "  ████████    ██████████",
        "    ██████      ████████",
        "      ████        ██████",
        "        ██          ████",
        "                      ██",
    ]


def test_larger_is_darker_and_nan_is_marked() -> None:
    expected = torch.tensor([[0.0, 0.1, 0.4, -0.6, 1.0]])
    actual = torch.tensor([[float("nan"), 0.1, 0.4, 0.6, 1.0]])
    assert drawn(expected, actual)[1] == "  ░░▒▒▓▓██    ??░░▒▒▓▓██"


def test_the_first_matrix_that_differs_is_shown() -> None:
    expected = torch.zeros(2, 3, 2, 2)
    actual = expected.clone()
    actual[1, 0, 1, 1] = 1.0
    assert [row[12:] for row in drawn(expected, actual)[1:]] == ["    ", "  ██"]


def test_what_is_no_small_matrix_has_no_picture() -> None:
    assert drawn(torch.zeros(3), torch.ones(3)) == []
    assert drawn(torch.zeros(2, 3), torch.ones(3, 2)) == []
    assert drawn(torch.zeros(40, 2), torch.ones(40, 2)) == []
    assert drawn(torch.zeros(2, 2), torch.zeros(2, 2)) == []
