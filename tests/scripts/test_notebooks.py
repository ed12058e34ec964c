"""The notebooks, executed on the reference from the first cell to the last, and what they have to keep to."""

from __future__ import annotations

import nbformat
import pytest

from scripts.entry import ROOT
from tests.scripts.notebooks import NOTEBOOKS, execute, pictures, read

WHOSE = 'Course("mixed")'


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_outputs(name: str) -> None:
    notebook = read(ROOT / "notebooks" / name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert sum(WHOSE in cell.source for cell in code) == 1
    assert notebook.cells[0].cell_type == notebook.cells[-1].cell_type == "markdown"
    assert notebook.cells[-1].source.startswith("## To try")


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_on_the_reference(name: str) -> None:
    notebook = read(ROOT / "notebooks" / name)
    for cell in notebook.cells:
        cell.source = cell.source.replace(WHOSE, 'Course("solutions")')
    execute(notebook, ROOT / "notebooks")
    assert pictures(notebook) >= 3
