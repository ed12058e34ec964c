"""Turn your GPT into an assistant: `python -m scripts.finetune_instructions`, with `--lora`, with `--dpo`.

Without options it begins from a small GPT that was trained on the story (once, about a minute), and learns to
answer from `data/instructions.jsonl`. `--lora` trains small matrices beside the frozen weights; `--dpo` learns from
`data/preferences.jsonl` which of two answers is preferred. It leaves a run in `runs/`, which
`scripts.generate --instruction` reads. Ctrl-C saves, `--resume` goes on.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from scripts import entry, options

SCRIPT = "scripts.finetune_instructions"
DEFAULTS: dict[str, Any] = {
    **options.FINETUNING,
    "lora": False,
    "lora_rank": 8,
    "lora_alpha": 16.0,
    "dpo": False,
    "beta": 0.1,
    "mask_prompt": False,
}
# What is good for all weights is too little for a few, and too much where two answers are only to drift apart.
FOR_LORA = {"lr": 5e-3}
FOR_DPO = {"lr": 1e-4, "epochs": 3}


def main(arguments: list[str]) -> int:
    """Fine-tune, or go on with a run. Returns the exit code."""
    given = vars(_parser().parse_args(arguments))
    options.refuse_beside_resume(given)
    for option, switch in (("lora_rank", "lora"), ("lora_alpha", "lora"), ("beta", "dpo")):
        if option in given and switch not in given:
            options.refuse(f"{options.flag(option)} is for {options.flag(switch)}")
    if "mask_prompt" in given and "dpo" in given:
        options.refuse("--mask-prompt is not for --dpo, where only answers count anyway")

    from scripts.training.answering import ANSWERING
    from scripts.training.finetuning import finetune
    from scripts.training.preferring import PREFERRING

    kinds = {kind.task: kind for kind in (ANSWERING, PREFERRING)}
    task = PREFERRING.task if "dpo" in given else ANSWERING.task
    chosen = DEFAULTS | (FOR_LORA if "lora" in given else {}) | (FOR_DPO if "dpo" in given else {}) | given
    return finetune(SCRIPT, kinds, {**chosen, "task": task, "raised": given.get("epochs")})


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(SCRIPT, "Turn your GPT into an assistant.")
    data = parser.add_argument_group("what to learn from")
    what = "JSON or JSONL with the keys instruction, input, output; for --dpo chosen and rejected (those in data/)"
    data.add_argument("--data", metavar="FILE", help=what)
    data.add_argument("--mask-prompt", action="store_true", help="learn the answers alone, not what was asked")
    kinds = parser.add_argument_group("how to learn")
    kinds.add_argument("--lora", action="store_true", help="train small matrices beside the frozen weights")
    kinds.add_argument("--lora-rank", type=options.positive, metavar="N", help=_help("how small", "lora_rank"))
    kinds.add_argument(
        "--lora-alpha", type=options.above_zero, metavar="N", help=_help("how strong: alpha / rank", "lora_alpha")
    )
    kinds.add_argument("--dpo", action="store_true", help="learn which of two answers is preferred")
    kinds.add_argument("--beta", type=options.above_zero, metavar="N", help=_help("how near to the start", "beta"))
    options.add_finetuning(parser, {**DEFAULTS, "lr": "0.001, with --lora 0.005, with --dpo 0.0001"})
    return parser


def _help(meaning: str, name: str) -> str:
    return f"{meaning} ({DEFAULTS[name]})"


if __name__ == "__main__":
    sys.exit(entry.run(SCRIPT, main))
