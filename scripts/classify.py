"""Ask your classifier about messages of your own: `python -m scripts.classify --checkpoint RUN TEXT…`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from scripts import entry, options

SCRIPT = "scripts.classify"
EXERCISE = "ex15_classify"
DEFAULTS: dict[str, Any] = {"threads": 1, "using": "exercises", "device": "auto"}


def main(arguments: list[str]) -> int:
    """A verdict for each text. Returns the exit code."""
    chosen = {**DEFAULTS, **vars(_parser().parse_args(arguments))}

    from grader.errors import UsageError
    from grader.report.console import Page
    from grader.text import shorten
    from scripts.inputs.pieces import encoded
    from scripts.parts import load_parts
    from scripts.training.devices import choose_device, use_threads
    from scripts.training.finetuning import end_id
    from scripts.training.networks import load_network
    from scripts.training.runs import find_run
    from scripts.training.settings import CLASSIFY

    parts = load_parts(chosen["using"], SCRIPT, EXERCISE)
    use_threads(chosen["threads"])
    run = find_run(chosen["checkpoint"])
    settings = run.settings()
    finetuning = settings.finetuning
    if finetuning is None or finetuning.task != CLASSIFY:
        raise UsageError(f"{run.folder} is no classifier; `scripts.finetune_classifier` makes one.")
    device = choose_device(chosen["device"])
    tokenizer = run.tokenizer(parts)
    network = load_network(parts, run, settings).to(device).eval()
    page = Page()
    widest = max(map(len, finetuning.labels))
    for text in chosen["texts"]:
        encoded(tokenizer, text)  # what is wrong with it is said before an exercise meets it
        how = (network, tokenizer, finetuning.max_length, end_id(tokenizer), device)
        label, share = parts.module(EXERCISE).classify_review(text, *how)
        room = page.console.width - widest - 8
        page.line(f"{finetuning.labels[label]:<{widest}} {share:>4.0%}  {shorten(' '.join(text.split()), room)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    what = "Ask your classifier about messages: its verdict on each, and how sure it is."
    parser = options.parser(SCRIPT, what, "--checkpoint RUN TEXT… [options]")
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="a message, in quotation marks")
    parser.add_argument("--checkpoint", required=True, metavar="RUN", help="the folder of a classifier's run")
    options.add_threads(parser)
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(SCRIPT, main))
