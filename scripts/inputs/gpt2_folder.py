"""A GPT-2 as the Hugging Face hub has it, in a GPTModel: `config.json`, weights in safetensors, a vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grader.errors import UsageError
from grader.hub.gpt2_files import read_gpt2
from grader.hub.hub_files import Unusable
from scripts.inputs.vocabulary import tokenizer_of
from scripts.parts import Parts
from scripts.training.networks import build_model
from scripts.training.settings import ModelSettings


def load_folder(parts: Parts, folder: Path) -> tuple[ModelSettings, Any, Any]:
    """The sizes, the GPT with the folder's weights, and its tokenizer.

    Raises `UsageError` where a file is missing or damaged, or where the two do not fit together.
    """
    try:
        found = read_gpt2(folder)
    except Unusable as error:
        raise UsageError(str(error)) from error
    settings = ModelSettings(found.config, found.tie_weights)
    tokenizer = tokenizer_of(parts, found.vocabulary, folder)
    try:
        model = build_model(parts, settings)
    except UsageError as error:
        raise UsageError(f"{folder / 'config.json'}: {error}") from error
    try:
        parts.weights.load_gpt2(model, found.weights)
    except ValueError as error:
        raise UsageError(f"{folder}: its weights do not fit what its config.json says: {error}.") from error
    return settings, model, tokenizer
