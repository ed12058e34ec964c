"""Very long pieces, which a tokenizer would take minutes for, are cut before it sees them.

Merging the bytes of a piece takes time that grows with the square of its length. Words have a few letters; a line
of base64, or letters without a space, has thousands.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any

import regex

from grader.errors import UsageError

# In characters. No word is that long, and hardly a line of dashes.
LONGEST = 128


class Bounded:
    """A BPETokenizer that is given no longer piece than that. Its ids, decoded, are still the text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        """As the tokenizer's own."""
        parts = cut(text, self._tokenizer.pattern, self._tokenizer.special_tokens)
        return [number for part in parts for number in self._tokenizer.encode(part, allowed_special)]


def cut(text: str, pattern: str, special_tokens: Collection[str]) -> list[str]:
    """The text in parts, each of which ends within a piece that is too long; mostly there is one part.

    Arguments
        pattern         how a tokenizer cuts text into pieces
        special_tokens  what it cuts out before; none of them is cut in two
    """
    specials = "|".join(regex.escape(special) for special in sorted(special_tokens, key=len, reverse=True))
    ends = [found.span() for found in regex.finditer(specials, text)] if specials else []
    places = [0]
    for (_, start), (stop, _) in pairwise([(0, 0), *ends, (len(text), len(text))]):
        for piece in regex.finditer(pattern, text[start:stop]):
            places.extend(range(start + piece.start() + LONGEST, start + piece.end(), LONGEST))
    return [text[start:stop] for start, stop in pairwise([*places, len(text)])]


def encoded(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text that somebody typed. Raises `UsageError` where the tokenizer refuses something in it."""
    try:
        text.encode()
        ids: list[int] = tokenizer.encode(text)
        return ids
    except UnicodeEncodeError as error:
        raise UsageError("This text cannot be encoded: it holds bytes that are no UTF-8 text.") from error
    except ValueError as error:
        raise UsageError(f"This text cannot be encoded: {error}.") from error
