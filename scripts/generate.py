"""Let the GPT that you trained write: `python -m scripts.generate --checkpoint RUN --prompt "…"`."""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import Any

from scripts import entry, options

SCRIPT = "scripts.generate"
DEFAULTS: dict[str, Any] = {
    "prompt": "",
    "instruction": None,
    "input": "",
    "new_tokens": None,
    "temperature": 0.8,
    "top_k": None,
    "top_p": None,
    "seed": None,
    "cache": False,
    "using": "exercises",
    "device": "auto",
}


def main(arguments: list[str]) -> int:
    """Write one text. Returns the exit code."""
    given = vars(_parser().parse_args(arguments))
    chosen = {**DEFAULTS, **given}
    if "instruction" in given and "prompt" in given:
        options.refuse("--instruction and --prompt are two ways to begin: leave one out")
    if "input" in given and "instruction" not in given:
        options.refuse("--input is for --instruction")

    from grader.errors import UsageError
    from grader.text import printable
    from scripts.parts import load_parts
    from scripts.training.devices import choose_device
    from scripts.training.runs import CLASSIFY, find_run, load_network, needed_by
    from scripts.writing import Sampling, write

    run = find_run(chosen["checkpoint"])
    settings = run.settings()
    if settings.finetuning and settings.finetuning.task == CLASSIFY:
        raise UsageError(f"{run.folder} is a classifier, and writes nothing: ask it by `scripts.classify`.")
    needed = {*needed_by(settings), *(["ex19_kv_cache"] if chosen["cache"] else [])}
    needed |= {"ex16_instruct"} if chosen["instruction"] is not None else set()
    parts = load_parts(chosen["using"], SCRIPT, *sorted(needed))
    model = load_network(parts, run, settings).to(choose_device(chosen["device"])).eval()
    seed = secrets.randbelow(100_000) if chosen["seed"] is None else chosen["seed"]
    sampling = Sampling(chosen["new_tokens"], chosen["temperature"], chosen["top_k"], chosen["top_p"], seed)
    prompt = chosen["prompt"]
    if chosen["instruction"] is not None:
        instruct = parts.module("ex16_instruct")
        asked = instruct.format_prompt({"instruction": chosen["instruction"], "input": chosen["input"]})
        prompt = asked + instruct.RESPONSE_HEADING
    written = write(parts, model, run.tokenizer(parts), prompt, sampling, stop_at_end=True, cached=chosen["cache"])
    text = written.text if chosen["instruction"] is None else instruct.extract_response(written.text, asked)
    print(printable(text))
    drawn = f"seed {seed}, " if sampling.temperature else ""
    print(f"({drawn}{written.new_tokens} tokens, {written.speed:,.0f} a second)", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(SCRIPT, "Let the GPT that you trained, or loaded, write.", "--checkpoint RUN [options]")
    parser.add_argument("--checkpoint", required=True, metavar="RUN", help="the folder of a run")
    parser.add_argument("--instruction", metavar="TEXT", help="ask instead, as ex16 does; shows the answer")
    parser.add_argument("--input", metavar="TEXT", help="what the instruction is about (nothing)")
    parser.add_argument("--cache", action="store_true", help="keep keys and values, by ex19: the same, sooner")
    options.add_sampling(parser, {**DEFAULTS, "prompt": "an empty text", "new_tokens": 100})
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(SCRIPT, main))
