"""A file that hides a module which is needed is named in one line, before it does harm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader import shadows
from tests.mini import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("grader", "scripts", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def start(module: str, folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-m", module, "no-such-command"],
        cwd=folder,
        env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "module, name",
    [
        ("grader", "random.py"),
        ("grader", "token.py"),
        ("grader", "copy/__init__.py"),
        ("grader", "__future__.py"),
        ("grader", "argparse.pyc"),
        ("grader", "torch.py"),
        ("grader", "torch/__init__.py"),
        ("grader", "typer.py"),
        ("scripts.train", "typing.py"),
        ("scripts.generate", "click.py"),
        ("grader.sandbox.zygote", "json.py"),
        ("grader.sandbox.spare", "signal.py"),
    ],
)
def test_a_file_that_hides_a_module_is_named_in_one_line(clone: Path, module: str, name: str) -> None:
    place = clone / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("")
    done = start(module, clone)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert str(clone / name.removesuffix("/__init__.py")) + " hides" in line
    assert "Rename it" in line
    assert done.stdout == ""


def test_all_of_them_are_named_at_once(clone: Path) -> None:
    for name in ("random.py", "copy.py"):
        (clone / name).touch()
    (line,) = start("grader", clone).stderr.splitlines()
    assert "copy.py" in line and "random.py" in line and "Rename them" in line


def test_one_in_the_folder_where_one_stands_is_named_too(
    clone: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "random.py").touch()
    done = start("grader", elsewhere, PYTHONPATH=str(clone))
    assert str(elsewhere / "random.py") in done.stderr
    assert len(done.stderr.splitlines()) == 1
    # Where Python does not look there, it is in nobody's way.
    assert "No such command" in start("grader", elsewhere, "-P", PYTHONPATH=str(clone)).stderr


def test_what_hides_nothing_is_left_alone(clone: Path) -> None:
    (clone / "random").mkdir()  # no package
    for name in ("my_notes.py", "random.txt", "grader.py", "sys.py", "os.py", "random_walk.py"):
        (clone / name).touch()
    assert "No such command" in start("grader", clone).stderr


def test_torch_is_missed_before_it_is_installed(tmp_path: Path) -> None:
    for name in ("torch.py", "numpy.py"):
        (tmp_path / name).touch()
    assert shadows.hiding(str(tmp_path), [str(tmp_path)]) == [str(tmp_path / "torch.py")]


def test_a_package_that_brought_its_own_tests_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    assert shadows.hiding(shadows.ROOT, [shadows.ROOT, str(tmp_path)]) == []


def test_every_module_at_the_top_of_the_repository_is_known() -> None:
    there = {shadows.module_name(str(ROOT), entry.name) for entry in ROOT.iterdir()} - {""}
    assert there == shadows.OURS
