"""How a wrong text or wrong bytes come out of the expected ones."""

from __future__ import annotations

import unicodedata

from grader.judge.relations.arranged import cut_words
from grader.judge.relations.relation import ENOUGH, Relation
from grader.judge.wording import show

LONGEST = 20_000
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def between_texts(expected: str, actual: str) -> Relation | None:
    """The simplest of what makes of one text the other."""
    if max(len(expected), len(actual)) > LONGEST or len(expected) < ENOUGH:
        return None
    if not actual:
        return Relation("empty", "Your text is empty.")
    if "".join(expected.split()) == "".join(actual.split()):
        return _white_space(expected, actual)
    if expected.casefold() == actual.casefold():
        return Relation("case", "Only upper and lower case differ.")
    normal = (unicodedata.normalize("NFC", text) for text in (expected, actual))
    if len(set(normal)) == 1:
        return Relation("unicode form", "The texts look alike. Accents are written as other code points.")
    if expected[::-1] == actual:
        return Relation("reversed", "Yours is the expected text, backwards.")
    found = _one_end(expected, actual, "character") or _one_place(expected, actual)
    if found is None and REPLACEMENT in actual and REPLACEMENT not in expected:
        says = f"Your text has {REPLACEMENT}, which stands for bytes that are no UTF-8: a character was cut in two."
        return Relation("broken characters", says)
    return found


def _white_space(expected: str, actual: str) -> Relation:
    if expected.strip() == actual.strip():
        return Relation("white space at the ends", "Only white space at the beginning or the end differs.")
    if expected.replace("\r\n", "\n") == actual.replace("\r\n", "\n"):
        return Relation("line ends", "Only the ends of lines differ: \\n and \\r\\n.")
    more = "more" if len(actual) > len(expected) else "less" if len(actual) < len(expected) else "other"
    return Relation(
        "white space",
        f"Only white space differs: yours has {more} of it." if more != "other" else "Only white space differs.",
    )


def between_bytes(expected: bytes, actual: bytes) -> Relation | None:
    """Likewise, of bytes."""
    if max(len(expected), len(actual)) > LONGEST or len(expected) < ENOUGH:
        return None
    if not actual:
        return Relation("empty", "Yours is empty.")
    if expected[::-1] == actual:
        return Relation("reversed", "Yours are the expected bytes, backwards.")
    if len(expected) == len(actual) and len(set(expected)) >= ENOUGH:
        steps = {(got - wanted) % 256 for wanted, got in zip(expected, actual, strict=True)}
        if len(steps) == 1:
            by = steps.pop()
            by, more = (by, "more") if by < 128 else (256 - by, "less")
            return Relation(
                f"offset {by if more == 'more' else -by}", f"Every byte is {by} {more} than it should be."
            )
    return _one_end(expected, actual, "byte")


def _one_end(expected: str | bytes, actual: str | bytes, unit: str) -> Relation | None:
    """Something missing or too many at one end."""
    short, long, lacks = (actual, expected, True) if len(actual) < len(expected) else (expected, actual, False)
    if len(short) < ENOUGH or len(short) == len(long):
        return None
    gap = len(long) - len(short)
    if long[: len(short)] == short:
        return cut_words("end", gap, lacks, unit=unit)
    return cut_words("beginning", gap, lacks, unit=unit) if long[gap:] == short else None


def _one_place(expected: str, actual: str) -> Relation | None:
    """One character missing, too many or another, somewhere within."""
    at = next((i for i, (one, other) in enumerate(zip(expected, actual, strict=False)) if one != other), None)
    if at is None or len(expected) <= 2 * ENOUGH:
        return None
    if expected[at + 1 :] == actual[at:]:
        return Relation(
            "one character missing", f"One character is missing: {show(expected[at])} at position {at}."
        )
    if expected[at:] == actual[at + 1 :]:
        return Relation(
            "one character too many", f"One character is too many: {show(actual[at])} at position {at}."
        )
    if expected[at + 1 :] == actual[at + 1 :]:
        says = f"One character differs: {show(actual[at])} at position {at} should be {show(expected[at])}."
        return Relation("one character differs", says)
    return None
