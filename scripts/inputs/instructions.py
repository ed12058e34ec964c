"""Instructions with answers, and answers by preference: JSON or JSONL, with Alpaca's keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.entry import ROOT
from scripts.inputs.rows import json_rows, refuse
from scripts.inputs.vocabulary import END_OF_TEXT

INSTRUCTIONS = ROOT / "data" / "instructions.jsonl"
PREFERENCES = ROOT / "data" / "preferences.jsonl"


def read_instructions(path: Path) -> list[dict[str, str]]:
    """Each entry with `instruction`, `input` (maybe empty) and `output`, in the order of the file.

    `input` may be missing; further keys are left out. Raises `UsageError` with file and line of a broken entry.
    """
    return _entries(path, ("instruction", "output"))


def read_preferences(path: Path) -> list[dict[str, str]]:
    """Each entry with `instruction`, `input` (maybe empty), `chosen` and `rejected`. Otherwise as above."""
    return _entries(path, ("instruction", "chosen", "rejected"))


def _entries(path: Path, keys: tuple[str, ...]) -> list[dict[str, str]]:
    found = []
    for line, value in json_rows(path):
        if not isinstance(value, dict):
            refuse(path, line, "this is no object with keys")
        found.append({key: _field(path, line, value, key) for key in keys} | {"input": _input(path, line, value)})
    if not found:
        refuse(path, 1, "the file holds no entries")
    return found


def _field(path: Path, line: int, entry: dict[str, Any], key: str) -> str:
    if key not in entry:
        refuse(path, line, f"the key {key!r} is missing")
    text = _text(path, line, key, entry[key])
    if not text.strip():
        refuse(path, line, f"{key!r} is empty")
    return text


def _input(path: Path, line: int, entry: dict[str, Any]) -> str:
    return _text(path, line, "input", entry.get("input") or "")


def _text(path: Path, line: int, key: str, value: Any) -> str:
    if not isinstance(value, str):
        refuse(path, line, f"{key!r} should be a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(path, line, f"{key!r} holds half a character (a lone surrogate)")
    if END_OF_TEXT in value:
        refuse(path, line, f"{key!r} holds {END_OF_TEXT}, which is put at the end of an answer anyway")
    return value
