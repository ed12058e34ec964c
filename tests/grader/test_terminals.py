"""What a person sees, on whatever console, from whatever folder, with whatever editor and whatever code."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from grader.course import catalogue
from grader.course.exercise import Exercise
from grader.judge.results import CheckResult, Difference, ExerciseResult, Picture, Report, Status
from grader.protocol.runs import Place
from grader.report import json as jsonformat
from grader.report import junit
from grader.report.console import NARROWEST, Page, link_to, show_progress, show_result, show_summary
from grader.text import PLAIN, encodable
from tests.mini import ROOT, SOLUTION, with_body

Grade = Callable[[str], ExerciseResult]
CONSOLES = ("cp1252", "cp437", "cp850", "koi8-r", "ascii")
FIRST = "ex00_tensors"
# What the lessons on text speak about stands in their messages: it has no other form.
EXAMPLES = set("éïß½ÃשלוםмирⅧ日本👩👧🙂©�\N{ZERO WIDTH JOINER}")
# Moves the cursor, colours, sets the title, hides what follows, turns the direction of writing, is no character.
NAME = "\x1b[31m\x1b]0;title\x07\r\b\x9b31m\u202e\u2066\u200f\u2028\x85\ufeff"
HOSTILE = NAME + "é √ \x00\ud800 \udfff"


@pytest.fixture
def place(checkout: Path, tmp_path: Path) -> Path:
    """A copy of the repository in a folder with a difficult name."""
    own = tmp_path / "Übung 1 мир 日本 'x'"
    shutil.copytree(checkout, own, ignore=shutil.ignore_patterns(".grader"))
    return own


def environment(**changes: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "TERM")}
    return {**inherited, "GPT_KATA_NO_BOOTSTRAP": "1", **changes}


def run(place: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "grader", *arguments],
        cwd=place,
        env=environment(**changes),
        capture_output=True,
        timeout=120,
        check=False,
    )


COLOURS = re.compile(r"\x1b\[[\d;]*m")
LINKS = re.compile(r"\x1b\]8;[^\x1b]*\x1b\\")


def controls(text: str) -> set[str]:
    """The characters of a text that could do something to a terminal."""
    return {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")}


def page_of(monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8", **changes: str) -> tuple[Page, io.BytesIO]:
    """A page whose console has this encoding and this environment, and what is written on it."""
    written = io.BytesIO()
    for name in ("COLUMNS", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, write_through=True))
    return Page(), written


# ------------------------------------------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", CONSOLES)
def test_every_sign_of_ours_has_a_form_on_every_console(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    page, written = page_of(monkeypatch, encoding, COLUMNS="200")
    page.line("".join(PLAIN))
    show_progress(page, 3, 7)
    shown = written.getvalue().decode(encoding)
    assert "?" not in shown
    assert "3 of 7 done" in shown


def test_every_message_can_be_read_in_plain_ascii() -> None:
    for exercise in catalogue.load(ROOT):
        messages = [exercise.title, *(mistake.says for mistake in exercise.mistakes)]
        messages += [hint for hints in exercise.hints.values() for hint in hints]
        for message in messages:
            signs = {character for character in message if not character.isascii()} - EXAMPLES
            lacking = {sign for sign in signs if encodable(sign, "ascii") == "?"}
            assert not lacking, f"{exercise.id}: {message}: give them a form in grader/text.py"


def test_what_a_console_has_is_left_as_it_is() -> None:
    assert encodable("é × ½ √ ✓", "cp1252") == "é × ½ sqrt  +"
    assert encodable("é × ½ √ ✓ мир", "cp437") == "é x ½ √ + ???"
    assert encodable("é ✓ \N{GRINNING FACE}", "utf-8") == "é ✓ \N{GRINNING FACE}"


@pytest.mark.parametrize(
    "changes",
    [
        {"PYTHONUTF8": "1"},
        {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"},
        {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp437"},
        {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["utf-8", "cp1252", "cp437", "C"],
)
def test_a_folder_with_a_difficult_name_is_no_difficulty(place: Path, changes: dict[str, str]) -> None:
    shutil.copy(place / "solutions" / f"{FIRST}.py", place / "exercises")
    done = run(place.parent, "check", "ex00", "ex01", PYTHONPATH=str(place), **changes)
    assert (done.returncode, done.stderr) == (1, b"")
    shown = done.stdout.decode(changes.get("PYTHONIOENCODING", "utf-8"))
    count = len(catalogue.load(ROOT, [FIRST])[0].checks)
    assert f"{count} checks passed" in shown
    assert "1 of 2 passed" in shown
    assert "could not be stored" not in shown
    again = run(place, "history", **changes)
    assert f"passed, {count} of {count} checks".encode() in again.stdout


# ---------------------------------------------------------------------------------------------------- widths


def anything(file: str) -> ExerciseResult:
    """A result of which everything is long, wide, or has tabs."""
    wide = "日本語 👩 " * 30
    cells = (tuple("█▓▒░  " * 2),) * 3
    picture = Picture(cells, cells, ((True, False) * 6,) * 3, "rows 1 to 3 of 30, counted from 0")
    difference = Difference("observed", "off", "expected " * 20, "yours\t" * 20, picture)
    check = CheckResult("test_" + "long_" * 30, Status.WRONG, "f", wide, Place(file, 7, "f" * 90), (), difference)
    return ExerciseResult("ex00_mini", Status.WRONG, 0.1, (check, check), output=f"{wide}\n\ta\tb\n{'x' * 900}\n")


@pytest.mark.parametrize("columns", [NARROWEST, 40, 80])
@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_nothing_is_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, exercise: Exercise, tmp_path: Path, columns: int, terminal: str
) -> None:
    page, written = page_of(monkeypatch, COLUMNS=str(columns), TERM=terminal, FORCE_COLOR="1")
    assert page.console.is_terminal
    show_result(page, anything(str(tmp_path / "ex00_mini.py")), exercise, " --seed 17")
    show_progress(page, 3, 7)
    lines = COLOURS.sub("", LINKS.sub("", written.getvalue().decode())).splitlines()
    widths = [sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) for line in lines]
    assert columns - 10 <= max(widths) <= columns


@pytest.mark.parametrize("columns", ["0", "1", "2", "nonsense"])
def test_a_width_that_is_none_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, exercise: Exercise, tmp_path: Path, columns: str
) -> None:
    page, written = page_of(monkeypatch, COLUMNS=columns)
    show_result(page, anything(str(tmp_path / "ex00_mini.py")), exercise, " --seed 17")
    show_progress(page, 3, 7)
    assert max(map(len, written.getvalue().decode().splitlines())) >= NARROWEST - 1


# ------------------------------------------------------------------------------------- what editors leave behind


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("    ", "\t"),
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n\n    \n\t\n",
        lambda text: text.replace("\n\n\ndef", "\n\x0c\ndef"),
        lambda text: text.replace("double", "doublé") + "\ndouble = doublé\n",
        lambda text: "# -*- coding: utf-8 -*-\n" + text,
    ],
    ids=["old Mac", "tabs", "no end", "blank end", "form feeds", "accents", "coding line"],
)
def test_right_code_passes_whatever_the_editor_does(grade: Grade, edited: Callable[[str], str]) -> None:
    assert grade(edited(SOLUTION)).status is Status.PASSED


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace('"""Twice x."""', '"""Twice\x0b\x0c\x1c\x85\u2028 x."""'),
    ],
    ids=["Windows", "old Mac", "signs that some take for line ends"],
)
@pytest.mark.parametrize(
    ("mistake", "status"), [("raise ValueError(x)", Status.RAISED), ("return = x", Status.UNREADABLE)]
)
def test_lines_are_counted_as_editors_count_them(
    grade: Grade, edited: Callable[[str], str], mistake: str, status: Status
) -> None:
    text = SOLUTION.replace("return x * 2", mistake)
    result = grade(edited(text))
    assert result.status is status
    found = result.place or (result.first_open.place if result.first_open else None)
    assert found is not None
    assert found.line == text[: text.index(mistake)].count("\n") + 1


# ---------------------------------------------------------------------------------------------- hostile characters


HOSTILE_TEXTS = {
    Status.RAISED: with_body(
        f"print({HOSTILE!a})\n"
        f"    def helper(): raise type('Error' + {NAME!a}, (ValueError,), {{}})({HOSTILE!a})\n"
        f"    helper.__code__ = helper.__code__.replace(co_name={NAME!a}, co_filename={NAME!a})\n"
        "    helper()"
    ),
    Status.WRONG: with_body(f"return [{HOSTILE!a}, {{{HOSTILE!a}: type({NAME!a}, (), {{}})()}}]"),
    Status.UNREADABLE: with_body("\u202e\u200f = x\u2066"),
    Status.PASSED: with_body(f"print({HOSTILE!a}); return x * 2") + "# \x1b[31m \u202e \x0c \u2028 \x85\n",
}


@pytest.mark.parametrize("status", HOSTILE_TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_no_harmful_character_gets_through(
    grade: Grade, exercise: Exercise, monkeypatch: pytest.MonkeyPatch, status: Status, encoding: str
) -> None:
    result = grade(HOSTILE_TEXTS[status])
    assert result.status is status
    page, written = page_of(monkeypatch, encoding)
    report = Report(1, "exercises", {}, (result,), 1)
    show_result(page, result, exercise, " --seed 1")
    show_summary(page, report, {exercise.id: exercise}, ROOT / "exercises", "", whole=True)
    shown = written.getvalue().decode(encoding)
    assert controls(shown) == set()
    assert ("\\x1b[31m" in shown) is (status in (Status.RAISED, Status.WRONG))
    # What other programs read is the same bytes on every console.
    as_json, as_xml = jsonformat.render(report), junit.render(report)
    assert as_json.isascii() and as_xml.isascii()
    assert controls(as_json + as_xml) == set()
    assert json.loads(as_json)["exercises"][0]["status"] == status
    cases = [case for case in ElementTree.fromstring(as_xml).iter("testcase") if len(case) == 0]
    assert len(cases) == {Status.PASSED: 3, Status.UNREADABLE: 0}.get(status, 2)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_page_and_a_report_trust_nobody(
    exercise: Exercise, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """Whatever is cleaned before, this is the last place for it."""
    place = Place(HOSTILE, 7, HOSTILE)
    picture = Picture(((HOSTILE,),), ((HOSTILE,),), ((True,),), HOSTILE)
    difference = Difference(HOSTILE, HOSTILE, HOSTILE, HOSTILE, picture)
    check = CheckResult("test_x", Status.RAISED, HOSTILE, HOSTILE, place, (HOSTILE,), difference)
    page, written = page_of(monkeypatch, encoding)
    for result in (
        ExerciseResult("ex00_mini", Status.RAISED, 0.1, (check,), output=HOSTILE),
        ExerciseResult("ex00_mini", Status.UNREADABLE, 0.1, (), HOSTILE, place),
    ):
        show_result(page, result, exercise, " --seed 1")
        report = Report(1, HOSTILE, {HOSTILE: HOSTILE}, (result,), 1, (HOSTILE,))
        show_summary(page, report, {exercise.id: exercise}, Path("exercises"), "", whole=True)
        assert json.loads(jsonformat.render(report))["folder"] == HOSTILE
        as_xml = junit.render(report)
        assert as_xml.isascii()
        ElementTree.fromstring(as_xml)
        assert controls(jsonformat.render(report) + as_xml) == set()
    assert controls(written.getvalue().decode(encoding)) == set()


# --------------------------------------------------------------------------------------------- a real terminal


@dataclass(frozen=True)
class Shown:
    """What a grader on a terminal of its own wrote, its exit code, and the terminal's settings afterwards."""

    text: str
    returncode: int
    settings_before: list[Any]
    settings_after: list[Any]


