"""From the bytes of a Python file to its text, as Python itself reads it, and back."""

from __future__ import annotations

import codecs
import io
import tokenize

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# An encoding that reads this otherwise cannot be named in the file itself.
PLAIN = b"# coding"
# Python takes it, but needs minutes for a large file.
SLOW = "idna"


class Undecodable(Exception):
    """Bytes that are no text to Python; `line` is where."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


def decode(data: bytes) -> str:
    """The text of a Python file: in the encoding that its first two lines name, or in UTF-8.

    A byte order mark is dropped, and every line ends in a line feed. Raises `Undecodable`.

    Source: https://docs.python.org/3/reference/lexical_analysis.html#encoding-declarations
    """
    if data.startswith(UTF_16):
        raise Undecodable("The file is UTF-16, which Python does not read. Save it as UTF-8 in your editor.")
    encoding, problem = _encoding_of(data)
    try:
        text = data.decode(encoding)
        text.encode()  # with some encodings half a character can be written
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        name = "UTF-8" if encoding.startswith("utf-8") else f"the {encoding} that it says it is,"
        raise Undecodable(f"The file is not {name} here. Save it as UTF-8 in your editor.", line) from error
    except ValueError as error:
        problem = str(error)
    if problem:
        why = f"Python cannot read the file in the encoding that it names at its beginning ({problem})."
        raise Undecodable(f"{why} Save it as UTF-8 in your editor, and take that line out.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def encode(text: str) -> bytes:
    """The bytes of a file that Python reads as this text: in the encoding that the text names, or in UTF-8."""
    data = text.encode()
    encoding, problem = _encoding_of(data)
    if problem or encoding.startswith("utf-8"):
        return data
    try:
        return text.encode(encoding)
    except ValueError:
        return data


def _encoding_of(data: bytes) -> tuple[str, str]:
    """The encoding of a file, and what is wrong with the one that it names."""
    lines = io.BytesIO(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    try:
        encoding, _ = tokenize.detect_encoding(lines.readline)
        if encoding == SLOW or PLAIN.decode(encoding) != PLAIN.decode():
            return "utf-8-sig", f"encoding problem: {encoding}"
    except (SyntaxError, LookupError, ValueError) as error:
        return "utf-8-sig", str(error)
    return encoding, ""
