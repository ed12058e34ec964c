"""Let the GPT that you trained write: `python -m scripts.generate --checkpoint RUN --prompt "…"`."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable
from typing import Any

from grader.text import printable
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
    "threads": 1,
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
    from scripts.parts import load_parts
    from scripts.training.devices import choose_device, use_threads
    from scripts.training.networks import load_network, needed_by
    from scripts.training.runs import find_run
    from scripts.training.settings import CLASSIFY
    from scripts.writing import Sampling, write

    use_threads(chosen["threads"])
    run = find_run(chosen["checkpoint"])
    settings = run.settings()
    if settings.finetuning and settings.finetuning.task == CLASSIFY:
        raise UsageError(f"{run.folder} is a classifier, and writes nothing: ask it by `scripts.classify`.")
    needed = {*needed_by(settings), *(["ex19_kv_cache"] if chosen["cache"] else [])}
    needed |= {"ex16_instruct"} if chosen["instruction"] is not None else set()
    parts = load_parts(chosen["using"], SCRIPT, *sorted(needed))
    model = load_network(parts, run, settings).to(choose_device(chosen["device"])).eval()
    tokenizer = run.tokenizer(parts)
    seed = secrets.randbelow(100_000) if chosen["seed"] is None else chosen["seed"]
    sampling = Sampling(chosen["new_tokens"], chosen["temperature"], chosen["top_k"], chosen["top_p"], seed)
    prompt, printed = chosen["prompt"], _Printed()
    if chosen["instruction"] is not None:
        instruct = parts.module("ex16_instruct")
        asked = instruct.format_prompt({"instruction": chosen["instruction"], "input": chosen["input"]})
        prompt = asked + instruct.RESPONSE_HEADING
        printed = _Printed(lambda text: instruct.extract_response(text, asked))
    try:
        written = write(parts, model, tokenizer, prompt, sampling, True, chosen["cache"], printed)
    finally:
        printed.end()
    drawn = f"seed {seed}, " if sampling.temperature else ""
    print(f"({drawn}{written.new_tokens} tokens, {written.speed:,.0f} a second)", file=sys.stderr)
    return 0


class _Printed:
    """Prints a text piece by piece, each at once.

    Arguments
        shown  what of the text so far is to be seen; it only grows
    """

    def __init__(self, shown: Callable[[str], str] = str) -> None:
        self._shown = shown
        self._text = ""
        self._length = 0

    def __call__(self, piece: str) -> None:
        self._text += piece
        shown = self._shown(self._text)
        print(printable(shown[self._length :]), end="", flush=True)
        self._length = len(shown)

    def end(self) -> None:
        """End the line, if there is one: what was written stays readable, however the writing ended."""
        if self._text:
            print(flush=True)


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
