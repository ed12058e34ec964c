"""The networks that runs hold the weights of."""

from __future__ import annotations

from typing import Any

from grader.errors import UsageError
from scripts.parts import Parts
from scripts.training.runs import Run
from scripts.training.settings import CLASSIFY, ModelSettings, Settings


def model_config(parts: Parts, settings: ModelSettings) -> Any:
    """The GPTConfig. Raises `UsageError` for settings that fit no model."""
    try:
        return parts.gpt.GPTConfig(**settings.config)
    except (ValueError, TypeError) as error:
        raise UsageError(f"There is no such model: {error}.") from error


def build_model(parts: Parts, settings: ModelSettings) -> Any:
    """A GPT of these settings, freshly initialised. Raises `UsageError` for settings that fit no model."""
    return parts.gpt.GPTModel(model_config(parts, settings), settings.tie_weights)


def build_network(parts: Parts, settings: Settings, model: Any = None) -> Any:
    """What a run's checkpoint holds the weights of: a GPT, one with adapters, or a classifier.

    It is built around `model`, or around a new GPT. A fine-tuned one wants exercises beyond the first fifteen:
    `needed_by` names them.
    """
    network = build_model(parts, settings.model) if model is None else model
    finetuning = settings.finetuning
    if finetuning and finetuning.task == CLASSIFY:
        network = parts.module("ex15_classify").ClassifierGPT(network, len(finetuning.labels))
    if finetuning and finetuning.lora:
        parts.module("ex17_lora").replace_linear_with_lora(
            network, finetuning.lora["rank"], finetuning.lora["alpha"]
        )
    return network


def load_network(parts: Parts, run: Run, settings: Settings) -> Any:
    """A run's network with its weights, adapters merged. Raises `UsageError`."""
    network = build_network(parts, settings)
    run.load(parts, network)
    if settings.finetuning and settings.finetuning.lora:
        parts.module("ex17_lora").merge_lora(network)
    return network


def needed_by(settings: Settings) -> tuple[str, ...]:
    """The exercises that a run's network needs beyond those of every script."""
    finetuning = settings.finetuning
    needed = ["ex15_classify"] if finetuning and finetuning.task == CLASSIFY else []
    return (*needed, *(["ex17_lora"] if finetuning and finetuning.lora else []))
