"""Texts as people have them: documents in one file, pieces without end, files that are no text; and wild rates."""

from __future__ import annotations

import base64
import json
import math
import os
import random
from pathlib import Path

import pytest
import torch

from grader.errors import UsageError
from grader.report.console import Page
from scripts.inputs import pieces
from scripts.inputs.corpora import Corpus, prompt_for, read_corpus
from scripts.inputs.instructions import INSTRUCTIONS, PREFERENCES, read_instructions
from scripts.inputs.messages import read_messages
from scripts.inputs.pieces import Bounded, cut
from scripts.inputs.vocabulary import END_OF_TEXT, learned
from scripts.parts import Parts
from scripts.training import pretraining
from scripts.training.curves import LOSS, Curve, as_text, best, save_png
from scripts.training.pretraining import load_data

from .conftest import Script
from .test_kept import ON_SOLUTIONS, TINY, model_in, saved

STORY = "Ruth looked at the sea.\nThe sea looked back, and it's 12 o'clock.\n"


@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_documents_in_one_file_stay_apart(parts: Parts, tmp_path: Path, line: str) -> None:
    documents = ["one two" + line, STORY, "Ruth"]
    mark = line + END_OF_TEXT + line
    path = tmp_path / "documents.txt"
    path.write_bytes((END_OF_TEXT + line + mark.join(documents) + mark).encode())
    text = read_corpus(Corpus(file=str(path)), parts)
    assert END_OF_TEXT not in prompt_for(Corpus(file=str(path)), text)
    tokenizer = Bounded(learned(parts, text, 40))
    ids = tokenizer.encode(text, {END_OF_TEXT})
    end = tokenizer.special_tokens[END_OF_TEXT]
    assert ids.count(end) == 4 == text.count(END_OF_TEXT)
    assert tokenizer.decode(ids) == text
    assert not any(b"<|" in token or b"end" in token for token in tokenizer.ranks)


@pytest.mark.parametrize("place", range(1, len(END_OF_TEXT)))
def test_an_end_of_text_on_the_border_is_not_cut_in_two(parts: Parts, place: int) -> None:
    """The border is at nine tenths of the characters; here the token begins `place` characters before it."""
    border = 270
    text = "ab " * 90
    text = text[: border - place] + END_OF_TEXT
    text += ("cd " * 100)[: 300 - len(text)]
    assert int(0.9 * len(text)) == border
    tokenizer = Bounded(learned(parts, text, 10))
    data = load_data(parts, tokenizer, text, 4, 1)
    end = tokenizer.special_tokens[END_OF_TEXT]
    assert data.train.dataset.ids.tolist().count(end) == 1
    assert data.val.dataset.ids.tolist().count(end) == 0
    assert tokenizer.decode([*data.train.dataset.ids.tolist(), *data.val.dataset.ids.tolist()]) == text


def test_a_vocabulary_without_an_end_of_text_says_so(parts: Parts) -> None:
    tokenizer = parts.bpe.BPETokenizer({bytes([byte]): byte for byte in range(256)})
    with pytest.raises(UsageError, match="no token"):
        load_data(parts, tokenizer, f"a{END_OF_TEXT}b", 4, 1)


