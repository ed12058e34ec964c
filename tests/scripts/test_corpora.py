"""What to train on: the manual, a download, GPT-2's vocabulary; and the curve as text."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import tiktoken

from grader.errors import GraderError
from scripts.inputs import corpora, vocabulary
from scripts.inputs.corpora import Corpus, read_corpus
from scripts.parts import Parts
from scripts.training.curves import as_text

TEXT = "Once upon a time, in a café.\n" * 10


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/text"
        self.send_response(200 if found else 404)
        self.end_headers()
        if found:
            self.wfile.write(TEXT.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_a_download_is_cleaned_and_kept(
    parts: Parts, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "DOWNLOADS", tmp_path)
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    assert read_corpus(Corpus(url=f"{server}/text", sha256=digest), parts) == TEXT.strip()
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == [TEXT]
    with pytest.raises(GraderError, match="/none"):
        read_corpus(Corpus(url=f"{server}/none"), parts)
    with pytest.raises(GraderError, match="/text"):
        read_corpus(Corpus(url=f"{server}/text", sha256="0" * 64), parts)


def test_the_manual_is_long_and_the_same_each_time(parts: Parts) -> None:
    manual = read_corpus(Corpus("manual"), parts)
    assert len(manual) > 300_000
    assert manual == read_corpus(Corpus("manual"), parts)


def test_gpt2s_vocabulary_is_tiktokens(parts: Parts) -> None:
    try:
        theirs = tiktoken.get_encoding("gpt2")
    except Exception:
        pytest.skip("neither tiktoken's cache nor the network has GPT-2's vocabulary")
    assert vocabulary.gpt2(parts).encode(TEXT) == theirs.encode(TEXT)


class _Point:
    def __init__(self, step: int, train_loss: float, val_loss: float) -> None:
        self.step, self.train_loss, self.val_loss = step, train_loss, val_loss


def test_the_curve_as_text_falls_from_left_to_right() -> None:
    lines = as_text([_Point(step, 6 - step / 10, float("nan")) for step in range(1, 21)], width=40)
    columns = [line.index(".", 9) for line in lines if "|" in line and "." in line[9:]]
    assert columns == sorted(columns) and len(columns) > 8
    assert all(len(line) <= 50 for line in lines)
    assert as_text([]) == as_text([_Point(1, float("nan"), float("inf"))]) == []
