"""A Llama as the Hugging Face hub has it: `config.json`, safetensors in one file or more, `tokenizer.json`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from grader.errors import GraderError, UsageError
from grader.hub.byte_level import END_OF_TEXT
from grader.hub.hub_files import (
    Unusable,
    check_ids,
    check_layers,
    check_numbers,
    check_shapes,
    read_config,
    read_text,
    read_weights,
    size,
)
from grader.text import PYTHON
from scripts.parts import Parts

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
    """The folder's own tokenizer, as the scripts use one. What ends a text goes by GPT-2's name for it.

    Attributes
        ranks           every token with its id, special ones too
        special_tokens  the end of a text, where there is one
    """

    def __init__(self, inner: Any, end: int | None) -> None:
        self._inner = inner
        self.ranks: dict[str, int] = inner.get_vocab(with_added_tokens=True)
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
    llama = parts.module("ex20_llama")
    try:
        config = read_config(folder, "llama")
        sizes = _sizes(folder, config)
        tokenizer = _tokenizer(folder, config, sizes["vocab_size"])
        weights = read_weights(folder)
        check_numbers(weights, folder)
        ours = _under_our_names(weights, sizes, folder)
    except Unusable as error:
        raise UsageError(str(error)) from error
    try:
        model = llama.LlamaModel(llama.LlamaConfig(**sizes))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{folder / 'config.json'}: there is no such model: {error}.") from error
    _fill(model, ours, folder)
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


def _sizes(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The fields of a LlamaConfig. Raises `Unusable`."""
    path = folder / "config.json"
    for name, value in FIXED.items():
        if config.get(name, value) != value:
            raise Unusable(f"{path} asks for {name}={config[name]!r}; this Llama computes {value!r} only.")
    # Newer files hold the angles' parameters in one place, older ones beside the rest.
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    heads, width = size(config, "num_attention_heads", folder), size(config, "hidden_size", folder)
    try:
        kind = rope.get("rope_type") or rope.get("type") or "default"
        if kind != "default":
            raise Unusable(f"{path} asks for angles of the type {kind!r}; this Llama computes 'default' only.")
        if (config.get("head_dim") or width // heads) * heads != width:
            raise Unusable(f"{path} asks for heads of {config['head_dim']}; {heads} of them do not make {width}.")
        base = float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0)
        eps = float(config.get("rms_norm_eps", 1e-6))
    except (TypeError, AttributeError, OverflowError) as error:
        raise Unusable(f"{path} is not the config of a Llama: {error}.") from error
    if not (0 < base < math.inf and 0 <= eps < math.inf):
        raise Unusable(f"{path} has rope_theta={base} and rms_norm_eps={eps}, which nothing can be computed with.")
    groups = heads if config.get("num_key_value_heads") is None else size(config, "num_key_value_heads", folder)
    return {
        "vocab_size": size(config, "vocab_size", folder),
        "context_length": size(config, "max_position_embeddings", folder),
        "emb_dim": width,
        "n_heads": heads,
        "n_kv_groups": groups,
        "n_layers": size(config, "num_hidden_layers", folder),
        "hidden_dim": size(config, "intermediate_size", folder),
        "rope_base": base,
        "norm_eps": eps,
        "tie_weights": bool(config.get("tie_word_embeddings", False)),
    }


def _under_our_names(
    weights: dict[str, torch.Tensor], sizes: dict[str, Any], folder: Path
) -> dict[str, torch.Tensor]:
    """The tensors as LlamaModel calls them. Raises `Unusable` where they are of another size than the config says,
    which is found out before a model of that size is made."""
    ours = {ours: tensor for name, tensor in weights.items() if (ours := our_name(name)) is not None}
    check_layers(ours, "trf_blocks.{}", sizes["n_layers"], folder)
    tables = {
        "tok_emb.weight": (sizes["vocab_size"], sizes["emb_dim"]),
        "trf_blocks.0.ff.fc1.weight": (sizes["hidden_dim"], sizes["emb_dim"]),
    }
    check_shapes(ours, tables, folder)
    if sizes["tie_weights"] and "tok_emb.weight" in ours:
        ours.setdefault("out_head.weight", ours["tok_emb.weight"])
    return ours


def _fill(model: Any, ours: dict[str, torch.Tensor], folder: Path) -> None:
    """Copy the weights into the model, each into its place. Raises `UsageError` with all that does not fit."""
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


def _tokenizer(folder: Path, config: dict[str, Any], rows: int) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        raise Unusable(f"{folder} has no tokenizer.json; the older tokenizer.model is not read here.")
    try:
        import tokenizers
    except ImportError as error:
        raise GraderError(
            f"Reading {path} takes the package tokenizers: {PYTHON} -m pip install -c constraints.txt tokenizers,"
            " with the Python in .venv."
        ) from error
    text = read_text(path)
    try:
        inner = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # it raises nothing more special
        raise Unusable(f"{path} cannot be read: {error}.") from error
    end = config.get("eos_token_id")
    found = Tokenizer(inner, end[0] if isinstance(end, list) and end else end if isinstance(end, int) else None)
    check_ids(found.ranks.values(), rows, folder)
    return found
