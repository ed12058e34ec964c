"""`--using mixed`: what has passed is the learner's, the rest the reference's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.judge.results import Status
from scripts.entry import ROOT
from tests.scripts.conftest import SMALL, solve

pytestmark = pytest.mark.slow
QUICK = (*SMALL, "--merges", "0", "--steps", "1", "--sample-tokens", "5", "--eval-batches", "1", "--out", "run")


def run(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def run_grader(folder: Path) -> str:
    """What `check ex06` says, on one line."""
    return " ".join(run(folder, "grader", "check", "ex06").stdout.split())


def test_what_has_passed_is_yours_and_the_rest_the_references(copy: Path) -> None:
    solve(copy, "ex00_tensors")
    bpe = solve(copy, "ex03_bpe")
    solve(copy, "ex06_attention", Status.WRONG)
    done = run(copy, "scripts.train", "--using", "mixed", *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "Yours: cross-entropy, tokenizer. The other 13 parts are the reference's.\n"
    assert "Training your GPT on story" in done.stdout
    assert "scripts.generate --using mixed --checkpoint run" in done.stdout
    bpe.write_text(bpe.read_text(encoding="utf-8").replace("def decode(", "def decoded("), encoding="utf-8")
    written = run(
        copy, "scripts.generate", "--using", "mixed", "--checkpoint", "run", "--new-tokens", "3", "--seed", "1"
    )
    assert written.returncode == 0, written.stderr
    assert "Yours: cross-entropy. The other 14 parts" in written.stderr
    assert (
        "Changed since it passed, so the reference's is taken: ex03. `python3 -m grader check ex03`"
        in written.stderr
    )


def test_a_learners_part_is_really_used_and_named_where_it_fails(copy: Path) -> None:
    broken = "raise OSError(5)\n\n\ndef evaluate_model"
    solve(copy, "ex11_loss", old="def evaluate_model", new=broken)
    done = run(copy, "scripts.train", "--using", "mixed", *QUICK)
    assert done.returncode == 1
    assert "OSError" in done.stderr and "exercises/ex11_loss.py:" in done.stderr


def test_nothing_passed_is_said_and_trains_all_the_same(copy: Path) -> None:
    done = run(copy, "scripts.train", "--using", "mixed", *QUICK)
    assert done.returncode == 0
    assert done.stderr.startswith("All 15 parts are the reference's: none of your exercises has passed yet.")


def test_a_modules_of_the_learners_own_comes_along(copy: Path) -> None:
    (copy / "exercises" / "helpers.py").write_text("from math import exp\n", encoding="utf-8")
    solve(copy, "ex11_loss", old="import math\n", new="from . import helpers\nimport math\n")
    done = run(copy, "scripts.train", "--using", "mixed", *QUICK)
    assert (done.returncode, done.stderr) == (0, "Yours: loss. The other 14 parts are the reference's.\n")


def test_no_script_waits_for_ex14(copy: Path) -> None:
    for path in sorted((copy / "solutions").glob("ex*.py")):
        if path.stem < "ex14":
            shutil.copy(path, copy / "exercises")
    done = run(copy, "scripts.train", *QUICK)
    assert (done.returncode, done.stderr) == (
        0,
        "Until ex14_weights is written, the reference keeps what was trained.\n",
    )
    assert "Training the GPT of exercises/" in done.stdout and (copy / "run" / "checkpoint.pt").exists()
    written = run(copy, "scripts.generate", "--checkpoint", "run", "--new-tokens", "3")
    assert written.returncode == 0, written.stderr


def test_the_grader_lets_your_gpt_write_once_a_part_has_passed(copy: Path) -> None:
    for folder in ("scenes", "tests", "tutor"):
        shutil.copytree(
            ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "faults", "peers")
        )
    assert run(copy, "scripts.train", "--using", "mixed", *QUICK[:-2]).returncode == 0
    shutil.copy(copy / "solutions" / "ex06_attention.py", copy / "exercises")
    said = run_grader(copy)
    assert "Your GPT, with your attention in it, now writes: Ruth looked at" in said
    assert "now writes" not in run_grader(copy)