def test_a_piece_without_end_is_cut_and_everything_else_is_as_before(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = learned(parts, STORY, 40)
    rules = "-" * 100 + "\n" + " " * 100 + "x"
    assert Bounded(plain).encode(STORY + rules) == plain.encode(STORY + rules)
    sizes: list[int] = []
    encode = parts.bpe.bpe_encode

    def noted(piece: bytes, ranks: dict[bytes, int]) -> list[int]:
        sizes.append(len(piece.decode("utf-8", errors="replace")))
        found: list[int] = encode(piece, ranks)
        return found

    monkeypatch.setattr(parts.bpe, "bpe_encode", noted)
    generator = random.Random(1)
    for text in (
        "ab" * 1000,
        base64.b64encode(generator.randbytes(1500)).decode(),
        "".join(chr(generator.randint(0x4E00, 0x4FFF)) for _ in range(500)),
        "\n" * 1000 + "end",
        "!" * 500 + END_OF_TEXT + "?" * 500,
        "e\u0301" * 300,
        f"{STORY}{'x' * 1000} {STORY}{'1' * 1000}{STORY}",
    ):
        sizes.clear()
        assert plain.decode(Bounded(plain).encode(text, {END_OF_TEXT})) == text
        assert max(sizes) <= pieces.LONGEST < 1000
    assert Bounded(plain).encode("x") == plain.encode("x")
    with pytest.raises(ValueError, match="endoftext"):
        Bounded(plain).encode("!" * 500 + END_OF_TEXT)


def test_what_is_cut_is_whole_and_never_within_a_special_token() -> None:
    pattern = r"a+|b+|<\||\|>|.|\n"
    generator = random.Random(2)
    for _ in range(50):
        runs = [generator.choice("ab") * generator.choice((1, 200)) for _ in range(6)]
        text = generator.choice(("<|ab|>", "")).join(runs)
        found = cut(text, pattern, ["<|ab|>"])
        assert "".join(found) == text
        assert sum(part.count("<|ab|>") for part in found) == text.count("<|ab|>")


def test_merges_are_learned_from_bounded_pieces(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    train = parts.bpe_train.train_bpe
    monkeypatch.setattr(parts.bpe_train, "train_bpe", lambda text, *how: given.append(text) or train(text, *how))
    chosen = {"vocabulary": "own", "merges": 5}
    tokenizer = pretraining._tokenizer(parts, chosen, "ab" * 1000 + " tail", Page())
    assert max(map(len, given[0].replace(" ", END_OF_TEXT).split(END_OF_TEXT))) <= pieces.LONGEST
    assert given[0].replace(END_OF_TEXT, "") == "ab" * 1000 + " tail"
    assert b"abab" in tokenizer.ranks


def test_letters_without_a_space_are_trained_on_and_the_stages_shown(script: Script, tmp_path: Path) -> None:
    path = tmp_path / "letters.txt"
    path.write_text("".join(random.Random(3).choices("abcdefgh", k=5_000)), encoding="utf-8")
    ended = script("train", *TINY, "--merges", 5, "--text", path, "--steps", 2, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    assert "Learning 5 merges from 5,000 characters" in ended.out
    assert "Encoding 5,000 characters" in ended.out
    assert len(saved(tmp_path / "run")["samples"]) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        f"{END_OF_TEXT}\r\n{END_OF_TEXT}\n".encode(),
        b"\0\0\0\0hello",
        "hello".encode("utf-16"),
        "hello".encode("utf-16-le"),
        b"\xef\xbb\xbf",
        b"short",
    ],
)
def test_what_is_no_text_to_train_on_gets_a_sentence(script: Script, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.txt"
    path.write_bytes(content)
    ended = script("train", *TINY, "--text", path, "--out", tmp_path / "run")
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert "check ex" not in ended.err and not (tmp_path / "run").exists()


def test_what_has_no_end_is_not_read(script: Script, tmp_path: Path) -> None:
    odd = [tmp_path, *([Path("/dev/zero")] if Path("/dev/zero").exists() else [])]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        odd.append(tmp_path / "fifo")
    for path in odd:
        for name, option in (("train", "--text"), ("finetune_classifier", "--data")):
            ended = script(name, *ON_SOLUTIONS, option, path, "--out", tmp_path / "run")
            assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
            assert str(path) in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--text", ""), "--text"),
        (("--text", "a.txt", "--url", "http://127.0.0.1/"), "--url"),
        (("--corpus", "story", "--text", "a.txt"), "--text"),
        (("--sha256", "0"), "--sha256"),
        (("--prompt", f"a{END_OF_TEXT}"), "endoftext"),
        (("--prompt", "\udcff"), "encode"),
        (("--emb-dim", "99999999999999999999"), "--emb-dim"),
        (("--heads", "3"), "3"),
        (("--batch-size", "2000000000"), "--batch-size"),
        (("--lr", "nan"), "--lr"),
        (("--lr", "inf"), "--lr"),
        (("--lr", "0"), "--lr"),
        (("--steps", "0"), "--steps"),
        (("--from", "no-such-run"), "no-such-run"),
    ],
)
def test_wrong_options_get_a_sentence(
    script: Script, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ended = script("train", *TINY, *arguments, "--out", tmp_path / "run")
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert said in ended.err and "check ex" not in ended.err
    assert not (tmp_path / "run").exists()


def test_too_little_memory_is_the_machines_fault(script: Script, text_file: Path, tmp_path: Path) -> None:
    huge = ("--emb-dim", 2**30, "--text", text_file, "--out", tmp_path / "run")
    ended = script("train", *TINY, *huge)
    assert (ended.code, ended.err.count("\n")) == (3, 1), ended.err
    assert "memory" in ended.err


def test_an_end_of_text_within_an_example_is_named_with_its_line(tmp_path: Path) -> None:
    messages = tmp_path / "messages.tsv"
    messages.write_text(f"ham\thello\nspam\tbye{END_OF_TEXT}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 2"):
        read_messages(messages)
    entries = tmp_path / "entries.jsonl"
    entries.write_text(json.dumps({"instruction": "Say it.", "output": f"It.{END_OF_TEXT}"}), encoding="utf-8")
    with pytest.raises(UsageError, match="line 1: 'output'"):
        read_instructions(entries)


@pytest.mark.parametrize("labels", [[], ["ham"], ["ham"] * 20, ["ham", "spam"], ["ham", "spam"] * 2])
def test_too_few_messages_get_a_sentence(script: Script, base: Path, tmp_path: Path, labels: list[str]) -> None:
    path = tmp_path / "messages.tsv"
    path.write_text(
        "".join(f"{label}\tmessage {number}\n" for number, label in enumerate(labels)), encoding="utf-8"
    )
    ended = script("finetune_classifier", *ON_SOLUTIONS, "--from", base, "--data", path, "--out", tmp_path / "run")
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert str(path) in ended.err and not (tmp_path / "run").exists()


def test_a_classifier_refuses_what_it_cannot_read(script: Script, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "messages.tsv"
    path.write_text("".join(f"{label}\tm {n}\n" for n in range(12) for label in ("ham", "spam")), encoding="utf-8")
    how = (*ON_SOLUTIONS, "--from", base, "--data", path, "--epochs", 1, "--out", tmp_path / "run")
    assert script("finetune_classifier", *how).code == 0
    for text in (f"hello{END_OF_TEXT}", "\udcff"):
        ended = script("classify", *ON_SOLUTIONS, "--checkpoint", tmp_path / "run", text)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert script("classify", *ON_SOLUTIONS, "--checkpoint", tmp_path / "run", "x" * 3_000).code == 0


@pytest.mark.parametrize(
    "how",
    [
        ("--lr", "1e8", "--eval-every", 1),
        ("--lr", "1e8", "--eval-every", 1000),
        ("--lr", "1e308", "--eval-every", 1000),
        ("--lr", "1e308", "--eval-every", 1000, "--steps", 1),  # seen in the weights alone
        ("--lr", "1e30", "--eval-every", 1000, "--batch-size", 1000),  # seen by the sample after the only step
    ],
)
def test_a_wild_rate_stops_at_once_and_keeps_what_is_finite(
    script: Script, text_file: Path, tmp_path: Path, how: tuple[object, ...]
) -> None:
    run = tmp_path / "run"
    how = ("--text", text_file, *how, "--epochs", 1, "--out", run)
    ended = script("train", *TINY, *how)
    assert (ended.code, ended.err.count("\n")) == (1, 1), ended.err
    assert "after step" in ended.err and "learning rate of " in ended.err and "--lr" in ended.err
    assert "check ex" not in ended.err and "ex1" not in ended.err
    assert all(bool(weight.isfinite().all()) for weight in model_in(run / "checkpoint.pt").values())
    assert all(math.isfinite(evaluation["train_loss"]) for evaluation in saved(run)["evaluations"])
    assert (run / "loss.png").exists() == ("loss.png" in ended.out)


@pytest.mark.parametrize("kind", ["classify", "instruct", "lora", "dpo"])
def test_a_wild_rate_stops_a_fine_tuning_too(script: Script, base: Path, tmp_path: Path, kind: str) -> None:
    run, data = tmp_path / "run", tmp_path / "data.jsonl"
    source = PREFERENCES if kind == "dpo" else INSTRUCTIONS
    lines = sorted(source.read_text(encoding="utf-8").splitlines(), key=len)[:14]
    name = "finetune_instructions"
    if kind == "classify":
        lines = [f"{label}\tmessage {number}" for number in range(12) for label in ("ham", "spam")]
        name, data = "finetune_classifier", tmp_path / "data.tsv"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    how = (*ON_SOLUTIONS, "--from", base, "--data", data, "--lr", 1e30, "--warmup", 0, "--out", run)
    ended = script(name, *how, *([f"--{kind}"] if kind in ("lora", "dpo") else []))
    assert (ended.code, ended.err.count("\n")) == (1, 1), ended.err
    assert "after step" in ended.err and "check ex" not in ended.err
    assert all(bool(weight.isfinite().all()) for weight in model_in(run / "checkpoint.pt").values())


def test_weights_that_are_not_finite_are_no_beginning(script: Script, base: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in base.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    state = torch.load(broken / "checkpoint.pt", weights_only=True)
    next(iter(state["model"].values()))[0] = math.nan
    torch.save(state, broken / "checkpoint.pt")
    for name in ("train", "finetune_classifier"):
        ended = script(name, *ON_SOLUTIONS, "--from", broken, "--out", tmp_path / "run")
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert str(broken) in ended.err and "finite" in ended.err


class Point:
    def __init__(self, step: int, train_loss: float, val_loss: float) -> None:
        self.step, self.train_loss, self.val_loss = step, train_loss, val_loss


def test_the_curve_shows_baseline_best_point_and_epochs(tmp_path: Path) -> None:
    points = [Point(10 * number, 5.0 - number, abs(number - 3) + 2.5) for number in range(1, 6)]
    assert best(points) is points[2] and best([Point(1, 1.0, math.nan)]) is None
    curve = Curve(LOSS.axis, LOSS.lines, baseline=(4.0, "frequencies alone"))
    lines = as_text(points, 40, curve, per_epoch=20)
    rows = [line[9:] for line in lines if "|" in line]
    assert sum(row.count("*") for row in rows) == 1
    assert any(row.count("-") > 30 for row in rows)
    assert any(line.split() == ["epoch", "0.5", "2.5"] for line in lines)
    assert "frequencies alone" in lines[-1] and "best, step 30" in lines[-1]
    assert all(len(line) <= 80 for line in lines)
    save_png(points, tmp_path / "a.png", "title", [curve], per_epoch=20)
    save_png(points, tmp_path / "b.png", "title")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_times_and_speed_are_shown_while_training(script: Script, text_file: Path, tmp_path: Path) -> None:
    how = ("--text", text_file, "--steps", 6, "--eval-every", 3, "--out", tmp_path / "run")
    ended = script("train", *TINY, *how)
    assert ended.code == 0, ended.err
    shown = [line for line in ended.out.splitlines() if "elapsed" in line]
    assert len(shown) == 2
    assert all("left" in line and "tokens a second" in line for line in shown)
