"""Labelled messages: CSV with the columns `label` and `text`, or lines of label, tab, text."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.entry import ROOT
from scripts.inputs.rows import read_text, refuse
from scripts.inputs.vocabulary import END_OF_TEXT

MESSAGES = ROOT / "data" / "messages.csv"
LABELS = ("ham", "spam")
# A message may be longer than what `csv` takes for a field.
csv.field_size_limit(2**30)


def read_messages(path: Path, labels: Sequence[str] = LABELS, encoding: str = "utf-8") -> list[tuple[str, int]]:
    """The messages of a file with the places of their labels in `labels`, in the order of the file.

    A file whose name ends in .csv is read as CSV and has to begin with the names of its columns; `label` and
    `text` are those that count. Any other is read line by line as label, tab, text, and a quotation mark in it is
    one like any other sign: real collections hold unbalanced ones, and a reader that takes them for the beginning
    of a field swallows hundreds of lines.

    Raises `UsageError` with file and line for a row that is broken, for a label that is not among `labels`, and for
    a file without messages.
    """
    text = read_text(path, encoding)
    found = []
    for line, label, message in _from_csv(path, text) if path.suffix == ".csv" else _from_tabs(path, text):
        if label.strip() not in labels:
            refuse(path, line, f"the label is {label.strip()[:40]!r}, and should be one of {', '.join(labels)}")
        if END_OF_TEXT in message:
            refuse(path, line, f"{END_OF_TEXT} is no part of a message: it ends a text")
        found.append((message, labels.index(label.strip())))
    if not found:
        refuse(path, 1, "the file holds no messages")
    return found


def counted(messages: Sequence[tuple[str, int]], labels: Sequence[str] = LABELS) -> str:
    """How many there are of each label, in words."""
    counts = Counter(label for _, label in messages)
    return ", ".join(f"{counts[number]} {label}" for number, label in enumerate(labels))


def _from_csv(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] = []
    line = 1
    try:
        for row in rows:
            if not columns:
                columns = [name.strip().lower() for name in row]
                for name in ("label", "text"):
                    if name not in columns:
                        refuse(path, line, f"there is no column {name!r}; it has {', '.join(columns) or 'none'}")
            elif row:
                if len(row) != len(columns):
                    refuse(path, line, f"{len(row)} fields, and the first line names {len(columns)}")
                yield line, row[columns.index("label")], row[columns.index("text")]
            line = rows.line_num + 1
    except csv.Error as error:
        refuse(path, line, f"this is no CSV ({error})")


def _from_tabs(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            label, tab, message = line.rstrip("\r").partition("\t")
            if not tab:
                refuse(path, number, "there is no tab between label and text")
            yield number, label, message
