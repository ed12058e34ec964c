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
    "new_tokens": 100,
    "temperature": 0.8,
    "top_k": None,
    "top_p": None,
    "seed": None,
    "using": "exercises",
    "device": "auto",
}


def main(arguments: list[str]) -> int:
    """Write one text. Returns the exit code."""
    chosen = {**DEFAULTS, **vars(_parser().parse_args(arguments))}

    from grader.text import printable
    from scripts.parts import load_parts
    from scripts.training.devices import choose_device
    from scripts.training.runs import build_model, find_run
    from scripts.writing import Sampling, write

    parts = load_parts(chosen["using"], SCRIPT)
    run = find_run(chosen["checkpoint"])
    model = build_model(parts, run.settings().model)
    run.load(parts, model)
    model = model.to(choose_device(chosen["device"])).eval()
    seed = secrets.randbelow(100_000) if chosen["seed"] is None else chosen["seed"]
    sampling = Sampling(chosen["new_tokens"], chosen["temperature"], chosen["top_k"], chosen["top_p"], seed)
    text = write(parts, model, run.tokenizer(parts), chosen["prompt"], sampling, stop_at_end=True)
    print(printable(text))
    if sampling.temperature:
        print(f"(seed {seed})", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(SCRIPT, "Let the GPT that you trained, or loaded, write.", "--checkpoint RUN [options]")
    parser.add_argument("--checkpoint", required=True, metavar="RUN", help="the folder of a run")
    parser.add_argument("--prompt", help="how the text begins (an empty text)")
    parser.add_argument("--new-tokens", type=options.positive, help="how many tokens at most (100)")
    parser.add_argument(
        "--temperature", type=options.not_negative_number, help="0: the likeliest token; above 1: wild (0.8)"
    )
    parser.add_argument("--top-k", type=options.positive, help="choose among the k likeliest tokens (all)")
    parser.add_argument("--top-p", type=options.share, help="choose among those that make up this share (all)")
    parser.add_argument("--seed", type=options.not_negative, help="draw the same again (drawn anew, and shown)")
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(SCRIPT, main))
