"""A model's folder as the Hugging Face hub has it, or as a download left it: JSON objects, and tensors.

Nothing here unpickles, and nothing outside of the folder is opened. It imports nothing of the grader, whose
files the sandbox does not let a scene read.
"""

from __future__ import annotations

import json
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
# Weights in another format. The first two are pickles.
OTHER_WEIGHTS = (".bin", ".pt", ".h5", ".msgpack", ".gguf", ".onnx", ".safetensors")
PICKLES = (".bin", ".pt")
CONVERSION = (
    'python3 -c "from transformers import AutoModelForCausalLM as Model;'
    ' Model.from_pretrained({folder!r}).save_pretrained({folder!r})"'
)
LARGEST = 2**31


class Unusable(ValueError):
    """What a folder holds cannot be used. The message says which file, why, and what helps."""


def read_config(folder: Path, model_type: str) -> dict[str, Any]:
    """The `config.json` of a model of this type.

    Raises `Unusable` where there is no such folder, or no such model in it.
    """
    _check_folder(folder)
    path = folder / "config.json"
    if not _is_there(path):
        raise Unusable(f"{folder} has no config.json, so it is no model as the hub has it.{_what_it_is(folder)}")
    config = read_object(path)
    if config.get("model_type") != model_type:
        raise Unusable(f"{path} describes a model of type {config.get('model_type')!r}, not {model_type!r}.")
    return config


def size(config: Mapping[str, Any], name: str, folder: Path) -> int:
    """A whole number above 0 from a config. Raises `Unusable` where it is none."""
    value = config.get(name)
    if type(value) is not int or not 0 < value < LARGEST:
        raise Unusable(f"{folder / 'config.json'} has {name}={value!r}; it should be a whole number above 0.")
    return value


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file, with a byte order mark or without. Raises `Unusable`."""
    data = _read(path)
    try:
        found = json.loads(data, object_pairs_hook=_each_once)  # finds out which of Unicode's encodings it is
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{path} is no JSON that can be read: {error}.") from error
    if not isinstance(found, dict):
        raise Unusable(f"{path} is no JSON object.")
    return found


def read_text(path: Path) -> str:
    """A text in UTF-8, without its byte order mark. Raises `Unusable`."""
    try:
        return _read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}).") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a model under their own names, from one file or from those that an index names.

    Raises `Unusable` where a file is missing, damaged, or outside of the folder.
    """
    if _is_there(folder / WEIGHTS):  # which counts first, as in transformers
        return _tensors(folder / WEIGHTS)
    if not _is_there(folder / INDEX):
        raise Unusable(_without_weights(folder))
    placed = read_object(folder / INDEX).get("weight_map")
    if not isinstance(placed, dict) or not placed or not all(isinstance(name, str) for name in placed.values()):
        raise Unusable(f"{folder / INDEX} does not say which file holds which tensor.")
    files = sorted(set(placed.values()))
    for name in files:
        if not re.fullmatch(r"[\w.-]+\.safetensors", name):
            raise Unusable(f"{folder / INDEX} names {name!r}, which is no safetensors file of this folder.")
    missing = [name for name in files if not _is_there(folder / name)]
    if missing:
        raise Unusable(f"{folder} lacks {', '.join(missing)}: {len(missing)} of {len(files)} files with weights.")
    tensors: dict[str, Tensor] = {}
    for name in files:
        found = _tensors(folder / name)
        wanted = [tensor for tensor, file in placed.items() if file == name]
        lacking = [tensor for tensor in wanted if tensor not in found]
        if lacking:
            raise Unusable(f"{folder / name} lacks {lacking[0]}, which {INDEX} says is in it.")
        tensors |= {tensor: found[tensor] for tensor in wanted}
    return tensors