def on_a_terminal(
    place: Path, changes: dict[str, str], interrupt_when: Callable[[], bool] = lambda: False
) -> Shown:
    """Grade the first exercise in the foreground of a new terminal; type Ctrl-C once, when it is time."""
    import fcntl
    import pty
    import termios

    def take_the_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # Whoever runs the tests in the background of a shell hands down an ignored SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    ours, theirs = pty.openpty()
    settings = termios.tcgetattr(theirs)
    shown, interrupted = b"", False
    with subprocess.Popen(
        [sys.executable, "-m", "grader", "check", "ex00", "--seed", "1"],
        cwd=place,
        env=environment(**changes),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_the_terminal,
    ) as process:
        while process.poll() is None or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.05)[0]:
                shown += os.read(ours, 65536)
            if not interrupted and interrupt_when():
                interrupted = os.write(ours, b"\x03") == 1
    after = termios.tcgetattr(theirs)
    os.close(ours)
    os.close(theirs)
    return Shown(shown.decode(), process.returncode, settings, after)


needs_terminal = pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")


@needs_terminal
@pytest.mark.parametrize(
    ("changes", "coloured"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
    ids=["xterm", "NO_COLOR", "dumb"],
)
def test_colours_are_for_terminals_that_want_them(checkout: Path, changes: dict[str, str], coloured: bool) -> None:
    shown = on_a_terminal(checkout, changes)
    assert shown.returncode == 1
    assert "0 of 1 passed" in COLOURS.sub("", shown.text)
    parameters = {number for code in COLOURS.findall(shown.text) for number in re.findall(r"\d+", code)}
    assert bool(parameters - {"0", "1", "2"}) is coloured  # bold and dim are no colours
    without_links = LINKS.sub("", shown.text)
    assert (without_links != shown.text) is (changes["TERM"] != "dumb")
    assert controls(COLOURS.sub("", without_links).replace("\r\n", "\n")) == set()
    if changes["TERM"] == "dumb":
        assert "\x1b" not in shown.text


@pytest.mark.parametrize(
    ("environment", "link"),
    [
        ({}, "file:///a%20b/ex06.py"),
        ({"TERM_PROGRAM": "vscode"}, "file:///a%20b/ex06.py#42"),
        ({"TERM": "xterm-kitty"}, "file:///a%20b/ex06.py#42"),
        ({"TERM_PROGRAM": "vscode", "SSH_CONNECTION": "1 2 3 4"}, None),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="a path begins otherwise there")
def test_a_place_is_a_link_where_the_file_is(environment: dict[str, str], link: str | None) -> None:
    assert link_to(Place("/a b/ex06.py", 42), environment) == link


@needs_terminal
def test_after_ctrl_c_the_terminal_is_as_before(place: Path, tmp_path: Path) -> None:
    """Also where the code under test tries to get at it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    code = """
import os
try:
    os.open("/dev/tty", os.O_RDWR)
    os.system("stty raw -echo < /dev/tty")
except OSError:
    pass
open("tried", "w").close()
while True: pass
"""
    file = place / "exercises" / f"{FIRST}.py"
    file.write_text(file.read_text(encoding="utf-8") + code, encoding="utf-8")

    def has_tried() -> bool:
        return any(list(folder.glob("*/tried")) for folder in temporary.iterdir())

    shown = on_a_terminal(place, {"TMPDIR": str(temporary), "TERM": "xterm"}, interrupt_when=has_tried)
    assert shown.returncode == 130
    assert "grader: stopped. Nothing is lost." in shown.text
    assert "Traceback" not in shown.text
    assert shown.settings_after == shown.settings_before
