"""A GPT-2 as the Hugging Face hub has it: what its folder holds, before there is a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from .byte_level import Vocabulary, read_vocabulary
from .hub_files import (
    Unusable,
    check_ids,
    check_layers,
    check_numbers,
    check_shapes,
    read_config,
    read_weights,
    size,
)

# What GPTModel computes. A file that wants something else would load, and then say something else.
FIXED = {
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}
# Names of one formula, GELU's approximation by tanh. Plain `gelu` is the exact one, which differs by up to 5e-4.
GELU = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh", "gelu_accurate")
# GPT-2's own vocabulary, which a folder may leave out; some round its table up to the next multiple of 64.
GPT2_ROWS = range(50257, 50257 + 64)
MASKS = (".attn.bias", ".attn.masked_bias")


@dataclass(frozen=True)
class GPT2Files:
    """What a folder holds.

    config       the fields of a GPTConfig
    tie_weights  whether the head is the token table
    weights      under the names of the file
    vocabulary   None: there is none, and GPT-2's is meant
    """

    config: dict[str, Any]
    tie_weights: bool
    weights: dict[str, Tensor]
    vocabulary: Vocabulary | None


def read_gpt2(folder: Path) -> GPT2Files:
    """Raises `Unusable` for what is missing, damaged, contradictory, or beyond what GPTModel computes."""
    config, tie_weights = read_sizes(folder)
    rows = config["vocab_size"]
    vocabulary = read_vocabulary(folder)
    if vocabulary is None and rows not in GPT2_ROWS:
        raise Unusable(
            f"{folder} has neither tokenizer.json nor vocab.json, and with {rows} tokens the model's vocabulary is"
            " not GPT-2's."
        )
    if vocabulary is not None:
        check_ids((*vocabulary.ranks.values(), *vocabulary.special_tokens.values()), rows, folder)
    weights = read_weights(folder)
    _check_weights(weights, config, folder)
    return GPT2Files(config, tie_weights, weights, vocabulary)


def read_sizes(folder: Path) -> tuple[dict[str, Any], bool]:
    """The fields of the GPTConfig, and whether the weights are tied. Raises `Unusable`, also for another model."""
    path = folder / "config.json"
    config = read_config(folder, "gpt2")
    activation = config.get("activation_function", GELU[0])
    if activation not in GELU:
        raise Unusable(f"{path} asks for activation_function={activation!r}; this GPT computes {GELU[0]!r} only.")
    width = size(config, "n_embd", folder)
    hidden = {} if config.get("n_inner") is None else {"n_inner": 4 * width}
    for name, value in {**FIXED, **hidden}.items():
        if config.get(name, value) != value:
            raise Unusable(f"{path} asks for {name}={config[name]!r}; this GPT computes {value!r} only.")
    dropout, tied = config.get("resid_pdrop", 0.1), config.get("tie_word_embeddings", True)
    if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        raise Unusable(f"{path} has resid_pdrop={dropout!r}; it should be a share.")
    if not isinstance(tied, bool):
        raise Unusable(f"{path} has tie_word_embeddings={tied!r}; it should be true or false.")
    sizes = {
        "vocab_size": size(config, "vocab_size", folder),
        "context_length": size(config, "n_positions", folder),
        "emb_dim": width,
        "n_heads": size(config, "n_head", folder),
        "n_layers": size(config, "n_layer", folder),
        "drop_rate": float(dropout),
        "qkv_bias": True,
    }
    return sizes, tied


def _check_weights(weights: Mapping[str, Tensor], config: Mapping[str, Any], folder: Path) -> None:
    named = {name.removeprefix("transformer."): tensor for name, tensor in weights.items()}
    named = {name: tensor for name, tensor in named.items() if not name.endswith(MASKS)}
    check_layers(named, "h.{}.ln_1.weight", config["n_layers"], folder)
    width = config["emb_dim"]
    tables = {"wte.weight": (config["vocab_size"], width), "wpe.weight": (config["context_length"], width)}
    check_shapes(named, tables, folder)
    check_numbers(named, folder)