def check_numbers(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Raises `Unusable` with the name of a tensor that holds no weights to compute with."""
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise Unusable(f"{folder}: {name} is in {kind}. Weights that were quantized are not read here.")
        if tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all():
            raise Unusable(f"{folder}: {name} holds NaN or infinite numbers, so nothing could be computed with it.")


def check_shapes(tensors: Mapping[str, Tensor], wanted: Mapping[str, Sequence[int]], folder: Path) -> None:
    """Before a model of the config's size is made: is that the size of these tensors? Raises `Unusable`."""
    for name, shape in wanted.items():
        if name in tensors and tuple(tensors[name].shape) != tuple(shape):
            sizes = f"{name} has shape {tuple(tensors[name].shape)}, the config {tuple(shape)}"
            raise Unusable(f"{folder} does not fit what its config.json says: {sizes}.")


def check_layers(names: Iterable[str], part: str, wanted: int, folder: Path) -> None:
    """Are there as many layers as the config says? Raises `Unusable`.

    `part` is the name of a tensor, or how it begins, with `{}` for the number of its layer.
    """
    begins = re.escape(part.partition("{}")[0])
    found = (re.match(begins + r"(\d{1,6})\.", name) for name in names)
    layers = 1 + max((int(number[1]) for number in found if number), default=-1)
    if layers != wanted:
        first = f"{part.format(min(layers, wanted))} {'has no place' if layers > wanted else 'is missing'}"
        raise Unusable(f"{folder} has weights for {layers} layers, and its config.json says {wanted}: {first}.")


def check_ids(ids: Iterable[int], rows: int, folder: Path) -> None:
    """Is there a row of weights for every token? Raises `Unusable`."""
    largest = max(ids, default=0)
    if largest >= rows:
        raise Unusable(f"{folder} has a token with the id {largest}, and weights for {rows} tokens only.")


def _check_folder(folder: Path) -> None:
    try:
        found = stat.S_ISDIR(folder.stat().st_mode)
        if found:
            next(folder.iterdir(), None)
    except (FileNotFoundError, NotADirectoryError):
        raise Unusable(_no_folder(folder)) from None
    except (OSError, ValueError) as error:
        raise Unusable(f"{folder} cannot be read: {getattr(error, 'strerror', error)}.") from error
    if not found:
        raise Unusable(f"{folder} is a file. Name the folder in which the model lies.")


def _no_folder(folder: Path) -> str:
    name = folder.as_posix()
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
        return f"There is no folder {folder}."
    fetch = f"hf download {name} --local-dir {folder.name}"
    return (
        f"There is no folder {folder} here. If you mean the model of this name on the Hugging Face hub, fetch it"
        f" first: `{fetch}` (the package huggingface_hub has that command)."
    )


def _what_it_is(folder: Path) -> str:
    """A hint at what a folder without a config is instead."""
    if (folder / "settings.json").exists():
        return " It is a run: `scripts.generate --checkpoint` writes from it."
    snapshots = sorted((folder / "snapshots").glob("*/config.json"))
    if snapshots:
        return f" The model itself lies in {snapshots[-1].parent}."
    return "" if any(folder.iterdir()) else " It is empty."


def _without_weights(folder: Path) -> str:
    others = sorted(path.name for path in folder.iterdir() if path.suffix in OTHER_WEIGHTS)
    pickles = [name for name in others if Path(name).suffix in PICKLES]
    if pickles:
        return (
            f"{folder} has no {WEIGHTS}, only {pickles[0]}: a pickle, which can run code of its own and is not read"
            f" here. With the package transformers, this writes the other: {CONVERSION.format(folder=str(folder))}"
        )
    return f"{folder} has no {WEIGHTS}" + (f", only {', '.join(others[:3])}." if others else ".")


def _tensors(path: Path) -> dict[str, Tensor]:
    _check_file(path)
    try:
        return load_file(path)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise Unusable(f"{path} is cut off or damaged, so fetch it again ({error}).") from error


def _read(path: Path) -> bytes:
    _check_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}.") from error


def _check_file(path: Path) -> None:
    """Is this the file itself, and not what a download left in its place?"""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unusable(f"{path} is no file.")
        with path.open("rb") as file:
            begins = file.read(200).lstrip().lower()
    except FileNotFoundError:
        what = "is a link to a file that is not there" if path.is_symlink() else "is missing"
        raise Unusable(f"{path} {what}.") from None
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}.") from error
    if not begins:
        raise Unusable(f"{path} is empty, so fetch it again.")
    if begins.startswith(b"version https://git-lfs"):
        raise Unusable(
            f"{path} only points to the file, which git-lfs keeps elsewhere: `git lfs pull` in {path.parent}"
            " fetches it."
        )
    if begins.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Unusable(f"{path} is a web page: download the file itself, not the page that shows it.")


def _is_there(path: Path) -> bool:
    """Also for a link that leads nowhere, which is to be named."""
    return path.is_symlink() or path.exists()


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it says {name!r} twice")
    return found
