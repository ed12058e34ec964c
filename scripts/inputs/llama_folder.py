"""A Llama as the Hugging Face hub has it: `config.json`, safetensors in one file or more, `tokenizer.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from grader.errors import GraderError, UsageError
from grader.text import PYTHON
from scripts.inputs.vocabulary import END_OF_TEXT
from scripts.parts import Parts

INDEX = "model.safetensors.index.json"
# What LlamaModel computes. A file that wants something else would load, and then say something else.
FIXED = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
# The parts of a layer: the hub's name, and ours.
LAYER = {
    "self_attn.q_proj": "att.W_query",
    "self_attn.k_proj": "att.W_key",
    "self_attn.v_proj": "att.W_value",
    "self_attn.o_proj": "att.out_proj",
    "mlp.gate_proj": "ff.fc1",
    "mlp.up_proj": "ff.fc2",
    "mlp.down_proj": "ff.fc3",
    "input_layernorm": "norm1",
    "post_attention_layernorm": "norm2",
}


class Tokenizer:
    """The folder's own tokenizer, as the scripts use one. What ends a text goes by GPT-2's name for it."""

    def __init__(self, inner: Any, end: int | None) -> None:
        self._inner = inner
        self.special_tokens = {} if end is None else {END_OF_TEXT: end}

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._inner.encode(text).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        text: str = self._inner.decode(ids, skip_special_tokens=True)
        return text


def load_folder(parts: Parts, folder: Path) -> tuple[Any, Tokenizer]:
    """Your LlamaModel with the folder's weights, and its tokenizer.

    Raises `UsageError` where a file is missing or damaged, where config and weights do not fit together, or where
    the model is none that LlamaModel computes.
    """
    path = folder / "config.json"
    config = _read_json(path)
    llama = parts.module("ex20_llama")
    sizes = _sizes(path, config)
    tokenizer = _tokenizer(folder, config)
    weights = _weights(folder)
    try:
        model = llama.LlamaModel(llama.LlamaConfig(**sizes))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path}: there is no such model: {error}.") from error
    _fill(model, weights, sizes["tie_weights"], folder)
    return model, tokenizer


def our_name(name: str) -> str | None:
    """What LlamaModel calls a tensor of the hub's; None for one that it has no use for."""
    name = name.removeprefix("model.")
    if name == "lm_head.weight":
        return "out_head.weight"
    if name == "embed_tokens.weight":
        return "tok_emb.weight"
    if name == "norm.weight":
        return "final_norm.weight"
    if name.startswith("layers."):
        _, number, part = name.split(".", 2)
        part, _, kind = part.rpartition(".")
        if part in LAYER:
            return f"trf_blocks.{number}.{LAYER[part]}.{kind}"
    return None if name.endswith("rotary_emb.inv_freq") else name


def _sizes(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The fields of a LlamaConfig."""
    if config.get("model_type") != "llama":
        raise UsageError(f"{path} describes a model of type {config.get('model_type')!r}, not 'llama'.")
    for name, value in FIXED.items():
        if config.get(name, value) != value:
            raise UsageError(f"{path} asks for {name}={config[name]!r}; this Llama computes {value!r} only.")
    # Newer files hold the angles' parameters in one place, older ones beside the rest.
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    try:
        kind = rope.get("rope_type") or rope.get("type") or "default"
        if kind != "default":
            raise UsageError(f"{path} asks for angles of the type {kind!r}; this Llama computes 'default' only.")
        heads, width = config["num_attention_heads"], config["hidden_size"]
        if (config.get("head_dim") or width // heads) * heads != width:
            raise UsageError(f"{path} asks for heads of {config['head_dim']}; {heads} of them do not make {width}.")
        return {
            "vocab_size": config["vocab_size"],
            "context_length": config["max_position_embeddings"],
            "emb_dim": width,
            "n_heads": heads,
            "n_kv_groups": config.get("num_key_value_heads") or heads,
            "n_layers": config["num_hidden_layers"],
            "hidden_dim": config["intermediate_size"],
            "rope_base": float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0),
            "norm_eps": float(config.get("rms_norm_eps", 1e-6)),
            "tie_weights": bool(config.get("tie_word_embeddings", False)),
        }
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{path} is not the config of a Llama: {type(error).__name__}: {error}.") from error


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors, under the hub's names."""
    index = folder / INDEX
    files = ["model.safetensors"]
    if index.exists():
        try:
            files = sorted(set(_read_json(index)["weight_map"].values()))
        except (KeyError, AttributeError, TypeError) as error:
            raise UsageError(f"{index} does not say which file holds which tensor.") from error
    missing = [name for name in files if not (folder / name).exists()]
    if missing:
        named = ", ".join(map(str, missing))
        raise UsageError(f"{folder} lacks {named}: {len(missing)} of {len(files)} files with weights.")
    tensors: dict[str, torch.Tensor] = {}
    for name in files:
        try:
            tensors |= load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise UsageError(f"{folder / name} cannot be read: {error}.") from error
    return tensors


def _fill(model: Any, weights: dict[str, torch.Tensor], tied: bool, folder: Path) -> None:
    """Copy the weights into the model, each into its place. Raises `UsageError` with all that does not fit."""
    ours = {ours: tensor for name, tensor in weights.items() if (ours := our_name(name)) is not None}
    if tied and "tok_emb.weight" in ours:
        ours.setdefault("out_head.weight", ours["tok_emb.weight"])
    places = model.state_dict()
    problems = [f"{name} is missing" for name in places if name not in ours]
    problems += [f"{name} has no place in this model" for name in ours if name not in places]
    problems += [
        f"{name} has shape {tuple(ours[name].shape)}, the model {tuple(place.shape)}"
        for name, place in places.items()
        if name in ours and ours[name].shape != place.shape
    ]
    if problems:
        more = f", and {len(problems) - 3} more like that" if len(problems) > 3 else ""
        raise UsageError(f"{folder} does not fit what its config.json says: {'; '.join(problems[:3])}{more}.")
    model.load_state_dict(ours)


def _tokenizer(folder: Path, config: dict[str, Any]) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        raise UsageError(f"{folder} has no tokenizer.json; the older tokenizer.model is not read here.")
    try:
        import tokenizers
    except ImportError as error:
        raise GraderError(
            f"Reading {path} takes the package tokenizers: {PYTHON} -m pip install -c constraints.txt tokenizers,"
            " with the Python in .venv."
        ) from error
    try:
        inner = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # it raises nothing more special
        raise UsageError(f"{path} cannot be read: {error}.") from error
    end = config.get("eos_token_id")
    return Tokenizer(inner, end[0] if isinstance(end, list) and end else end if isinstance(end, int) else None)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no JSON object.")
    return found
