"""The first start on a bare machine, as far as it can be tried without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from grader import bootstrap, install
from tests.mini import ROOT


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with nothing installed."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("grader", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def start(python: Path, clone: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    unwanted = (bootstrap.NO_BOOTSTRAP, "PYTHONPATH", "PYTHONHOME")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted and "PIP" not in name}
    return subprocess.run(
        [str(python), "-m", *(command or ("grader",))],
        cwd=clone,
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_without_a_network_it_says_so_and_leaves_nothing(bare: Path, clone: Path) -> None:
    before = sorted(clone.iterdir())
    done = start(bare, clone, PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1")
    assert done.returncode == 3
    assert "Check the network" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(clone.iterdir()) == before


def test_what_an_earlier_start_left_half_made_is_removed(bare: Path, clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / install.UNFINISHED.name).touch()
    (clone / ".venv" / "half").touch()
    done = start(bare, clone, PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1")
    assert done.returncode == 3
    assert not (clone / ".venv").exists()
    assert "An earlier start did not finish" in done.stderr


def test_a_wish_that_is_not_understood_is_one_line(bare: Path, clone: Path) -> None:
    done = start(bare, clone, GPT_KATA_TORCH="gpu")
    assert done.returncode == 3
    assert done.stderr == "grader: GPT_KATA_TORCH is 'gpu'. It may be `cpu` or `default`, or not be set.\n"
    assert not (clone / ".venv").exists()


def test_it_can_be_turned_off(bare: Path, clone: Path) -> None:
    done = start(bare, clone, GPT_KATA_NO_BOOTSTRAP="1")
    assert done.returncode == 3
    assert "typer" in done.stderr
    assert "GPT_KATA_NO_BOOTSTRAP" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (clone / ".venv").exists()


def test_the_self_test_installs_its_runner_alone(bare: Path, clone: Path) -> None:
    done = start(bare, clone, "grader", "selftest", GPT_KATA_NO_BOOTSTRAP="1")
    assert done.returncode == 3
    assert "Not installed here: tox, typer." in done.stderr


def test_with_everything_present_nothing_happens(clone: Path) -> None:
    assert install.missing(None) == []
    done = start(Path(sys.executable), clone)
    assert "There is no folder" in done.stderr  # it went on to the command; this clone holds no exercises
    assert not (clone / ".venv").exists()


def test_a_finished_installation_is_trusted_until_what_is_wanted_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("one")
    (tmp_path / "constraints.txt").write_text("two")
    (tmp_path / "python").write_text("")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "INSTALLED", tmp_path / "installed")
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / "python")
    assert not bootstrap.is_installed()
    (tmp_path / "installed").write_bytes(bootstrap.wanted())
    assert bootstrap.is_installed()
    (tmp_path / "constraints.txt").write_text("three")
    assert not bootstrap.is_installed()
    (tmp_path / "constraints.txt").write_text("two")
    (tmp_path / "python").unlink()
    assert not bootstrap.is_installed()


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for the interpreter")
@pytest.mark.parametrize("command", [("grader", "list"), ("scripts.train", "--epochs", "3"), ("scripts.generate",)])
def test_the_same_command_goes_on_in_what_was_installed(bare: Path, clone: Path, command: tuple[str, ...]) -> None:
    installed = clone / ".venv" / "bin" / "python"
    installed.parent.mkdir(parents=True)
    installed.write_text('#!/bin/sh\necho "$@"\n')
    installed.chmod(0o755)
    wanted = b"".join((clone / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    (clone / ".venv" / bootstrap.INSTALLED.name).write_bytes(wanted)
    assert start(bare, clone, *command).stdout == " ".join(("-m", *command)) + "\n"


@pytest.mark.parametrize(
    "requirement, name", [("torch>=2.9", "torch"), ("a-b_c.d[x]~=1", "a-b_c.d"), ("rich", "rich"), ("x ; y", "x")]
)
def test_a_requirement_has_a_name(requirement: str, name: str) -> None:
    assert install.requirement_name(requirement) == name
