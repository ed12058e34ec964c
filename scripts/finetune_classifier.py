"""Turn your GPT into one that tells spam from other messages: `python -m scripts.finetune_classifier`.

Without options it begins from a small GPT that was trained on the story (once, about a minute), and learns from
`data/messages.csv`. It leaves a run in `runs/`, which `scripts.classify` reads. Ctrl-C saves, `--resume` goes on.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from scripts import entry, options

SCRIPT = "scripts.finetune_classifier"
DEFAULTS: dict[str, Any] = {
    **options.FINETUNING,
    "epochs": 6,
    "batch_size": 8,
}


def main(arguments: list[str]) -> int:
    """Fine-tune, or go on with a run. Returns the exit code."""
    given = vars(_parser().parse_args(arguments))
    options.refuse_beside_resume(given)

    from scripts.training.classifying import CLASSIFYING
    from scripts.training.finetuning import finetune

    chosen = {**DEFAULTS, **given, "task": CLASSIFYING.task, "raised": given.get("epochs")}
    return finetune(SCRIPT, {CLASSIFYING.task: CLASSIFYING}, chosen)


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(SCRIPT, "Turn your GPT into one that tells spam from other messages.")
    data = parser.add_argument_group("what to learn from")
    what = "messages: .csv with the columns label and text, or lines of label, tab, text (data/messages.csv)"
    data.add_argument("--data", metavar="FILE", help=what)
    data.add_argument("--encoding", help=f"how the file is written ({DEFAULTS['encoding']})")
    options.add_finetuning(parser, DEFAULTS)
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(SCRIPT, main))
