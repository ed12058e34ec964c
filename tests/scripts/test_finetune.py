"""`scripts.finetune_classifier` and `scripts.finetune_instructions`: what they show, leave behind, and refuse."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from grader.report.console import Page
from scripts import entry
from scripts.inputs.corpora import Corpus
from scripts.inputs.instructions import INSTRUCTIONS, PREFERENCES, read_instructions, read_preferences
from scripts.inputs.messages import LABELS, MESSAGES, read_messages
from scripts.parts import Parts
from scripts.training import base as base_module
from scripts.training.base import load_base
from scripts.training.finetuning import end_id
from scripts.training.networks import load_network
from scripts.training.runs import Run

from .conftest import Script, pretrained
from .test_load_gpt2 import save_gpt2, write_vocabulary

ON_SOLUTIONS = ("--using", "solutions")
KINDS = {"full": (), "lora": ("--lora", "--lora-rank", 2), "dpo": ("--dpo",), "dpo-lora": ("--dpo", "--lora")}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A few examples of each kind, so that an epoch takes a moment."""
    folder = tmp_path_factory.mktemp("few")
    messages = [message for message in read_messages(MESSAGES) if len(message[0]) < 90][:60]
    files = {"classify": folder / "messages.csv", "instruct": folder / "i.jsonl", "prefer": folder / "p.jsonl"}
    with files["classify"].open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("label", "text"), *((LABELS[label], text) for text, label in messages)])
    for name, source in (("instruct", INSTRUCTIONS), ("prefer", PREFERENCES)):
        lines = sorted(source.read_text(encoding="utf-8").splitlines(), key=len)[:16]
        files[name].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files


