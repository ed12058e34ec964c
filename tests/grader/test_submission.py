"""The text that is graded is one whole text, read once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from grader.learner.submission import MAX_BYTES, Unreadable, digest, read_submission, read_text


def test_a_text_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "ex00_a.py"
    path.write_text("whole")
    states = iter([b"", b"wh", b"whol", b"whole", b"whole"])
    assert read_text(path, lambda _: next(states)) == "whole"


def test_a_text_that_was_written_long_ago_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "ex00_a.py"
    path.write_text("whole")
    os.utime(path, (time.time() - 60, time.time() - 60))
    states = iter([b"whole"])
    assert read_text(path, lambda _: next(states)) == "whole"


@pytest.mark.parametrize(
    "data, text", [(b"a\r\nb", "a\nb"), (b"\xef\xbb\xbfa", "a"), ("é🙂".encode(), "é🙂"), (b"", "")]
)
def test_line_ends_and_marks_are_evened_out(tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "ex00_a.py"
    path.write_bytes(data)
    assert read_text(path) == text


def test_what_is_imported_comes_along(tmp_path: Path) -> None:
    texts = {
        "ex02_c": "from .ex01_b import x\nfrom . import helpers\nimport torch\n",
        "ex01_b": "from .ex00_a import x\nfrom .missing import y\n",
        "ex00_a": "from .ex02_c import z\nx = 1\n",
        "helpers": "",
        "ex03_d": "",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    subject = read_submission(tmp_path, "ex02_c")
    assert set(subject.sources) == {"ex02_c", "ex01_b", "ex00_a", "helpers"}
    assert subject.source.text == texts["ex02_c"]
    assert set(subject.imported) == {"ex01_b", "ex00_a", "helpers"}


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ex00_a.py"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(Unreadable, match="more than"):
        read_text(path)


def test_a_folder_is_refused_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "ex00_a.py").mkdir()
    with pytest.raises(Unreadable, match="cannot be opened"):
        read_text(tmp_path / "ex00_a.py")


def test_a_digest_tells_texts_apart() -> None:
    assert digest("a") != digest("b")
    assert digest("a") == digest("a")
