"""The vocabulary of a byte-level BPE as the hub has it: `tokenizer.json`, or `vocab.json` beside `merges.txt`.

Imports between these modules are relative: in the sandbox they belong to another package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .hub_files import Unusable, read_object, read_text

END_OF_TEXT = "<|endoftext|>"
# How a special token looks where nothing but its look says so.
SPECIAL = re.compile(r"<.+>|\[[A-Z]+\]")
# A tokenizer of another kind, by its file.
OTHER_KINDS = ("vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with their ids, which are also the order of the merges; and special tokens with theirs."""

    ranks: dict[bytes, int]
    special_tokens: dict[str, int]


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """The vocabulary in a folder; None where there is none.

    Raises `Unusable` for a file that is damaged, for a tokenizer that cuts texts in another way than GPT-2's, and
    for one whose ids do not tell the order of its merges.
    """
    both, alone = folder / "tokenizer.json", folder / "vocab.json"
    if both.exists():
        content = read_object(both)
        model = content.get("model")
        if not isinstance(model, dict):
            raise Unusable(f"{both} has no model in it, so it is no tokenizer.")
        _check_kind(content, model, both)
        added = content.get("added_tokens") or []
        try:
            special = {token["content"]: token["id"] for token in added}
        except (TypeError, KeyError) as error:
            raise Unusable(f"{both} lists added tokens without content or id.") from error
        return _vocabulary(model.get("vocab"), special, model.get("merges") or [], both)
    if alone.exists():
        added_file = folder / "added_tokens.json"
        special = read_object(added_file) if added_file.exists() else {}
        merges = folder / "merges.txt"
        return _vocabulary(read_object(alone), special, _lines(merges) if merges.exists() else None, alone)
    others = [name for name in OTHER_KINDS if (folder / name).exists()]
    if others:
        raise Unusable(f"{folder / others[0]} is a tokenizer of another kind than GPT-2's byte-level BPE.")
    return None


def byte_characters() -> dict[int, str]:
    """The printable character by which GPT-2's files write each byte.

    Bytes that are printable in Latin-1 stand for themselves; the others, in order, are written by the
    characters from U+0100 on. Source: the file format of GPT-2's `vocab.json`, Radford et al. 2019.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def _check_kind(content: Mapping[str, Any], model: Mapping[str, Any], path: Path) -> None:
    """Does this tokenizer cut and merge as GPT-2's does?"""
    cutting = content.get("pre_tokenizer") or {}
    after = content.get("post_processor") or {}
    try:
        adds = [part for part in after.get("single") or [] if "SpecialToken" in part]
        unlike = {
            f"it is {model.get('type')}": model.get("type", "BPE") != "BPE",
            "it falls back to bytes": bool(model.get("byte_fallback")),
            "it marks the parts of words": bool(
                model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
            ),
            "it changes texts before it cuts them": content.get("normalizer") is not None,
            "it cuts texts otherwise": cutting.get("type") != "ByteLevel" or not cutting.get("use_regex", True),
            "it puts a space before each text": bool(cutting.get("add_prefix_space", True)),
            "it adds special tokens to each text": bool(adds),
        }
    except (AttributeError, TypeError) as error:
        raise Unusable(f"{path} is not laid out as a tokenizer.") from error
    reasons = [reason for reason, holds in unlike.items() if holds]
    if reasons:
        raise Unusable(f"{path} is a tokenizer of another kind than GPT-2's byte-level BPE: {reasons[0]}.")


def _lines(path: Path) -> list[str]:
    """The merges of a `merges.txt`, in their order."""
    lines = [line.rstrip("\r") for line in read_text(path).split("\n")]
    begins = 1 if lines[0].startswith("#version") else 0  # later lines may be merges of a #
    return [line for line in lines[begins:] if line.strip()]


def _vocabulary(entries: Any, special: Mapping[str, Any], merges: Any, path: Path) -> Vocabulary:
    """Check and sort a vocabulary; `merges` is None where nothing says how its tokens are made."""
    if not isinstance(entries, dict) or not entries:
        raise Unusable(f"{path} is not a vocabulary: it should say which token has which id.")
    ids = {**special, **entries}
    for token, number in ids.items():
        if not isinstance(token, str) or not token or type(number) is not int or number < 0:
            raise Unusable(f"{path} gives the token {token!r} the id {number!r}.")
    twice = next((token for token, number in special.items() if ids[token] != number), None)
    if twice is not None or len(set(ids.values())) != len(ids):
        raise Unusable(f"{path} gives a token two ids, or two tokens the same.")
    made = None if merges is None else _made(merges, ids, path)
    alphabet = {character: bytes([byte]) for byte, character in byte_characters().items()}
    ranks, specials = {}, dict(special)
    for token, number in entries.items():
        if token in special or token == END_OF_TEXT:
            specials[token] = number
        elif alphabet.keys() >= set(token) and (made is None or len(token) == 1 or token in made):
            ranks[b"".join(alphabet[character] for character in token)] = number
        elif SPECIAL.fullmatch(token):
            specials[token] = number
        else:
            raise Unusable(f"{path} has a token {token!r}, which is neither bytes nor made by a merge.")
    lacking = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if lacking:
        named = ", ".join(f"0x{byte:02x}" for byte in lacking[:3])
        raise Unusable(f"{path} lacks {len(lacking)} of the 256 bytes ({named}), so not every text can be written.")
    return Vocabulary(ranks, specials)


def _made(merges: Any, ids: Mapping[str, int], path: Path) -> set[str]:
    """The tokens that the merges make. Raises `Unusable` where their ids do not rise in the order of the merges."""
    made: dict[str, None] = {}
    for left, right in _pairs(merges, path):
        if not {left, right, left + right} <= ids.keys():
            raise Unusable(f"{path} has no token for the merge of {left!r} and {right!r}.")
        made.setdefault(left + right)
    numbers = [ids[token] for token in made]
    if numbers != sorted(numbers):
        raise Unusable(
            f"{path} numbers its tokens in another order than that of its merges; this tokenizer merges by"
            " these numbers."
        )
    return set(made)


def _pairs(merges: Any, path: Path) -> Iterable[tuple[str, str]]:
    """Merges are written as `a b`, or as a list of two."""
    if not isinstance(merges, list):
        raise Unusable(f"{path} has no list of merges.")
    for merge in merges:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise Unusable(f"{path} has a merge that does not join two tokens: {merge!r}.")
        yield parts[0], parts[1]
