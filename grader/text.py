"""What is shown: how to call the grader, and text without control characters, of bounded length."""

from __future__ import annotations

import os
import sys
import unicodedata

# What to type. Only Windows has a `python` on every machine that has Python.
PYTHON = "python" if os.name == "nt" else "python3"
COMMAND = f"{PYTHON} -m grader"
# What stands for a sign of ours on a console that lacks it.
PLAIN = {
    "✓": "+", "✗": "x", "·": "-", "█": "#", "▓": "*", "▒": ":", "░": ".",
    "→": "->", "…": "...", "—": "-", "–": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "′": "'", "″": '"',
    "√": "sqrt ", "−": "-", "×": "x", "≤": "<=", "≥": ">=", "∞": "inf", "½": "1/2", "β": "beta", "π": "pi",
    "σ": "sigmoid", "ε": "eps", "θ": "theta",
    "²": "^2", "³": "^3", "₁": "_1", "₂": "_2", "ᵀ": "^T", "ᵗ": "^t",
    "¹": "^1", "⁰": "^0", "⁴": "^4", "⁵": "^5", "⁻": "^-", "⌈": "ceil(", "⌉": ")",
}  # fmt: skip


def make_output_safe() -> None:
    """A console that cannot show a character shows a question mark, and nothing fails."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="replace")


def printable(text: str) -> str:
    """`text` without characters that could move a terminal's cursor, colour it or hide something.

    Line ends and tabs stay; lone surrogates become their escape, so that every terminal can encode the rest.
    """
    return "".join(character if _harmless(character) else _escape(character) for character in text)


def encodable(text: str, encoding: str) -> str:
    """`text` with what an encoding lacks replaced: by what is like it, or else by a question mark."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_encodable(character, encoding) for character in text)
    return text


def _encodable(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return PLAIN.get(character, "?")
    return character


def shorten(text: str, limit: int = 80) -> str:
    """`text` as one printable line of at most `limit` characters."""
    line = " ".join(printable(text[: limit + 1]).split("\n"))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def sentence(text: str) -> str:
    """What somebody else's program says, with one sign at its end."""
    text = text.rstrip(".")
    return text if text.endswith("?") else f"{text}."


def _harmless(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
