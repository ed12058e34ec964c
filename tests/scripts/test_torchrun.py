"""`scripts.train` in two processes, and in bfloat16."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts import entry
from scripts.parts import Parts
from scripts.training.networks import load_network
from scripts.training.runs import Run

from .conftest import SMALL, Script

ON_SOLUTIONS = ("--using", "solutions")


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "scripts.train"]
    environment = {**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *ON_SOLUTIONS, *map(str, arguments)],
        cwd=entry.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="torch has no gloo that torchrun could start here")
def test_two_processes_learn_what_one_does(script: Script, parts: Parts, text_file: Path, tmp_path: Path) -> None:
    how = (*SMALL, "--text", text_file, "--dropout", 0, "--accumulate", 2, "--steps", 12, "--eval-every", 4)
    one, two = tmp_path / "one", tmp_path / "two"
    assert script("train", *ON_SOLUTIONS, *how, "--out", one).code == 0
    ended = torchrun(*how, "--out", two)
    assert ended.returncode == 0, ended.stderr
    assert "in 2 processes" in ended.stdout
    assert len(re.findall(r"^ +\d+ +4 ", ended.stdout, re.MULTILINE)) == 1  # one of them speaks
    curves = [json.loads((run / "history.json").read_text(encoding="utf-8"))["evaluations"] for run in (one, two)]
    assert [point["step"] for point in curves[0]] == [4, 8, 12]
    for mine, theirs in zip(*curves, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)
    models = [load_network(parts, Run(run), Run(run).settings()) for run in (one, two)]
    for mine, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="torch has no gloo that torchrun could start here")
def test_processes_that_cannot_share_a_batch_say_so_once(tmp_path: Path) -> None:
    ended = torchrun(*SMALL, "--batch-size", 7, "--out", tmp_path / "run")
    said = [line for line in ended.stderr.splitlines() if line.startswith("scripts.train:")]
    assert len(said) == 1 and "2 processes cannot share a batch of 7" in said[0]
    assert not (tmp_path / "run").exists()


def test_bfloat16_learns_about_the_same(script: Script, text_file: Path, tmp_path: Path) -> None:
    how = (*SMALL, "--text", text_file, "--dropout", 0, "--steps", 12, "--eval-every", 12)
    losses = []
    for dtype in ("float32", "bfloat16"):
        run = tmp_path / dtype
        ended = script("train", *ON_SOLUTIONS, *how, "--dtype", dtype, "--out", run)
        assert ended.code == 0, ended.err
        assert f"in {dtype}" in ended.out
        history = json.loads((run / "history.json").read_text(encoding="utf-8"))
        losses.append(history["evaluations"][-1]["train_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)
    assert losses[0] != losses[1]


def test_what_a_token_costs_is_told(script: Script, text_file: Path, tmp_path: Path) -> None:
    how = (*SMALL, "--text", text_file, "--steps", 6, "--eval-every", 3)
    ended = script("train", *ON_SOLUTIONS, *how, "--out", tmp_path / "run")
    said = " ".join(ended.out.split())
    found = re.search(r"([\d.]+) million operations a token, ([\d,]+) tokens a second: (\d+)% of", said)
    assert found, ended.out
    # 1 layer, width 32, context 16: 12·32² + 13·32 in the block, 2·32 in the last norm, 32 for each of 357 tokens
    numbers = 12 * 32**2 + 10 * 32 + 2 * 32 + 32 * 357
    assert float(found[1]) == pytest.approx((6 * numbers + 12 * 32 * 16) / 1e6, abs=0.06)
    assert int(found[2].replace(",", "")) > 0
