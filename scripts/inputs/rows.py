"""Files of examples, row by row: opened, decoded, and every complaint with file and line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any, NoReturn

from grader.errors import UsageError

BLANK = " \t\r\n"


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The whole file, without a byte order mark. Raises `UsageError`, with the line of what is no text."""
    data = read_bytes(path)
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
        text.encode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        refuse(path, line, f"it is not {encoding} text ({error.reason})")
    except UnicodeError as error:
        raise UsageError(f"{path} is not {encoding} text ({error}).") from error
    except (LookupError, ValueError) as error:
        raise UsageError(f"There is no encoding {encoding!r}.") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        refuse(path, line, "it holds a NUL byte, so it is no text, or not in " + encoding)
    return text


def read_bytes(path: Path) -> bytes:
    """What is in a file. Raises `UsageError` where it is not there, or where it is none that has an end."""
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} cannot be read: it is no ordinary file.")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error


def digest(path: Path) -> str:
    """What tells whether a resumed run still reads the same examples. Raises `UsageError`."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def refuse(path: Path, line: int, problem: str) -> NoReturn:
    """Raise the `UsageError` for a broken row."""
    raise UsageError(f"{path}, line {line}: {problem}.")


def json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Each value of a JSON list, or of a file with one JSON value a line, with the line on which it begins.

    Which of the two it is, the first character says: a list begins with a bracket.
    """
    text = read_text(path)
    if text.lstrip(BLANK).startswith("["):
        yield from _in_list(path, text)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip(BLANK):
            value, end = _value(path, line, _skip(line, 0), number)
            if _skip(line, end) != len(line):
                refuse(path, number, "something follows the JSON value")
            yield number, value


def _in_list(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    place = _skip(text, text.index("[") + 1)
    while not text.startswith("]", place):
        value, end = _value(path, text, place)
        yield text.count("\n", 0, place) + 1, value
        place = _skip(text, end)
        if text.startswith(",", place):
            place = _skip(text, place + 1)
        elif not text.startswith("]", place):
            what = "a comma or a closing bracket is missing" if place < len(text) else "the file breaks off"
            refuse(path, text.count("\n", 0, place) + 1, what)
    if _skip(text, place + 1) != len(text):
        refuse(path, text.count("\n", 0, place) + 1, "something follows the list")


def _value(path: Path, text: str, place: int, first_line: int = 1) -> tuple[Any, int]:
    try:
        return JSONDecoder().raw_decode(text, place)
    except JSONDecodeError as error:
        broken_off = error.pos >= len(text.rstrip(BLANK)) or error.msg.startswith("Unterminated string")
        what = "the JSON breaks off" if broken_off else f"this is no JSON ({error.msg}, column {error.colno})"
        refuse(path, first_line + error.lineno - 1, what)
    except RecursionError:
        refuse(path, first_line, "the JSON is nested too deeply")


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in BLANK:
        place += 1
    return place
