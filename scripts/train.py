"""Train the GPT that you wrote: `python -m scripts.train`.

Without options it trains on the story in `data/` for about a minute, evaluates after each epoch, prints a sample,
and leaves a folder in `runs/` with the checkpoint, the tokenizer and the loss curve. Ctrl-C saves; `--resume`
goes on as if nothing had happened, to the bit on the same machine. `--from` trains on from other weights.
`torchrun --nproc_per_node=2 -m scripts.train` shares every batch between two processes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts import entry, options

SCRIPT = "scripts.train"
DEFAULTS: dict[str, Any] = {
    "corpus": "story",
    "text": None,
    "url": None,
    "sha256": None,
    "vocabulary": "own",
    "merges": 512,
    "emb_dim": 128,
    "layers": 4,
    "heads": 4,
    "context_length": 64,
    "dropout": 0.1,
    "untied": False,
    "epochs": 12,
    "steps": None,
    "dtype": None,
    "batch_size": 8,
    "accumulate": 1,
    "lr": 1e-3,
    "warmup": 20,
    "weight_decay": 0.1,
    "max_norm": 1.0,
    "eval_every": None,
    "eval_batches": 20,
    "seed": 123,
    "threads": 1,
    "prompt": None,
    "sample_tokens": 60,
    "temperature": 0.8,
    "top_k": 40,
    "base": None,
    "out": None,
    "using": "exercises",
    "device": "auto",
}


def main(arguments: list[str]) -> int:
    """Train, or go on with a run. Returns the exit code."""
    given = vars(_parser().parse_args(arguments))
    chosen = {**DEFAULTS, **given}

    from grader.report.console import Page
    from scripts.inputs.corpora import Corpus
    from scripts.parts import load_parts
    from scripts.training import pretraining, processes
    from scripts.training.base import base_needs, fitting_options, load_base
    from scripts.training.devices import choose_device
    from scripts.training.runs import chosen_run, shown, stopped_run

    options.refuse_beside_resume(given)
    _check_source(given)
    processes.check_batch(chosen["batch_size"])
    file = None if chosen["text"] is None else str(Path(chosen["text"]).resolve())  # resumed from elsewhere, maybe
    corpus = Corpus(chosen["corpus"], file, chosen["url"], chosen["sha256"])
    run = stopped_run(given["resume"]) if "resume" in given else chosen_run(chosen["out"], corpus.title)
    wants_scale = processes.started() > 1 or chosen["dtype"] is not None
    needs = {*(["ex21_scale"] if wants_scale else []), *(base_needs(given["base"]) if "base" in given else [])}
    parts = load_parts(chosen["using"], SCRIPT, *sorted(needs))
    page = Page()
    page.console.quiet = processes.rank() > 0
    device = processes.own_device(choose_device(chosen["device"]))
    if "resume" in given:
        finished = pretraining.go_on(parts, run, page, device, given.get("epochs"))
    elif "base" in given:
        base = load_base(parts, given["base"], page, device)
        chosen |= fitting_options(base, given)
        finished = pretraining.begin(parts, chosen, run, corpus, page, device, base)
    else:
        finished = pretraining.begin(parts, chosen, run, corpus, page, device)
    if processes.rank() > 0:
        return 0
    if finished:
        page.line("Let it write:")
        print("  " + parts.command("scripts.generate", f'--checkpoint {shown(run.folder)} --prompt "…"'))
        return 0
    page.line("Stopped, and saved. Go on with:")
    print("  " + parts.command(SCRIPT, f"--resume {shown(run.folder)}"))
    return entry.INTERRUPTED


def _check_source(given: Mapping[str, Any]) -> None:
    """Raises `UsageError` where two texts are named, or one without a name."""
    named = [name for name in ("corpus", "text", "url") if name in given]
    if len(named) > 1:
        options.refuse(f"{options.flag(named[0])} and {options.flag(named[1])} are two texts: leave one out")
    if "sha256" in given and "url" not in given:
        options.refuse("--sha256 is for --url")
    if named and not given[named[0]].strip():
        options.refuse(f"{options.flag(named[0])} names nothing")


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(SCRIPT, "Train the GPT that you wrote. Without options: on the story, about a minute.")
    text = parser.add_argument_group("what to train on")
    text.add_argument("--corpus", choices=("story", "manual"), help=_help("or Python's own manual", "corpus"))
    text.add_argument("--text", metavar="FILE", help="any UTF-8 text file instead")
    text.add_argument("--url", help="a text from the network instead, by your fetch_text")
    text.add_argument("--sha256", help="what the text at --url has to match")
    tokens = parser.add_argument_group("its tokens")
    tokens.add_argument(
        "--vocabulary", choices=("own", "gpt2"), help=_help("learned from the text, or GPT-2's", "vocabulary")
    )
    tokens.add_argument(
        "--merges", type=options.not_negative, metavar="N", help=_help("how many merges to learn", "merges")
    )
    model = parser.add_argument_group("the model")
    for name, meaning in (
        ("emb_dim", "width of a token's vector"),
        ("layers", "how many blocks"),
        ("heads", "attention heads in each"),
        ("context_length", "how many tokens it sees; with --from, in training, and at most as many as there"),
    ):
        model.add_argument(options.flag(name), type=options.positive, metavar="N", help=_help(meaning, name))
    model.add_argument(
        "--dropout", type=options.fraction, metavar="P", help=_help("share of what is dropped", "dropout")
    )
    model.add_argument("--untied", action="store_true", help="give the head weights of its own")
    loop = parser.add_argument_group("the training")
    for name, kind, meaning in (
        ("epochs", options.positive, "how often it goes through the text"),
        ("batch_size", options.positive, "windows in a batch"),
        ("accumulate", options.positive, "batches to an update"),
        ("lr", options.above_zero, "the largest learning rate; it falls to a tenth of it"),
        ("warmup", options.not_negative, "updates until it is reached"),
        ("weight_decay", options.not_negative_number, "of the matrices"),
        ("max_norm", options.above_zero, "where gradients are clipped"),
        ("eval_batches", options.positive, "batches to look at in an evaluation"),
        ("seed", options.not_negative, "of everything that is drawn"),
        ("threads", options.positive, "with more, large models are quicker and no two runs equal to the bit"),
    ):
        loop.add_argument(options.flag(name), type=kind, metavar="N", help=_help(meaning, name))
    what = "compute forward and loss in it, by your ex21 (float32)"
    loop.add_argument("--dtype", choices=("float32", "bfloat16"), help=what)
    loop.add_argument("--steps", type=options.positive, metavar="N", help="end after so many updates (all epochs)")
    loop.add_argument("--eval-every", type=options.positive, metavar="STEPS", help="evaluate so often (an epoch)")
    sample = parser.add_argument_group("the sample after each epoch")
    sample.add_argument("--prompt", help="how it begins (words from the text)")
    sample.add_argument("--sample-tokens", type=options.positive, help=_help("its length", "sample_tokens"))
    sample.add_argument("--temperature", type=options.not_negative_number, help=_help("0 is greedy", "temperature"))
    sample.add_argument("--top-k", type=options.positive, help=_help("choose among so many", "top_k"))
    runs = parser.add_argument_group("the run")
    what = "weights to train on: a run, its best.pt, or a GPT-2 folder; sizes and tokenizer come with them"
    options.add_run(runs, what)
    return parser


def _help(meaning: str, name: str) -> str:
    return f"{meaning} ({DEFAULTS[name]})"


if __name__ == "__main__":
    sys.exit(entry.run(SCRIPT, main))
