# wrong: weights-told-apart-by-their-address
# Sharing is told by data_ptr, which is 0 for everything on the meta device.
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LoRALayer(nn.Module):
    scale: float

    def __init__(self, in_dim: int, out_dim: int, rank: int, alpha: float) -> None:
        super().__init__()
        _check(rank)
        bound = 1 / rank**0.5
        self.A = nn.Parameter(torch.rand(in_dim, rank) * 2 * bound - bound)
        self.B = nn.Parameter(torch.zeros(rank, out_dim))
        self.scale = float(alpha) / float(rank)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.A.t()), self.B.t()) * self.scale

    def delta(self) -> Tensor:
        return (self.A @ self.B).t() * self.scale


class LinearWithLoRA(nn.Module):
    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        fan_out, fan_in = linear.weight.shape
        self.linear = linear
        self.lora = LoRALayer(fan_in, fan_out, rank, alpha).to(linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.lora(x).add(self.linear(x))


def _check(rank: int) -> None:
    if not rank >= 1:
        raise ValueError(f"a rank of {rank} makes no sense")


def _loras(model: nn.Module) -> dict[str, LoRALayer]:
    return {path: module for path, module in model.named_modules() if isinstance(module, LoRALayer)}


def _matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    found = {}
    for path, lora in _loras(model).items():
        for letter in "AB":
            found[".".join(filter(None, (path, letter)))] = getattr(lora, letter)
    return found


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    above, _, name = path.rpartition(".")
    setattr(model.get_submodule(above), name, module)


def _is_shared(model: nn.Module, weight: nn.Parameter) -> bool:
    return (
        sum(other.data_ptr() == weight.data_ptr() for _, other in model.named_parameters(remove_duplicate=False))
        > 1
    )


def replace_linear_with_lora(model: nn.Module, rank: int, alpha: float) -> int:
    if isinstance(model, nn.Linear):
        raise ValueError("use LinearWithLoRA for a bare layer")
    _check(rank)
    inside = {id(m.linear) for m in model.modules() if isinstance(m, LinearWithLoRA)}
    chosen = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) not in inside and not _is_shared(model, module.weight)
    ]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for path in chosen:
        _put(model, path, LinearWithLoRA(model.get_submodule(path), rank, alpha))
    for matrix in _matrices(model).values():
        matrix.requires_grad_()
    return len(chosen)


def lora_state_dict(model: nn.Module) -> dict[str, Tensor]:
    return {name: matrix.data.clone() for name, matrix in _matrices(model).items()}


def load_lora(model: nn.Module, state: dict[str, Tensor]) -> None:
    mine = _matrices(model)
    lacking, foreign = mine.keys() - state.keys(), state.keys() - mine.keys()
    shapes = [
        f"{name} {tuple(state[name].shape)} != {tuple(mine[name].shape)}"
        for name in sorted(mine.keys() & state.keys())
        if tuple(state[name].shape) != tuple(mine[name].shape)
    ]
    if lacking or foreign or shapes:
        raise ValueError(f"{lacking=} {foreign=} {shapes=}")
    for name, matrix in mine.items():
        matrix.data.copy_(state[name].data)


@torch.no_grad()
def merge_lora(model: nn.Module) -> int:
    if type(model) is LinearWithLoRA:
        raise ValueError("there is no place to put the linear layer")
    wrapped = {path: module for path, module in model.named_modules() if isinstance(module, LinearWithLoRA)}
    for path, wrapper in wrapped.items():
        wrapper.linear.weight += wrapper.lora.delta()
        _put(model, path, wrapper.linear)
    return len(wrapped)


def count_trainable(model: nn.Module) -> tuple[int, int]:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trains in sizes if trains), sum(n for n, _ in sizes)
