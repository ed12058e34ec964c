"""What forbidden operations computed while a file was imported: a check that uses it is refused.

While a file is imported nothing is refused, as its author may well compare with the ready-made thing there. But the
tensors that came of it are remembered, with all that was computed of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from grader.sandbox.forbidden.families import is_forbidden, plain_name
from grader.sandbox.forbidden.state import now, refuse

# So many tensors are remembered before those that are gone are forgotten.
MANY = 10_000

# The names of the forbidden operations that each tensor came of, by its memory; kept for as long as that is.
_made_at_import: dict[int, tuple[StorageWeakRef, frozenset[str]]] = {}


def seen(name: str, operation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operation of this name returns, unless it is forbidden now or uses what one made at import."""
    if now.followed:
        result = operation(*args, **kwargs)
        _remember(name, (*args, *kwargs.values()), result)
        return result
    if is_forbidden(name, now.forbidden):
        refuse(plain_name(name))
    if _made_at_import:
        origins = _origins((*args, *kwargs.values()))
        for made_by in sorted(origins):
            if is_forbidden(made_by, now.forbidden):
                refuse(plain_name(made_by))
    return operation(*args, **kwargs)


def is_anything_left() -> bool:
    """Is there still a tensor that came of a forbidden operation?"""
    _forget_what_is_gone()
    return bool(_made_at_import)


def forget() -> None:
    """Forget what was made while a file was imported."""
    _made_at_import.clear()


def _remember(name: str, arguments: Iterable[Any], result: Any) -> None:
    """Note of which forbidden operations a result came: of this one, and of those its arguments came of."""
    origins = _origins(arguments) if _made_at_import else frozenset()
    if is_forbidden(name, now.followed):
        origins |= {name}
    if origins:
        if len(_made_at_import) > MANY:
            _forget_what_is_gone()
        for storage in _storages([result]):
            _, before = _made_at_import.get(storage._cdata, (None, frozenset()))
            reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
            _made_at_import[storage._cdata] = (reference, before | origins)


def _forget_what_is_gone() -> None:
    gone = [key for key, made in _made_at_import.items() if made[0].expired()]  # type: ignore[no-untyped-call]
    for key in gone:
        del _made_at_import[key]


def _origins(arguments: Iterable[Any]) -> frozenset[str]:
    found = (_made_at_import.get(storage._cdata) for storage in _storages(arguments))
    return frozenset().union(*(origins[1] for origins in found if origins))


def _storages(values: Iterable[Any]) -> Iterator[Any]:
    """The memory of all tensors among these values, and within lists and tuples of them."""
    for value in values:
        if isinstance(value, torch.Tensor):
            try:
                yield value.untyped_storage()
            except (NotImplementedError, RuntimeError):  # a sparse tensor, or one that stands for many, has none
                continue
        elif isinstance(value, list | tuple):
            yield from _storages(value)
