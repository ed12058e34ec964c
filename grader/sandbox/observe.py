"""`observe`: what a probe writes down. It keeps raw values and decides nothing.

What a frame could not carry is not copied first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from grader.protocol.runs import Observation
from grader.protocol.values import (
    ITEM_SIZES,
    MAX_DEPTH,
    MAX_HEADER,
    MAX_MESSAGE,
    MAX_TENSORS,
    MAX_VALUES,
    Array,
    Opaque,
    Raised,
    Value,
    too_large,
)
from grader.sandbox.forbid import ForbiddenCall

CUT = "… (cut)"


class Observe:
    """Records named values, copied at once, so that nothing done later changes them."""

    def __init__(self) -> None:
        self.recorded: list[Observation] = []

    def __call__(self, name: str, value: object, *, tolerance: float = 1e-5) -> None:
        """Record `value` under `name`.

        Tensors, numbers, text, bytes, None, and lists, tuples and dicts of them. `tolerance` is how far a
        number may be off, absolutely and relatively: 1e-5 for a layer, 1e-4 for a model.
        """
        self.recorded.append(Observation(name, freeze(value), tolerance))

    def outcome(
        self,
        name: str,
        call: Callable[..., object],
        *arguments: Any,
        mentions: tuple[str, ...] = (),
        **named: Any,
    ) -> None:
        """Record what `call(*arguments, **named)` returns, or the type of error that it raises.

        `mentions` lists what the message of that error has to contain, for instance the two lengths.
        """
        try:
            value = freeze(call(*arguments, **named))
        except (NotImplementedError, ForbiddenCall):
            raise
        except Exception as error:
            value = Raised(error_types(error), message_of(error), mentions)
        self.recorded.append(Observation(name, value))


def error_types(error: BaseException) -> tuple[str, ...]:
    """Class names of an exception, the most specific first, without `BaseException` and `object`.

    Read past whatever a class of the code under test, or the class of that class, says of itself.
    """
    kinds = type.__dict__["__mro__"].__get__(type(error))
    names = (type.__dict__["__name__"].__get__(kind) for kind in kinds if kind not in (BaseException, object))
    return tuple(str.__str__(name) for name in names)


def message_of(error: BaseException) -> str:
    """What an error says; what is too long is cut, and says so."""
    try:
        message = str.__str__(str(error))
    except BaseException as broken:
        return f"(what it says could not be read: {', '.join(error_types(broken)[:1])})"
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - len(CUT)] + CUT


def freeze(value: object, depth: int = 0) -> Value:
    """A copy of `value` out of plain, comparable parts. Subclasses are reduced to what they are based on."""
    if depth >= MAX_DEPTH:
        return Opaque("value nested too deeply")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, torch.Tensor):
        return freeze_tensor(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value) if str.__len__(value) <= MAX_HEADER else too_large(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value) if len(value) <= MAX_HEADER else too_large(value)
    if isinstance(value, torch.Size):
        return tuple(int(size) for size in value)
    if isinstance(value, list | tuple | dict) and len(value) > MAX_VALUES:
        return too_large(value)
    if isinstance(value, list):
        return [freeze(item, depth + 1) for item in value]
    if isinstance(value, tuple):
        return tuple(freeze(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return {_hashable(freeze(key, depth + 1)): freeze(item, depth + 1) for key, item in value.items()}
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    return Opaque(type(value).__name__)


def freeze_tensor(value: torch.Tensor) -> Value:
    """The tensor's dtype, shape and bytes in C order."""
    plain = value.detach().as_subclass(torch.Tensor)
    if plain.layout is not torch.strided:
        return Opaque(f"{plain.dtype} tensor, {plain.layout}")
    dtype = str(plain.dtype).removeprefix("torch.")
    if dtype not in ITEM_SIZES:
        return Opaque(f"{dtype} tensor")
    if plain.numel() * plain.element_size() > MAX_TENSORS:
        return too_large(Array(dtype, tuple(plain.shape), b""))
    raw = plain.to("cpu").contiguous().flatten().view(torch.uint8) if plain.numel() else torch.empty(0)
    return Array(dtype, tuple(plain.shape), raw.numpy().tobytes())


def _hashable(key: Value) -> Value:
    return key if not isinstance(key, list | dict) else Opaque("key that cannot be hashed")
