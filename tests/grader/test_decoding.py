"""A file is read as Python reads it, whatever its encoding and its line ends."""

from __future__ import annotations

import codecs
import subprocess
import sys
from pathlib import Path

import pytest

from grader.learner.decoding import Undecodable, decode, encode
from grader.learner.replace import write_whole

TEXT = "x = 'é'\n"
READ = {
    "UTF-8": TEXT.encode(),
    "a byte order mark": codecs.BOM_UTF8 + TEXT.encode(),
    "a byte order mark and its name": codecs.BOM_UTF8 + b"# coding: utf-8\n" + TEXT.encode(),
    "an editor's latin-1": b"# -*- coding: latin-1 -*-\n" + TEXT.encode("latin-1"),
    "vim's cp1252": b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n" + "x = 'é' # “\n".encode("cp1252"),
    "after a blank line": b"\n# coding: latin-1\n" + TEXT.encode("latin-1"),
    "shift_jis": b"# coding: shift_jis\n" + "x = 'ア'\n".encode("shift_jis"),
    "utf-7": b"# coding: utf-7\nx = '+AOk-'\n",
    "line ends of old": b"# coding: latin-1\r" + TEXT.encode("latin-1").replace(b"\n", b"\r"),
    "line ends of Windows": b"x = '''a\r\nb'''\r\n",
    "mixed line ends": b"x = '''a\rb\r\nc\nd'''",
    "form feeds": b"\x0c\nx = 1\n\x0c\nx = 2\n",
    "no last line end": b"x = 1",
    "nothing but a mark": codecs.BOM_UTF8 + b"x = 0",
}
NOT_READ = {
    "latin-1 without saying so": (b"x = 1\ny = '\xe9'\n", 2, "not UTF-8"),
    "its name on the third line": (b"x = 1\n\n# coding: latin-1\ny = '\xe9'\n", 4, "not UTF-8"),
    "another name than the mark's": (codecs.BOM_UTF8 + b"# coding: latin-1\nx = 1\n", 1, "names at its beginning"),
    "an unknown name": (b"# coding: nothing\nx = 1\n", 1, "unknown encoding: nothing"),
    "what is no text encoding": (b"# coding: rot13\nk = 1\n", 1, "names at its beginning"),
    "what is not ASCII's superset": (b"# coding: utf-16\nx = 1\n", 1, "names at its beginning"),
    "bytes that the named one lacks": (b"# coding: ascii\n\nx = '\xe9'\n", 3, "not the ascii that it says it is"),
    "UTF-16": ("x = 1\n".encode("utf-16"), 1, "UTF-16"),
    "half a character": (b"# coding: unicode_escape\nx = '\\ud800'\n", 1, "surrogates"),
}


def by_python(data: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    """What Python itself makes of such a file."""
    (folder / "it.py").write_bytes(data)
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, '.'); import it; print(ascii(it.x))"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("case", READ)
def test_a_file_is_read_as_python_reads_it(case: str, tmp_path: Path) -> None:
    text, names = decode(READ[case]), dict[str, object]()
    assert "\r" not in text
    exec(text, names)
    assert by_python(READ[case], tmp_path).stdout.strip() == ascii(names["x"])


@pytest.mark.parametrize("case", NOT_READ)
def test_what_python_does_not_read_is_told_with_its_line(case: str, tmp_path: Path) -> None:
    data, line, said = NOT_READ[case]
    with pytest.raises(Undecodable, match=said) as refused:
        decode(data)
    assert refused.value.line == line
    assert by_python(data, tmp_path).returncode != 0


@pytest.mark.parametrize("case", READ)
def test_what_is_written_back_is_the_same_text(case: str, tmp_path: Path) -> None:
    text = decode(READ[case])
    write_whole(tmp_path / "it.py", text)
    assert decode((tmp_path / "it.py").read_bytes()) == text == decode(encode(text))


def test_a_slow_encoding_is_refused() -> None:
    with pytest.raises(Undecodable):
        decode(b"# coding: idna\nx = 1\n")
