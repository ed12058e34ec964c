"""The notebooks, executed from the first cell to the last: on the reference, and with three exercises done."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from scripts.entry import ROOT
from tests.scripts.conftest import solve

NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
WHOSE = 'Course("mixed")'
DONE = ("ex01_text", "ex03_bpe", "ex06_attention")


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()


def pictures(notebook: nbformat.NotebookNode) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return sum("image/png" in output.get("data", {}) for output in outputs)


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
