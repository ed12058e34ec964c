"""Load OpenAI's GPT-2 into the GPT that you wrote: `python -m scripts.load_gpt2 FOLDER`.

FOLDER is a model as the Hugging Face hub has it: `config.json`, `model.safetensors` or its parts with an index, and
`tokenizer.json`, or `vocab.json` with `merges.txt`.
The result is a run like any other, from which `scripts.generate` writes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from scripts import entry, options

SCRIPT = "scripts.load_gpt2"
DEFAULTS: dict[str, Any] = {
    "prompt": "Every effort moves you",
    "new_tokens": 30,
    "threads": 1,
    "out": None,
    "using": "exercises",
    "device": "auto",
}


def main(arguments: list[str]) -> int:
    """Load, keep as a run, and let it write a little. Returns the exit code."""
    chosen = {**DEFAULTS, **vars(_parser().parse_args(arguments))}

    from grader.report.console import Page
    from scripts.inputs.gpt2_folder import load_folder
    from scripts.parts import load_parts
    from scripts.training.devices import choose_device, use_threads
    from scripts.training.runs import chosen_run, shown
    from scripts.training.settings import Settings
    from scripts.writing import Sampling, encoded_prompt, write

    parts = load_parts(chosen["using"], SCRIPT)
    device = choose_device(chosen["device"])
    use_threads(chosen["threads"])
    folder = Path(chosen["folder"])
    run = chosen_run(chosen["out"], folder.resolve().name)
    settings, model, tokenizer = load_folder(parts, folder)
    encoded_prompt(tokenizer, chosen["prompt"])  # what is wrong with the prompt is said before a run is kept
    run.begin(Settings(settings), tokenizer)
    run.save(parts, model)
    model = model.to(device).eval()
    page = Page()
    size = parts.gpt.count_parameters(model)
    page.line(f"GPT-2 in {parts.owner}: {size:,} parameters, on {device.type}.")
    sampling = Sampling(chosen["new_tokens"], temperature=0.0)
    written = write(parts, model, tokenizer, chosen["prompt"], sampling, stop_at_end=True)
    for line in written.text.split("\n"):
        page.line(line, indent=2)
    page.line(f"({written.new_tokens} tokens, {written.speed:,.0f} a second)")
    page.line("Go on with:")
    print("  " + parts.command("scripts.generate", f'--checkpoint {shown(run.folder)} --prompt "…"'))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(SCRIPT, "Load GPT-2's weights into the GPT that you wrote.", "FOLDER [options]")
    what = "with config.json, weights in safetensors and tokenizer.json, as on the hub"
    parser.add_argument("folder", metavar="FOLDER", help=what)
    parser.add_argument("--prompt", help=f"what to go on from at once ({DEFAULTS['prompt']})")
    parser.add_argument("--new-tokens", type=options.positive, help=f"how far ({DEFAULTS['new_tokens']})")
    options.add_threads(parser)
    parser.add_argument("--out", metavar="FOLDER", help="where to put the run (a new folder in runs/)")
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(SCRIPT, main))
