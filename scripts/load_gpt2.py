"""Load OpenAI's GPT-2 into the GPT that you wrote: `python -m scripts.load_gpt2 FOLDER`.

FOLDER is a model as the Hugging Face hub has it: `config.json` and `model.safetensors`, and perhaps `vocab.json`.
The result is a run like any other, from which `scripts.generate` writes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts import entry, options

if TYPE_CHECKING:
    from scripts.training.runs import ModelSettings

SCRIPT = "scripts.load_gpt2"
DEFAULTS: dict[str, Any] = {
    "prompt": "Every effort moves you",
    "new_tokens": 30,
    "out": None,
    "using": "exercises",
    "device": "auto",
}
# What GPTModel computes. A file that wants something else would load, and then say something else.
FIXED = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def main(arguments: list[str]) -> int:
    """Load, keep as a run, and let it write a little. Returns the exit code."""
    chosen = {**DEFAULTS, **vars(_parser().parse_args(arguments))}

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from grader.errors import UsageError
    from grader.report.console import Page
    from scripts.inputs.vocabulary import from_folder
    from scripts.parts import load_parts
    from scripts.training.devices import choose_device
    from scripts.training.runs import Run, Settings, build_model, new_run, shown
    from scripts.writing import Sampling, write

    parts = load_parts(chosen["using"], SCRIPT)
    device = choose_device(chosen["device"])
    folder = Path(chosen["folder"])
    settings = read_config(folder / "config.json")
    weights = folder / "model.safetensors"
    try:
        tensors = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{weights} cannot be read: {error}.") from error
    tokenizer = from_folder(parts, folder)
    try:
        model = build_model(parts, settings)
    except UsageError as error:
        raise UsageError(f"{folder / 'config.json'}: {error}") from error
    try:
        parts.weights.load_gpt2(model, tensors)
    except ValueError as error:
        raise UsageError(f"{weights} does not fit what {folder / 'config.json'} says: {error}.") from error
    run = Run(Path(chosen["out"])) if chosen["out"] else new_run(folder.resolve().name)
    run.begin(Settings(settings), tokenizer)
    run.save(parts, model)
    model = model.to(device).eval()
    page = Page()
    size = parts.gpt.count_parameters(model)
    page.line(f"GPT-2 in the GPT of {parts.folder}/: {size:,} parameters, on {device.type}.")
    sampling = Sampling(chosen["new_tokens"], temperature=0.0)
    for line in write(parts, model, tokenizer, chosen["prompt"], sampling, stop_at_end=True).split("\n"):
        page.line(line, indent=2)
    page.line("Go on with:")
    print("  " + parts.command("scripts.generate", f'--checkpoint {shown(run.folder)} --prompt "…"'))
    return 0


def read_config(path: Path) -> ModelSettings:
    """What a hub's `config.json` says about the model.

    Raises `UsageError` where it is missing, is no GPT-2, or asks for something that GPTModel does not compute.
    """
    from grader.errors import UsageError
    from scripts.training.runs import ModelSettings

    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.get("model_type") != "gpt2":
            raise UsageError(f"{path} describes a model of type {config.get('model_type')!r}, not 'gpt2'.")
        settings = ModelSettings(
            config={
                "vocab_size": config["vocab_size"],
                "context_length": config["n_positions"],
                "emb_dim": config["n_embd"],
                "n_heads": config["n_head"],
                "n_layers": config["n_layer"],
                "drop_rate": float(config.get("resid_pdrop", 0.1)),
                "qkv_bias": True,
            },
            tie_weights=config.get("tie_word_embeddings", True),
        )
        wanted = {**FIXED, "n_inner": config.get("n_inner") and 4 * config["n_embd"]}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(f"{path} is not the config of a GPT-2: {type(error).__name__}: {error}.") from error
    for name, value in wanted.items():
        if config.get(name, value) != value:
            raise UsageError(f"{path} asks for {name}={config[name]!r}; this GPT computes {value!r} only.")
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(SCRIPT, "Load GPT-2's weights into the GPT that you wrote.", "FOLDER [options]")
    parser.add_argument("folder", metavar="FOLDER", help="with config.json and model.safetensors, as on the hub")
    parser.add_argument("--prompt", help=f"what to go on from at once ({DEFAULTS['prompt']})")
    parser.add_argument("--new-tokens", type=options.positive, help=f"how far ({DEFAULTS['new_tokens']})")
    parser.add_argument("--out", metavar="FOLDER", help="where to put the run (a new folder in runs/)")
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(SCRIPT, main))