@pytest.fixture(scope="module")
def story_run(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GPT that has read the story five times. Its context is short, so that all goes quicker."""
    return pretrained(parts, tmp_path_factory.mktemp("story"), Corpus(), context_length=96, epochs=5)


def data_of(kind: str, few: dict[str, Path]) -> Path:
    return few["prefer" if kind.startswith("dpo") else "instruct"]


def test_the_data_is_what_it_is_said_to_be() -> None:
    messages = read_messages(MESSAGES)
    texts = [text for text, _ in messages]
    assert len(messages) == len(set(texts)) == 200
    assert sum(label for _, label in messages) < 80
    assert "" in texts and max(map(len, texts)) > 1000
    for sign in ('"', ",", "\n"):
        assert any(sign in text for text in texts)
    instructions = read_instructions(INSTRUCTIONS)
    assert len(instructions) >= 100
    assert abs(2 * sum(not entry["input"] for entry in instructions) - len(instructions)) <= 2
    preferences = read_preferences(PREFERENCES)
    assert len(preferences) == 60
    assert all(entry["chosen"] != entry["rejected"] for entry in preferences)
    for entries in (instructions, preferences):
        asked = [(entry["instruction"], entry["input"]) for entry in entries]
        assert len(set(asked)) == len(asked)


def test_a_classifier_is_trained_and_can_be_asked(
    script: Script, base: Path, few: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    how = ("--from", base, "--data", few["classify"], "--epochs", 2, "--out", run)
    ended = script("finetune_classifier", *ON_SOLUTIONS, *how)
    assert ended.code == 0, ended.err
    assert re.search(r"\d+ ham, \d+ spam", ended.out)
    shares = re.findall(r"(\d+\.\d)% before, (\d+\.\d)% after", ended.out)
    assert len(shares) == 1 and all(0 <= float(share) <= 100 for share in shares[0])
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^ +(\d) +(\d+) +(\d\.\d{3}) +(\d\.\d{3}) +([\d.]+)% +([\d.]+)%$", ended.out, re.MULTILINE)
    assert [int(row[1]) for row in rows] == [point["step"] for point in history["evaluations"]]
    assert [row[2] for row in rows] == [f"{point['train_loss']:.3f}" for point in history["evaluations"]]
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")
    texts = ["Win a free prize now", "See you at nine", "", 'a "quoted\nword', "long " * 500]
    asked = script("classify", *ON_SOLUTIONS, "--checkpoint", run, *texts)
    assert asked.code == 0, asked.err
    verdicts = [re.match(r"(ham |spam) +(\d+)%", line) for line in asked.out.splitlines()]
    assert len(verdicts) == len(texts) and all(found and int(found[2]) >= 50 for found in verdicts)


def test_what_is_asked_is_what_was_trained(
    parts: Parts, script: Script, base: Path, few: dict[str, Path], tmp_path: Path
) -> None:
    """The verdict of `classify` is that of the network in the checkpoint, computed here without any padding."""
    run = Run(tmp_path / "run")
    how = ("--from", base, "--data", few["classify"], "--epochs", 1, "--out", run.folder)
    assert script("finetune_classifier", *ON_SOLUTIONS, *how).code == 0
    settings = run.settings()
    network = load_network(parts, run, settings).eval()
    text = "Please bring bread, and the long rope."
    ids = torch.tensor([run.tokenizer(parts).encode(text)])
    with torch.no_grad():
        shares = torch.softmax(network(ids, torch.tensor([ids.shape[1]]))[0], dim=0)
    label = int(shares.argmax())
    assert settings.finetuning is not None
    said = f"{settings.finetuning.labels[label]:<4} {float(shares[label]):>4.0%}"
    assert script("classify", *ON_SOLUTIONS, "--checkpoint", run.folder, text).out.startswith(said)


@pytest.mark.parametrize("kind", KINDS)
def test_an_assistant_is_trained_and_answers(
    script: Script, base: Path, few: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    run = tmp_path / "run"
    how = ("--from", base, "--data", data_of(kind, few), "--epochs", 2, "--out", run)
    ended = script("finetune_instructions", *ON_SOLUTIONS, *KINDS[kind], *how)
    assert ended.code == 0, ended.err
    trained, total = (
        int(number.replace(",", "")) for number in re.search(r"([\d,]+) of ([\d,]+) parameters", ended.out).groups()
    )
    assert (trained < total / 2) if "lora" in kind else (trained == total)
    assert "before" in ended.out and "after" in ended.out
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")
    asked = ("--checkpoint", run, "--instruction", "Name a colour.", "--new-tokens", 5, "--temperature", 0)
    answer = script("generate", *ON_SOLUTIONS, *asked)
    assert answer.code == 0, answer.err
    assert "### Instruction" not in answer.out


@pytest.mark.parametrize("kind", ["classify", *KINDS])
@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT, as a terminal does on Ctrl-C")
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    script: Script, base: Path, few: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    name = "finetune_classifier" if kind == "classify" else "finetune_instructions"
    data = few["classify"] if kind == "classify" else data_of(kind, few)
    common = [
        *ON_SOLUTIONS,
        *KINDS.get(kind, ()),
        "--from",
        base,
        "--data",
        data,
        "--epochs",
        12,
        "--eval-every",
        3,
    ]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert script(name, *common, "--out", whole).code == 0
    command = [sys.executable, "-u", "-m", f"scripts.{name}", *map(str, common), "--out", str(stopped)]
    environment = {**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1"}
    with subprocess.Popen(
        command, cwd=entry.ROOT, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(r" +\d+ +3 ", line):  # the first evaluation
                process.send_signal(signal.SIGINT)
    assert process.returncode == entry.INTERRUPTED
    before = json.loads((stopped / "history.json").read_text(encoding="utf-8"))
    after = json.loads((whole / "history.json").read_text(encoding="utf-8"))
    assert 0 < before["step"] < after["step"]
    ended = script(name, *ON_SOLUTIONS, "--resume", stopped)
    assert ended.code == 0, ended.err
    assert (stopped / "history.json").read_bytes() == (whole / "history.json").read_bytes()
    one, other = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (whole, stopped))
    assert all(torch.equal(one["model"][key], other["model"][key]) for key in one["model"])
    assert one["extra"]["before"] == other["extra"]["before"]


def test_gpt2_can_be_tuned_too(parts: Parts, script: Script, few: dict[str, Path], tmp_path: Path) -> None:
    folder, run = tmp_path / "gpt2", tmp_path / "run"
    save_gpt2(folder, write_vocabulary(parts, folder), 32, 4, 2, True)
    how = ("--from", folder, "--data", few["classify"], "--epochs", 1, "--out", run)
    ended = script("finetune_classifier", *ON_SOLUTIONS, *how)
    assert ended.code == 0, ended.err
    assert script("classify", *ON_SOLUTIONS, "--checkpoint", run, "hello").code == 0


def test_without_a_base_one_is_trained_once(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"layers": 1, "heads": 2, "emb_dim": 16, "context_length": 32, "merges": 20, "epochs": 1}
    monkeypatch.setattr(base_module, "PRETRAINING", {**base_module.PRETRAINING, **small, "batch_size": 64})
    monkeypatch.setattr(base_module, "RUNS", tmp_path)
    first = load_base(parts, None, Page(), torch.device("cpu"))
    assert "once" in capsys.readouterr().out
    second = load_base(parts, None, Page(), torch.device("cpu"))
    assert capsys.readouterr().out == ""
    assert first.folder == second.folder
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert end_id(second.tokenizer) == len(second.tokenizer.ranks)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("finetune_instructions", ("--lora", "--lora-rank", "0"), "--lora-rank"),
        ("finetune_instructions", ("--lora-rank", "4"), "--lora"),
        ("finetune_instructions", ("--beta", "0.2"), "--dpo"),
        ("finetune_instructions", ("--dpo", "--mask-prompt"), "--mask-prompt"),
        ("finetune_instructions", ("--data", "nowhere.jsonl"), "nowhere.jsonl"),
        ("finetune_instructions", ("--resume", "no-such-run"), "no-such-run"),
        ("finetune_classifier", ("--data", "nowhere.csv"), "nowhere.csv"),
        ("finetune_classifier", ("--from", "no-such-run"), "no-such-run"),
        ("finetune_classifier", ("--epochs", "0"), "--epochs"),
        ("finetune_classifier", ("--resume", "x", "--from", "y"), "--from"),
        ("finetune_classifier", ("--encoding", "klingon"), "klingon"),
    ],
)
def test_wrong_input_gets_a_line_and_exit_code_2(
    script: Script, tmp_path: Path, name: str, arguments: tuple[str, ...], said: str
) -> None:
    ended = script(
        name, *ON_SOLUTIONS, *arguments, *(() if "--resume" in arguments else ("--out", tmp_path / "run"))
    )
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert said in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("classify", "kind,words\nham,hello\n", "line 1: there is no column 'label'"),
        ("classify", "label,text\negg,hello\n", "line 2: the label is 'egg'"),
        ("instruct", '{"instruction": "Say it.", "outp', "line 1: the JSON breaks off"),
        ("instruct", '{"instruction": "Say it.", "output": "It."}\n', "too few"),
        ("prefer", '{"instruction": "Say it.", "chosen": "It."}\n', "'rejected' is missing"),
    ],
)
def test_a_broken_file_is_named_and_nothing_is_written(
    script: Script, base: Path, tmp_path: Path, kind: str, content: str, said: str
) -> None:
    data, run = tmp_path / ("data.csv" if kind == "classify" else "data.jsonl"), tmp_path / "run"
    data.write_text(content, encoding="utf-8")
    name = "finetune_classifier" if kind == "classify" else "finetune_instructions"
    options = (*(["--dpo"] if kind == "prefer" else []), "--from", base, "--data", data, "--out", run)
    ended = script(name, *ON_SOLUTIONS, *options)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert said in ended.err
    assert not run.exists()


def test_runs_of_another_kind_are_refused(script: Script, base: Path, few: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    how = ("--from", base, "--data", few["classify"], "--epochs", 1, "--out", run)
    assert script("finetune_classifier", *ON_SOLUTIONS, *how).code == 0
    for name, options, said in (
        ("generate", ("--checkpoint", run), "classifier"),
        ("classify", ("--checkpoint", base, "hello"), "no classifier"),
        ("finetune_instructions", ("--from", run), "classifier"),
        ("finetune_instructions", ("--resume", run), "no run of this script"),
        ("train", ("--resume", run), "no training"),
    ):
        ended = script(name, *ON_SOLUTIONS, *options)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert said in ended.err


def test_a_checkpoint_of_another_shape_is_named(
    script: Script, base: Path, few: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    how = ("--from", base, "--data", few["classify"], "--epochs", 1, "--out", run)
    assert script("finetune_classifier", *ON_SOLUTIONS, *how).code == 0
    settings = json.loads((run / "settings.json").read_text(encoding="utf-8"))
    settings["finetuning"]["labels"].append("other")
    (run / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    ended = script("classify", *ON_SOLUTIONS, "--checkpoint", run, "hello")
    assert ended.code == 2 and str(run) in ended.err and "Traceback" not in ended.err
    (tmp_path / "changed.csv").write_bytes(few["classify"].read_bytes() + b"ham,one more\n")
    settings["finetuning"]["labels"].pop()
    settings["finetuning"]["data"] = str(tmp_path / "changed.csv")
    (run / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    ended = script("finetune_classifier", *ON_SOLUTIONS, "--resume", run)
    assert ended.code == 2 and "has changed" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_learned_from_the_story_helps_to_tell_spam(
    script: Script, story_run: Path, tmp_path: Path, seed: int
) -> None:
    """Right on held-out messages: 15 points or more above always saying the same."""
    how = ("--from", story_run, "--seed", seed, "--epochs", 6, "--out", tmp_path / "run")
    ended = script("finetune_classifier", *ON_SOLUTIONS, *how)
    assert ended.code == 0, ended.err
    after = float(re.search(r"(\d+\.\d)% after", ended.out).group(1))
    assert after >= 65, ended.out
