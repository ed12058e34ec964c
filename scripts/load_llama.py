"""Load a Llama into the LlamaModel that you wrote, and let it go on: `python -m scripts.load_llama FOLDER`.

FOLDER is a model as the Hugging Face hub has it: `config.json`, `model.safetensors` or several files with an index,
and `tokenizer.json`. It writes with your cache of ex19.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import Any

from scripts import entry, options

SCRIPT = "scripts.load_llama"
DEFAULTS: dict[str, Any] = {
    "prompt": "Every effort moves you",
    "new_tokens": 30,
    "temperature": 0.0,
    "top_k": None,
    "top_p": None,
    "seed": None,
    "threads": 1,
    "using": "exercises",
    "device": "auto",
}


def main(arguments: list[str]) -> int:
    """Load, and write a little. Returns the exit code."""
    chosen = {**DEFAULTS, **vars(_parser().parse_args(arguments))}

    from grader.report.console import Page
    from scripts.inputs.llama_folder import load_folder
    from scripts.parts import load_parts
    from scripts.training.devices import choose_device, use_threads
    from scripts.writing import Sampling, write

    parts = load_parts(chosen["using"], SCRIPT, "ex19_kv_cache", "ex20_llama")
    device = choose_device(chosen["device"])
    use_threads(chosen["threads"])
    model, tokenizer = load_folder(parts, Path(chosen["folder"]))
    model = model.to(device).eval()
    page = Page()
    size = parts.gpt.count_parameters(model)
    page.line(f"A Llama in {parts.owner}: {size:,} parameters, on {device.type}.")
    seed = secrets.randbelow(100_000) if chosen["seed"] is None else chosen["seed"]
    sampling = Sampling(chosen["new_tokens"], chosen["temperature"], chosen["top_k"], chosen["top_p"], seed)
    written = write(parts, model, tokenizer, chosen["prompt"], sampling, stop_at_end=True, cached=True)
    for line in written.text.split("\n"):
        page.line(line, indent=2)
    drawn = f"seed {seed}, " if sampling.temperature else ""
    page.line(f"({drawn}{written.new_tokens} tokens, {written.speed:,.0f} a second)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(SCRIPT, "Load a Llama into the model that you wrote.", "FOLDER [options]")
    what = "with config.json, model.safetensors or its parts, and tokenizer.json, as on the hub"
    parser.add_argument("folder", metavar="FOLDER", help=what)
    options.add_sampling(parser, DEFAULTS)
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(SCRIPT, main))
