"""The readers of messages, instructions and preferences: what they take, and what they say of a broken row."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.errors import UsageError
from scripts.inputs.instructions import read_instructions, read_preferences
from scripts.inputs.messages import counted, read_messages
from scripts.inputs.rows import json_rows

ENTRY = {"instruction": "Say it.", "input": "", "output": "It."}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_takes_commas_quotes_and_line_breaks_within_a_field(tmp_path: Path) -> None:
    rows = [
        ("ham", 'He said "no, thanks"'),
        ("spam", "two\nlines, and\r\nmore"),
        ("ham", ""),
        ("ham", "x" * 200_000),
    ]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("text", "extra", "label"), *((message, 1, label) for label, message in rows)])
    found = read_messages(written(tmp_path, "messages.csv", "\ufeff" + text.getvalue()))
    assert found == [(message, ("ham", "spam").index(label)) for label, message in rows]
    assert counted(found) == "3 ham, 1 spam"


def test_lines_of_label_tab_text_take_quotation_marks_as_they_are(tmp_path: Path) -> None:
    """The layout of the UCI SMS collection, which holds marks that are never closed."""
    content = 'ham\tHe said "no\nspam\tWIN "now\tor never\r\n\nham\t\n'
    found = read_messages(written(tmp_path, "SMSSpamCollection", content))
    assert found == [('He said "no', 0), ('WIN "now\tor never', 1), ("", 0)]


def test_the_encoding_is_the_one_that_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "messages.tsv", "ham\tcafé £5\n".encode("latin-1"))
    assert read_messages(path, encoding="latin-1") == [("café £5", 0)]
    with pytest.raises(UsageError, match="line 1: it is not utf-8"):
        read_messages(path)
    with pytest.raises(UsageError, match="klingon"):
        read_messages(path, encoding="klingon")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.csv", "kind,words\nham,hello\n", "line 1: there is no column 'label'; it has kind, words"),
        ("m.csv", "label,words\nham,hello\n", "line 1: there is no column 'text'"),
        ("m.csv", "", "line 1: the file holds no messages"),
        ("m.csv", "label,text\n", "line 1: the file holds no messages"),
        ("m.csv", 'label,text\nham,"two\nlines"\negg,hello\n', "line 4: the label is 'egg'"),
        ("m.csv", "label,text\nham,hello\nspam\n", "line 3: 1 fields, and the first line names 2"),
        ("m.csv", 'label,text\nham,hello\nham,"open\n\n', "line 3: this is no CSV"),
        ("m.tsv", "ham\thello\nspam hello\n", "line 2: there is no tab"),
        ("m.tsv", "ham\thello\nHAM!\thello\n", "line 2: the label is 'HAM!'"),
    ],
)
def test_a_broken_row_of_messages_is_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(UsageError) as raised:
        read_messages(path)
    assert str(raised.value).startswith(f"{path}, ") and said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_json_and_jsonl_give_the_same_entries(tmp_path: Path) -> None:
    entries = [{**ENTRY, "output": text} for text in ("one", "two\nlines", "café “quoted”")]
    a_list = written(tmp_path, "a.json", json.dumps(entries, indent=2))
    lines = written(tmp_path, "a.jsonl", "".join(json.dumps(entry) + "\n\n" for entry in entries))
    assert read_instructions(a_list) == read_instructions(lines) == entries
    short = written(tmp_path, "b.json", json.dumps([{"instruction": "Say it.", "output": "It.", "id": 7}]))
    assert read_instructions(short) == [ENTRY]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1: the file holds no entries"),
        ("[]", "line 1: the file holds no entries"),
        (json.dumps(ENTRY) + "\n" + '{"instruction": "Sa', "line 2: the JSON breaks off"),
        ("[\n" + json.dumps(ENTRY) + ",\n" + '{"instruction": "Sa', "line 3: the JSON breaks off"),
        ("[\n" + json.dumps(ENTRY) + ",\n", "the JSON breaks off"),
        ("[\n" + json.dumps(ENTRY) + "\n", "the file breaks off"),
        ("[\n" + json.dumps(ENTRY) + "\n" + json.dumps(ENTRY) + "]", "line 3: a comma"),
        ("[\n" + json.dumps(ENTRY) + "\n]\n7", "line 3: something follows the list"),
        (json.dumps(ENTRY) + " 7", "line 1: something follows"),
        (json.dumps(ENTRY) + "\nhello", "line 2: this is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps(ENTRY) + "\n[1]", "line 2: this is no object"),
        ('{"instruction": "Say it."}', "line 1: the key 'output' is missing"),
        ('{"instruction": "Say it.", "output": 7}', "line 1: 'output' should be a text"),
        ('{"instruction": "Say it.", "output": " "}', "line 1: 'output' is empty"),
        ('{"instruction": "Say it.", "input": 7, "output": "It."}', "line 1: 'input' should be a text"),
        ('{"instruction": "Say it.", "output": "\\ud800"}', "line 1: 'output' holds half a character"),
        (b'{"instruction": "caf\xe9"}', "line 1: it is not utf-8"),
    ],
)
def test_a_broken_entry_is_named(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = written(tmp_path, "entries.json", content)
    with pytest.raises(UsageError) as raised:
        read_instructions(path)
    assert str(raised.value).startswith(f"{path}, line ") and said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_preference_needs_both_answers(tmp_path: Path) -> None:
    entry = {"instruction": "Say it.", "input": "", "chosen": "It.", "rejected": "No."}
    assert read_preferences(written(tmp_path, "p.jsonl", json.dumps(entry))) == [entry]
    with pytest.raises(UsageError, match="line 1: the key 'rejected' is missing"):
        read_preferences(written(tmp_path, "q.jsonl", json.dumps({**ENTRY, "chosen": "It."})))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for reader in (read_messages, read_instructions, read_preferences):
        with pytest.raises(UsageError, match="nowhere"):
            reader(tmp_path / "nowhere.csv")


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists), max_size=5),
    indent=st.sampled_from([None, 1]),
)
def test_a_list_is_read_as_json_reads_it(
    tmp_path_factory: pytest.TempPathFactory, values: list[object], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("rows") / "list.json"
    path.write_text(json.dumps(values, indent=indent), encoding="utf-8")
    assert [value for _, value in json_rows(path)] == values
