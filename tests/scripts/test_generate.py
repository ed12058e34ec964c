"""`scripts.generate`: text from a run that was trained."""

from __future__ import annotations

import io
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from scripts import generate
from scripts.entry import ROOT
from scripts.inputs.corpora import Corpus
from scripts.parts import Parts
from scripts.training.networks import load_network
from scripts.training.runs import Run
from scripts.writing import Sampling, write
from tests.signals import answer_as_at_a_terminal

from .conftest import Script, pretrained

ON_SOLUTIONS = ("--using", "solutions")


@pytest.fixture(scope="module")
def trained(parts: Parts, text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"layers": 1, "heads": 2, "emb_dim": 32, "context_length": 16, "merges": 100}
    return pretrained(parts, tmp_path_factory.mktemp("trained"), Corpus(file=str(text_file)), epochs=1, **sizes)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run of its own for each test."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_text_follows_the_prompt_and_the_seed_decides_it(script: Script, run: Path) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth said", "--temperature", 0.8, "--top-k", 40)
    one, again, other = (script("generate", *options, "--seed", seed) for seed in (1, 1, 2))
    assert one.code == 0, one.err
    assert one.out.startswith("Ruth said") and len(one.out) > 40
    assert one.out == again.out != other.out
    assert "seed 1" in one.err


def test_a_run_is_found_by_its_checkpoint_too(script: Script, run: Path) -> None:
    ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run / "checkpoint.pt", "--new-tokens", 3)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    "sampling", [("--temperature", 0), ("--temperature", 0.9, "--top-k", 30), ("--top-p", 0.8)]
)
def test_the_cache_changes_nothing_but_the_time(script: Script, run: Path, sampling: tuple[object, ...]) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth", "--new-tokens", 10, "--seed", 4, *sampling)
    without, cached = script("generate", *options), script("generate", *options, "--cache")
    assert (without.code, cached.code) == (0, 0), cached.err
    assert without.out == cached.out
    for ended in (without, cached):
        assert re.search(r"10 tokens, [\d,]+ a second", ended.err)


def test_the_cache_ends_with_the_context(script: Script, run: Path) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth", "--cache")
    assert script("generate", *options).code == 0
    ended = script("generate", *options, "--new-tokens", 40)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "16" in ended.err and "--new-tokens" in ended.err


def test_temperature_0_draws_nothing(script: Script, run: Path) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--temperature", 0, "--new-tokens", 20)
    assert script("generate", *options, "--seed", 1).out == script("generate", *options, "--seed", 2).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prompt", "to the end<|endoftext|>"), "<|endoftext|>"),
        (("--top-p", "0"), "--top-p"),
        (("--top-k", "0"), "--top-k"),
        (("--temperature", "-1"), "--temperature"),
        (("--new-tokens", "-5"), "--new-tokens"),
        (("--prompt", "Ruth", "--instruction", "Say it."), "--instruction"),
        (("--input", "Ruth"), "--instruction"),
        (("--prompt", "caf\udce9"), "UTF-8"),
        (("--instruction", "caf\udce9"), "UTF-8"),
        (("--seed", str(2**64)), "--seed"),
        (("--temperature", "nan"), "--temperature"),
        (("--temperature", "1e999"), "--temperature"),
        (("--top-p", "nan"), "--top-p"),
        (("--threads", "0"), "--threads"),
    ],
)
def test_wrong_input_gets_a_line(script: Script, run: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run, *arguments)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert said in ended.err


@pytest.mark.parametrize("name", ["settings_file", "tokenizer_file", "checkpoint"])
@pytest.mark.parametrize("content", [None, b"", b"\x80\x02 no such thing"])
def test_a_damaged_run_is_named_file_by_file(script: Script, run: Path, name: str, content: bytes | None) -> None:
    path: Path = getattr(Run(run), name)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run)
    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert str(run) in ended.err


