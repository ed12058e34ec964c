"""The notebooks with three exercises done. A file of its own, so that another worker can take it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.conftest import solve
from tests.scripts.notebooks import NOTEBOOKS, execute, pictures, read

DONE = ("ex01_text", "ex03_bpe", "ex06_attention")


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_with_three_exercises_done(name: str, copy: Path) -> None:
    for exercise in DONE:
        solve(copy, exercise)
    notebook = read(copy / "notebooks" / name)
    execute(notebook, copy / "notebooks")
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "Yours: text cleaning, tokenizer, attention. The other 19 parts are the reference's." in said
    assert pictures(notebook) >= 3
