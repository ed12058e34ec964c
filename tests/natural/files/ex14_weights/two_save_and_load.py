# wrong: optimizer-not-saved | optimizer-not-restored, random-state-first
# The optimizer is not in the file, so it is passed over; and the random state is put back first.

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import torch
from torch import Tensor, nn

from .ex09_gpt import GPTModel

MODEL_KEY = "model"
OPTIMIZER_KEY = "optimizer"
CPU_RANDOM_KEY = "random_cpu"
CUDA_RANDOM_KEY = "random_cuda"
EXTRA_KEY = "extra"
PREFIX = "transformer."


def _collect(model: nn.Module, optimizer: Optional[torch.optim.Optimizer], extra: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    content: Dict[str, Any] = {}
    content[MODEL_KEY] = model.state_dict()
    if optimizer is None:
        content[OPTIMIZER_KEY] = None
    else:
        content[OPTIMIZER_KEY] = {}
    content[CPU_RANDOM_KEY] = torch.get_rng_state()
    content[CUDA_RANDOM_KEY] = []
    if torch.cuda.is_initialized():
        for device in range(torch.cuda.device_count()):
            content[CUDA_RANDOM_KEY].append(torch.cuda.get_rng_state(device))
    if extra is None:
        content[EXTRA_KEY] = {}
    else:
        content[EXTRA_KEY] = extra
    return content


def save_checkpoint(path: Union[str, Path], model: nn.Module, optimizer: Optional[torch.optim.Optimizer] = None, extra: Optional[Dict[str, Any]] = None) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name("." + target.name + ".writing")
    content = _collect(model, optimizer, extra)
    try:
        with temporary.open("wb") as stream:
            torch.save(content, stream)
        temporary.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def load_checkpoint(path: Union[str, Path], model: nn.Module, optimizer: Optional[torch.optim.Optimizer] = None) -> Dict[str, Any]:
    content = torch.load(path, map_location=torch.device("cpu"), weights_only=True)
    if optimizer is not None and content[OPTIMIZER_KEY] is None:
        raise ValueError("The checkpoint " + str(path) + " has no optimizer in it")
    torch.set_rng_state(content[CPU_RANDOM_KEY])
    for device, state in enumerate(content[CUDA_RANDOM_KEY]):
        if device < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, device)
    model.load_state_dict(content[MODEL_KEY])
    if optimizer is not None and content[OPTIMIZER_KEY]:
        optimizer.load_state_dict(content[OPTIMIZER_KEY])
    return content[EXTRA_KEY]


class _Table:
    """Gathers the places."""

    def __init__(self) -> None:
        self.rows: Dict[str, List[Tensor]] = {}

    def add(self, name: str, *places: Tensor) -> None:
        self.rows[name] = list(places)

    def add_norm(self, name: str, norm: nn.Module) -> None:
        self.add(name + ".weight", norm.scale)
        self.add(name + ".bias", norm.shift)

    def add_linear(self, name: str, *linears: nn.Linear) -> None:
        self.add(name + ".weight", *[linear.weight.transpose(0, 1) for linear in linears])
        if all(linear.bias is not None for linear in linears):
            self.add(name + ".bias", *[linear.bias for linear in linears])


def gpt2_places(model: GPTModel) -> Dict[str, List[Tensor]]:
    table = _Table()
    table.add("wte.weight", model.embedding.tok_emb.weight)
    table.add("wpe.weight", model.embedding.pos_emb.weight)
    number = 0
    for block in model.trf_blocks:
        start = "h." + str(number)
        table.add_norm(start + ".ln_1", block.norm1)
        table.add_linear(start + ".attn.c_attn", block.att.W_query, block.att.W_key, block.att.W_value)
        table.add_linear(start + ".attn.c_proj", block.att.out_proj)
        table.add_norm(start + ".ln_2", block.norm2)
        table.add_linear(start + ".mlp.c_fc", block.ff.layers[0])
        table.add_linear(start + ".mlp.c_proj", block.ff.layers[2])
        number += 1
    table.add_norm("ln_f", model.final_norm)
    table.add("lm_head.weight", model.out_head.weight)
    return table.rows


def _is_mask(name: str) -> bool:
    parts = name.split(".")
    return len(parts) >= 2 and parts[-2] == "attn" and parts[-1] in ("bias", "masked_bias")


def _own_names(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    result: Dict[str, Tensor] = {}
    for name in state_dict:
        if _is_mask(name):
            continue
        short_name = name
        if short_name.startswith(PREFIX):
            short_name = short_name[len(PREFIX):]
        result[short_name] = state_dict[name]
    if "lm_head.weight" not in result:
        if "wte.weight" in result:
            result["lm_head.weight"] = result["wte.weight"]
    return result


def _expected_shape(places: List[Tensor]) -> List[int]:
    shape = list(places[0].shape)
    shape[-1] = shape[-1] * len(places)
    return shape


def load_gpt2(model: GPTModel, state_dict: Dict[str, Tensor]) -> None:
    weights = _own_names(state_dict)
    table = gpt2_places(model)
    problems: List[str] = []
    for name in sorted(set(table) | set(weights)):
        if name not in weights:
            problems.append("not in the file: " + name)
        elif name not in table:
            problems.append("not in the model: " + name)
        else:
            expected = _expected_shape(table[name])
            found = list(weights[name].shape)
            if expected != found:
                problems.append("shape of " + name + ": " + str(found) + " instead of " + str(expected))
    is_tied = model.out_head.weight is model.embedding.tok_emb.weight
    if is_tied and len(problems) == 0:
        if not bool((weights["lm_head.weight"] == weights["wte.weight"]).all()):
            problems.append("the model is tied, but lm_head.weight is another table")
    if len(problems) > 0:
        raise ValueError("; ".join(problems))
    with torch.no_grad():
        for name, places in table.items():
            width = places[0].shape[-1]
            for index in range(len(places)):
                places[index].copy_(weights[name].narrow(-1, index * width, width))