def test_a_checkpoint_that_is_none_gets_a_sentence(script: Script, run: Path, tmp_path: Path) -> None:
    text, other, checkpoint = tmp_path / "text.txt", tmp_path / "other", Run(run).checkpoint
    text.write_text("Ruth")
    other.mkdir()
    (other / "config.json").write_text("{}")
    for given, said in ((text, "is a file"), (other, "scripts.load_gpt2"), (tmp_path, "is not a run")):
        ended = script("generate", *ON_SOLUTIONS, "--checkpoint", given)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert said in ended.err
    whole = checkpoint.read_bytes()
    for damage in (
        lambda: checkpoint.write_bytes(whole[: len(whole) // 2]),
        lambda: checkpoint.write_bytes(pickle.dumps({"a": print})),
        lambda: torch.save({"a": 1}, checkpoint),
        lambda: save_file({"a": torch.zeros(2)}, checkpoint),
    ):
        damage()
        ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert str(checkpoint) in ended.err and "weights_only" not in ended.err


def test_weights_that_are_not_finite_are_no_fault_of_an_exercise(script: Script, run: Path) -> None:
    state = torch.load(Run(run).checkpoint, weights_only=True)
    state["model"]["final_norm.scale"][3] = torch.nan
    torch.save(state, Run(run).checkpoint)
    for cached in ((), ("--cache",)):
        ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth", *cached)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert "NaN" in ended.err and "ex" not in ended.err.split()


@pytest.mark.parametrize("coldest", [("--temperature", "1e-40"), ("--temperature", "1e-300"), ("--top-p", "1e-50")])
def test_the_smallest_numbers_take_the_likeliest_token(script: Script, run: Path, coldest: tuple[str, ...]) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth", "--new-tokens", 12)
    greedy, cold = script("generate", *options, "--temperature", 0), script("generate", *options, *coldest)
    assert cold.code == 0, cold.err
    assert cold.out == greedy.out


@pytest.mark.parametrize("name", [("--top-k", 2**31 - 1), ("--temperature", 1e300), ("--seed", 2**64 - 1)])
def test_the_largest_numbers_are_taken(script: Script, run: Path, name: tuple[object, ...]) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth", "--new-tokens", 3)
    ended = script("generate", *options, *name)
    assert ended.code == 0, ended.err


def test_an_empty_prompt_wants_an_end_of_text(script: Script, run: Path, parts: Parts) -> None:
    options = (*ON_SOLUTIONS, "--checkpoint", run, "--new-tokens", 3)
    assert script("generate", *options).code == 0
    tokenizer = Run(run).tokenizer(parts)
    parts.bpe.BPETokenizer(tokenizer.ranks).save(Run(run).tokenizer_file)
    for empty in ((), ("--prompt", ""), ("--cache",)):
        ended = script("generate", *options, *empty)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert "--prompt" in ended.err
    assert script("generate", *options, "--prompt", "Ruth").code == 0


def test_a_tokenizer_of_another_model_is_told_from_a_mistake(script: Script, run: Path, parts: Parts) -> None:
    tokenizer = Run(run).tokenizer(parts)
    ranks = {token: rank + 1000 for token, rank in tokenizer.ranks.items()}
    parts.bpe.BPETokenizer(ranks).save(Run(run).tokenizer_file)
    ended = script("generate", *ON_SOLUTIONS, "--checkpoint", run, "--prompt", "Ruth")
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_pieces_that_are_shown_make_up_the_text(run: Path, parts: Parts, seed: int, cached: bool) -> None:
    """So hot that most tokens are parts of characters: what is shown is the text of one call all the same."""
    model = load_network(parts, Run(run), Run(run).settings()).eval()
    tokenizer = Run(run).tokenizer(parts)
    sampling = Sampling(10, temperature=8.0, seed=seed)
    pieces: list[str] = []
    for prompt in ("Ruth “", ""):
        pieces.clear()
        arguments = (parts, model, tokenizer, prompt, sampling, True, cached)
        streamed, silent = write(*arguments, pieces.append), write(*arguments)
        assert "".join(pieces) == streamed.text == silent.text


@pytest.mark.parametrize("cached", [False, True])
def test_a_token_is_shown_before_the_next_one_is_computed(run: Path, parts: Parts, cached: bool) -> None:
    model = load_network(parts, Run(run), Run(run).settings()).eval()
    happened: list[str] = []
    count = model.out_head.register_forward_hook(lambda *_: happened.append("computed"))
    sampling = Sampling(6, temperature=0.0)
    write(parts, model, Run(run).tokenizer(parts), "Ruth", sampling, True, cached, happened.append)
    count.remove()
    assert happened[0] == "Ruth"
    assert happened[1::2] == ["computed"] * 6
    assert "computed" not in happened[2::2]


def test_a_character_is_shown_when_its_last_byte_has_come(parts: Parts, run: Path) -> None:
    """A model that spells a text byte by byte."""
    tokenizer = Run(run).tokenizer(parts)
    text = "é, “🙂” — naïve\u200d"
    single = {rank: token for token, rank in tokenizer.ranks.items() if len(token) == 1}
    numbers = {token: rank for rank, token in single.items()}
    spelled = [numbers[bytes([byte])] for byte in text.encode()]

    class Speller(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cfg = Run(run).settings().model
            self.cfg = parts.gpt.GPTConfig(**{**self.cfg.config, "context_length": 100})
            self.anything = torch.nn.Parameter(torch.zeros(1))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            scores = torch.zeros(*ids.shape, self.cfg.vocab_size)
            scores[:, -1, spelled[ids.shape[1] - 4]] = 1.0
            return scores

    assert len(tokenizer.encode("\x00\x01\x02\x03")) == 4
    pieces: list[str] = []
    sampling = Sampling(len(spelled), temperature=0.0)
    write(parts, Speller(), tokenizer, "\x00\x01\x02\x03", sampling, True, show=pieces.append)
    assert pieces == ["\x00\x01\x02\x03", *text]


@pytest.mark.parametrize("name", ["generate", "load_gpt2", "load_llama", "classify"])
@pytest.mark.parametrize(("given", "used"), [((), 1), (("--threads", 3), 3), (("--threads", 99), 4)])
def test_one_thread_computes_unless_told_otherwise(
    script: Script, monkeypatch: pytest.MonkeyPatch, name: str, given: tuple[object, ...], used: int
) -> None:
    """Before anything is loaded."""
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    where = ("nowhere",) if name.startswith("load") else ("--checkpoint", "nowhere")
    script(name, *ON_SOLUTIONS, *where, *(("a text",) if name == "classify" else ()), *given)
    assert asked == [used]


def test_each_piece_is_flushed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []

    class Pipe(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    monkeypatch.setattr(sys, "stdout", Pipe())
    generate.main(
        [*ON_SOLUTIONS, "--checkpoint", str(run), "--prompt", "Ruth", "--new-tokens", "20", "--seed", "1"]
    )
    assert flushed[0] == "Ruth" and len(set(flushed)) > 10
    assert flushed == sorted(flushed, key=len)


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
@pytest.mark.parametrize("closed", [False, True])
def test_what_is_written_reaches_a_pipe_at_once_and_stays(run: Path, closed: bool) -> None:
    """The reader sees text while a writing without end goes on. Then it closes the pipe, or stops the writing."""
    command = ("-m", "scripts.generate", *ON_SOLUTIONS, "--checkpoint", str(run), "--prompt", "Ruth")
    process = subprocess.Popen(
        [sys.executable, *command, "--new-tokens", str(2**31 - 1), "--seed", "1"],
        cwd=ROOT,
        env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=answer_as_at_a_terminal,
    )
    assert process.stdout is not None and process.stderr is not None
    seen = b""
    while len(seen) < 40 and (more := os.read(process.stdout.fileno(), 1000)):
        seen += more
    assert seen.startswith(b"Ruth") and len(seen) >= 40, process.stderr.read()
    if closed:
        process.stdout.close()
    else:
        process.send_signal(signal.SIGINT)
        seen += process.stdout.read()
        assert seen.endswith(b"\n")
    said = process.stderr.read().decode()
    assert process.wait() == (0 if closed else 130), said
    assert said == ("" if closed else "scripts.generate: stopped.\n")
