"""Observed values: what a tensor, an error or anything else becomes on its way to the judge."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Array:
    """A tensor as it was observed: its bytes in C order, so that no process needs the other's library."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Raised:
    """A call that raised: class names from the most specific to `Exception`, and what the message must name."""

    types: tuple[str, ...]
    message: str
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opaque:
    """Something that cannot be compared, such as a function where a tensor was expected."""

    type_name: str


Value = object
"""One of: None, bool, int, float, str, bytes, `Array`, `Raised`, `Opaque`, and lists, tuples, dicts of them."""
