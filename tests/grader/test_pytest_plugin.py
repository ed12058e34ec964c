"""The probes under plain pytest say what `check` says, in the same words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.course.catalogue import choose
from grader.course.variants import variant_sources

Command = Callable[..., subprocess.CompletedProcess[str]]


def by_pytest(checkout: Path, exercise: str, folder: str) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            f"tests/test_{exercise}.py",
            "--subject",
            folder,
            "-q",
            "-p",
            "no:cacheprovider",
        ],
        cwd=checkout,
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exercise", "name"),
    [
        ("ex01_text", "id-to-token"),  # raises; one check alone would leave it open
        ("ex06_attention", "mask-not-cut-to-the-tokens"),  # raises
        ("ex06_attention", "unscaled-scores"),
    ],
)
def test_a_known_mistake_gets_the_words_of_check(
    command: Command, checkout: Path, exercise: str, name: str
) -> None:
    (chosen,) = choose(checkout, [exercise])
    mistake = next(mistake for mistake in chosen.mistakes if mistake.name == name)
    folder = Path(shutil.copytree(checkout / "solutions", checkout / "mistaken"))
    try:
        (folder / chosen.file_name).write_text(variant_sources(chosen, mistake)[chosen.id].text, encoding="utf-8")
        report = json.loads(
            command("check", exercise, "--on", str(folder), "--format", "json", "--seed", "17").stdout
        )
        said = by_pytest(checkout, exercise, folder.name)
    finally:
        shutil.rmtree(folder)
    checks = report["exercises"][0]["checks"]
    passed = [check for check in checks if check["status"] == "passed"]
    # What only builds on it waits, in `check`; pytest runs it once, and says of it what it says of the mistake.
    wrong = [check for check in checks if check["status"] not in ("passed", "blocked")]
    assert wrong and all(check["mistakes"] == [name] for check in wrong)
    for check in wrong:
        assert f"{check['status']}: {check['message']}" in said
    assert f"{len(checks) - len(passed)} failed, {len(passed)} passed" in said


def test_what_is_not_begun_is_skipped(checkout: Path) -> None:
    said = by_pytest(checkout, "ex06_attention", "exercises")
    (chosen,) = choose(checkout, ["ex06_attention"])
    assert f"{len(chosen.checks)} skipped" in said


def test_an_error_that_nobody_knows_stays_an_error(checkout: Path) -> None:
    folder = Path(shutil.copytree(checkout / "solutions", checkout / "broken"))
    try:
        path = folder / "ex06_attention.py"
        path.write_text(path.read_text(encoding="utf-8").replace("diagonal=1)", "diagonal=1)[0, 0, 0]"), "utf-8")
        said = by_pytest(checkout, "ex06_attention", folder.name)
    finally:
        shutil.rmtree(folder)
    assert "IndexError" in said and "ex06_attention.py:" in said
