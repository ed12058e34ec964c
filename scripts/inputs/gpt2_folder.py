"""GPT-2 as the hub has it: a folder with `config.json`, `model.safetensors`, and perhaps `vocab.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from grader.errors import UsageError
from scripts.inputs.vocabulary import from_folder
from scripts.parts import Parts
from scripts.training.runs import ModelSettings, build_model

# What GPTModel computes. A file that wants something else would load, and then say something else.
FIXED = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def load_folder(parts: Parts, folder: Path) -> tuple[ModelSettings, Any, Any]:
    """The sizes, the GPT with the folder's weights, and its tokenizer.

    Raises `UsageError` where a file is missing or damaged, or where the two do not fit together.
    """
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
    return settings, model, tokenizer


def read_config(path: Path) -> ModelSettings:
    """What a hub's `config.json` says about the model.

    Raises `UsageError` where it is missing, is no GPT-2, or asks for something that GPTModel does not compute.
    """
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
