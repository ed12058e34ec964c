"""Completion, by the shells themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from grader.commands.completion import Shell
from tests.mini import ROOT


def script(shell: Shell) -> str:
    command = [sys.executable, "-m", "grader", "completion", shell]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def by_bash(line: str) -> list[str]:
    words = line.split(" ")
    asked = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _grader; echo ${{COMPREPLY[@]}}"
    return answered("bash", script(Shell.bash) + asked)


def by_fish(line: str) -> list[str]:
    return [word.partition("\t")[0] for word in answered("fish", script(Shell.fish) + f'complete -C "{line}"')]


def answered(shell: str, text: str) -> list[str]:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return subprocess.run([found, "-c", text], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("complete", [by_bash, by_fish])
@pytest.mark.parametrize(
    "line, words",
    [
        ("grader wa", ["watch"]),
        ("grader check ex06", ["ex06_attention"]),
        ("grader hint ex06 ex1", [f"ex1{number}" for number in range(10)]),
        ("grader watch --pl", ["--plain"]),
    ],
)
def test_what_is_offered(complete: Callable[[str], list[str]], line: str, words: list[str]) -> None:
    offered = complete(line)
    assert [word[: len(most)] for word, most in zip(offered, words, strict=True)] == words


def test_zsh_can_read_its_script() -> None:
    answered("zsh", script(Shell.zsh))
