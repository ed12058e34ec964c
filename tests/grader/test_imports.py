"""Which part of the grader may import which: the story in CONTRIBUTING, kept true."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mini import ROOT

GRADER = ROOT / "grader"
# What each folder may import of the rest. The modules beside them, `errors` and `text`, import nothing.
ALLOWED = {
    "protocol": set(),
    "sandbox": {"protocol"},
    "supervisor": {"protocol", "errors"},
    "course": {"protocol", "errors", "text"},
    "learner": {"course", "protocol", "judge", "errors", "text"},
    "judge": {"course", "protocol", "text"},
    "report": {"course", "judge", "protocol", "text"},
    "grading": {"course", "learner", "supervisor", "judge", "protocol", "errors", "text"},
}


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ([f"grader.{a.name}" for a in node.names] if node.module == "grader" else [node.module])


def parts(folder: str) -> set[str]:
    """The parts of the grader that a folder imports, itself left out."""
    names = [name for path in (GRADER / folder).rglob("*.py") for name in imported(path)]
    return {name.split(".")[1] for name in names if name.startswith("grader.")} - {folder}


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    assert parts(folder) <= ALLOWED[folder]


def test_only_the_command_line_imports_the_commands() -> None:
    importers = {path for path in GRADER.rglob("*.py") if "grader.commands" in " ".join(imported(path))}
    assert {path.relative_to(GRADER).parts[0] for path in importers} <= {"cli.py", "commands"}


def test_what_both_processes_share_needs_the_standard_library_alone() -> None:
    names = [name for path in (GRADER / "protocol").rglob("*.py") for name in imported(path)]
    assert {name.split(".")[0] for name in names} - {"grader"} <= sys.stdlib_module_names
