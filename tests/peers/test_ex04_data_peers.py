"""The reference of ex04 beside peers: a real HTTP server on this machine, slices of lists, torch's unfold."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

from solutions import ex04_data as ours
from tests import test_ex04_data as probes

STORY = "\ufeffCafé 日本 🙂\r\nTwo lines…\n".encode() * 5000
LATIN = "Café".encode("latin-1")
FORMER = b"what was there before\r\n"
SHORT = 0.3  # seconds of silence that a test has patience for
many = settings(max_examples=200, derandomize=True, deadline=None)


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server(ThreadingHTTPServer):
    """Sends bytes as they are, by path; a path in `silent` is left open after that."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.over = threading.Event()
        head = "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n"
        whole, short = head.format(len(STORY)).encode(), STORY[:1000]
        chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + short + b"\r\n"
        self.answers = {
            "/good": whole + STORY,
            "/empty": head.format(0).encode(),
            "/latin": head.format(len(LATIN)).encode() + LATIN,
            "/no-length": b"HTTP/1.0 200 OK\r\n\r\n" + STORY,
            "/chunked": chunks + b"%x\r\n" % len(STORY[1000:]) + STORY[1000:] + b"\r\n0\r\n\r\n",
            "/other-charset": whole[:-2] + b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n" + STORY,
            "/moved": b"HTTP/1.1 302 Found\r\nLocation: /good\r\nContent-Length: 0\r\n\r\n",
            "/round": b"HTTP/1.1 302 Found\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n",
            "/cut": whole + short,
            "/cut-chunks": chunks,
            "/cut-in-a-chunk": chunks[:-500],
            "/cut-in-the-head": whole[:20],
            "/cut-without-length": b"HTTP/1.0 200 OK\r\n\r\n" + short,
            "/closed": b"",
            "/other-protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
            "/404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
            "/503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy",
            "/silent": b"",
            "/silent-halfway": whole + STORY[: len(STORY) // 2],
        }

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.wfile.write(self.server.answers[self.path])
        self.wfile.flush()
        if self.path.startswith("/silent"):
            self.server.over.wait(30)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy this machine uses, it plays no part here."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(urllib.request, "_opener", None)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------ fetch_text


@pytest.mark.parametrize("path", ["/good", "/no-length", "/chunked", "/other-charset", "/moved"])
def test_a_text_comes_whole_from_a_real_server(server: Server, tmp_path: Path, path: str) -> None:
    cache = tmp_path / "made" / "on the way" / "story.txt"
    assert ours.fetch_text(server.url(path), cache, checksum(STORY)) == STORY.decode("utf-8")
    assert files(tmp_path) == {"story.txt": STORY}
    assert server.asked == ([path, "/good"] if path == "/moved" else [path])


def test_the_server_is_asked_once(server: Server, tmp_path: Path) -> None:
    cache = str(tmp_path / "story.txt")
    for sha256 in (None, checksum(STORY), None):
        assert ours.fetch_text(server.url("/good"), cache, sha256) == STORY.decode("utf-8")
    assert ours.fetch_text(server.url("/empty"), tmp_path / "empty.txt") == ""
    assert ours.fetch_text(server.url("/empty"), tmp_path / "empty.txt") == ""
    assert server.asked == ["/good", "/empty"]


def test_a_damaged_file_is_downloaded_anew(server: Server, tmp_path: Path) -> None:
    cache, second_name = tmp_path / "story.txt", tmp_path / "link.txt"
    cache.write_bytes(FORMER)
    os.link(cache, second_name)
    assert ours.fetch_text(server.url("/good"), cache, checksum(STORY)) == STORY.decode("utf-8")
    assert files(tmp_path) == {"story.txt": STORY, "link.txt": FORMER}


FAILING = ["/404", "/503", "/round", "/cut", "/cut-chunks", "/cut-in-a-chunk", "/closed"]
FAILING += ["/other-protocol", "/silent", "/silent-halfway", "refused"]


@pytest.mark.parametrize("former", [None, FORMER])
@pytest.mark.parametrize("path", FAILING)
def test_a_failed_download_changes_nothing(server: Server, tmp_path: Path, path: str, former: bytes | None) -> None:
    url = f"http://127.0.0.1:{unused_port()}/story" if path == "refused" else server.url(path)
    cache = tmp_path / "story.txt"
    if former:
        cache.write_bytes(former)
    start = time.monotonic()
    with pytest.raises(OSError) as caught:
        ours.fetch_text(url, cache, checksum(STORY), timeout=SHORT)
    assert url in str(caught.value)
    assert files(tmp_path) == ({"story.txt": former} if former else {})
    assert path in ("refused", "/round") or server.asked == [path]
    if path.startswith("/silent"):
        assert SHORT * 0.9 < time.monotonic() - start < 8


@pytest.mark.parametrize("former", [None, FORMER])
def test_a_wrong_text_changes_nothing(server: Server, tmp_path: Path, former: bytes | None) -> None:
    cache = tmp_path / "story.txt"
    if former:
        cache.write_bytes(former)
    with pytest.raises(ValueError) as wrong:
        ours.fetch_text(server.url("/good"), cache, checksum(b"another story"))
    named = (server.url("/good"), checksum(STORY), checksum(b"another story"))
    assert all(name in str(wrong.value) for name in named)
    with pytest.raises(ValueError) as undecodable:
        ours.fetch_text(server.url("/latin"), cache, checksum(LATIN))
    assert server.url("/latin") in str(undecodable.value)
    assert files(tmp_path) == ({"story.txt": former} if former else {})


@pytest.mark.parametrize("path", ["/cut-in-the-head", "/cut-without-length"])
def test_only_the_checksum_sees_a_cut_that_no_length_shows(server: Server, tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match=checksum(STORY)):
        ours.fetch_text(server.url(path), tmp_path / "story.txt", checksum(STORY))
    assert files(tmp_path) == {}


@pytest.mark.parametrize("former", [None, FORMER])
def test_a_file_that_cannot_be_moved_changes_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, former: bytes | None
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("somebody else has the file open")

    cache = tmp_path / "story.txt"
    if former:
        cache.write_bytes(former)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        ours.fetch_text(server.url("/good"), cache, checksum(STORY))
    assert files(tmp_path).get("story.txt") == former


def test_a_file_that_is_not_utf8_is_refused(server: Server, tmp_path: Path) -> None:
    cache = tmp_path / "story.txt"
    cache.write_bytes(LATIN)
    with pytest.raises(ValueError):
        ours.fetch_text(server.url("/good"), cache)
    assert files(tmp_path) == {"story.txt": LATIN}
    assert server.asked == []


def error_of(call: Callable[[], object]) -> tuple[type, type | None]:
    """The type of the error that a download raises, and that of its reason."""
    with pytest.raises(Exception) as caught:
        call()
    reason = getattr(caught.value, "reason", None)
    return type(caught.value), type(reason) if isinstance(reason, Exception) else None


@pytest.mark.parametrize("path", ["/404", "/cut", "/cut-chunks", "/other-protocol", "/silent", "/silent-halfway"])
def test_the_server_of_the_probes_fails_like_a_real_one(server: Server, path: str) -> None:
    url, answer = server.url(path), server.answers[path]
    with probes.served({url: {"sent": answer, "silent": path.startswith("/silent")}}):
        from_memory = error_of(lambda: urllib.request.urlopen(url, timeout=SHORT).read())
    assert from_memory == error_of(lambda: urllib.request.urlopen(url, timeout=SHORT).read())


def test_the_server_of_the_probes_refuses_like_a_real_one() -> None:
    url = f"http://127.0.0.1:{unused_port()}/story"
    with probes.served({}):
        from_memory = error_of(lambda: urllib.request.urlopen(url, timeout=SHORT))
    assert from_memory == error_of(lambda: urllib.request.urlopen(url, timeout=SHORT))


# -------------------------------------------------------------------------------- split_text_train_val


@many
@given(st.text(max_size=60), st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_the_split_loses_nothing(text: str, fraction: float) -> None:
    train, validation = ours.split_text_train_val(text, fraction)
    assert train + validation == text
    assert len(train) <= fraction * len(text) < len(train) + 1


@pytest.mark.parametrize("fraction", [0, 1, -0.25, 1.5, 90, float("nan"), float("inf")])
def test_impossible_shares_are_named(fraction: float) -> None:
    with pytest.raises(ValueError, match=re.escape(str(fraction))):
        ours.split_text_train_val("abcdefg", fraction)


# ---------------------------------------------------------------------------------- GPTDataset, loader


def sliced(ids: list[int], max_length: int, stride: int) -> list[tuple[list[int], list[int]]]:
    """The windows, by nothing but slicing a list until it ends."""
    windows = []
    while len(ids) >= max_length + 1:
        windows.append((ids[:max_length], ids[1 : max_length + 1]))
        ids = ids[stride:]
    return windows


def random_ids(count: int, seed: int) -> Tensor:
    return torch.randint(50257, (count,), generator=torch.Generator().manual_seed(seed))


@many
@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 15))
def test_windows_are_those_of_plain_slicing(count: int, max_length: int, stride: int) -> None:
    ids = random_ids(count, seed=count)
    expected = sliced(ids.tolist(), max_length, stride)
    for given_ids in (ids, ids.tolist(), ids.to(torch.int32), ids.to(torch.float64)):
        dataset = ours.GPTDataset(given_ids, max_length, stride)
        assert len(dataset) == len(expected)
        gone_through = list(islice(dataset, len(expected) + 5))  # a for loop, which an IndexError has to end
        assert [(x.tolist(), y.tolist()) for x, y in gone_through] == expected
        assert all(tensor.dtype == torch.int64 for pair in gone_through for tensor in pair)


@many
@given(st.integers(2, 60), st.integers(1, 12), st.integers(1, 15))
def test_windows_are_those_of_unfold(count: int, max_length: int, stride: int) -> None:
    ids = random_ids(count, seed=count)
    dataset = ours.GPTDataset(ids, max_length, stride)
    if count <= max_length:
        assert len(dataset) == 0
        return
    both = ids.unfold(0, max_length + 1, stride)
    inputs, targets = zip(*islice(dataset, len(both) + 5), strict=True)
    assert torch.equal(torch.stack(inputs), both[:, :-1])
    assert torch.equal(torch.stack(targets), both[:, 1:])


@pytest.mark.parametrize(
    ("max_length", "stride", "named"), [(0, 5, "0"), (5, 0, "0"), (-3, 5, "-3"), (5, -2, "-2")]
)
def test_impossible_windows_are_named(max_length: int, stride: int, named: str) -> None:
    for build in (
        lambda: ours.GPTDataset([1, 2, 3], max_length, stride),
        lambda: ours.create_dataloader([1, 2, 3], 2, max_length, stride),
    ):
        with pytest.raises(ValueError, match=rf" {named}\b"):
            build()


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("count", [0, 3, 5, 6, 25, 26, 45])
def test_batches_in_order_are_slices_of_the_windows(count: int, drop_last: bool) -> None:
    ids, size = random_ids(count, seed=3), 4
    windows = sliced(ids.tolist(), 5, 2)
    expected = [windows[start : start + size] for start in range(0, len(windows), size)]
    if drop_last:
        expected = [batch for batch in expected if len(batch) == size]
    loader = ours.create_dataloader(ids, size, 5, 2, shuffle=False, drop_last=drop_last)
    assert len(loader) == len(expected)
    assert [list(zip(x.tolist(), y.tolist(), strict=True)) for x, y in loader] == expected


def epoch(loader: DataLoader) -> list[tuple[list[int], list[int]]]:
    """All windows of one pass, in the order in which they came."""
    return [pair for x, y in loader for pair in zip(x.tolist(), y.tolist(), strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_shuffling_gives_every_window_once_in_ever_new_order(seed: int) -> None:
    ids = torch.randperm(200, generator=torch.Generator().manual_seed(99))  # no window comes twice
    windows = sliced(ids.tolist(), 7, 3)

    def loader(drop_last: bool, seed: int) -> DataLoader:
        generator = torch.Generator().manual_seed(seed)
        return ours.create_dataloader(ids, 6, 7, 3, shuffle=True, drop_last=drop_last, generator=generator)

    state = torch.get_rng_state()
    one, same, other = loader(False, seed), loader(False, seed), loader(False, seed + 1000)
    first, second = epoch(one), epoch(one)
    assert sorted(first) == sorted(second) == sorted(windows)
    assert first != windows and first != second
    assert (epoch(same), epoch(same)) == (first, second)
    assert epoch(other) != first
    kept = epoch(loader(True, seed))
    assert kept == first[: len(windows) // 6 * 6]
    assert len(windows) % 6 != 0
    assert torch.equal(torch.get_rng_state(), state)  # only the generator that was given has moved on


def test_an_empty_loader_where_torch_refuses() -> None:
    with pytest.raises(ValueError, match="num_samples"):
        DataLoader(ours.GPTDataset([1, 2, 3], 3, 1), shuffle=True)
    for shuffle in (True, False):
        loader = ours.create_dataloader([1, 2, 3], 2, 3, 1, shuffle=shuffle)
        assert (len(loader), list(loader)) == (0, [])


# ------------------------------------------------------------------------------------------- get_batch


@many
@given(st.integers(2, 60), st.integers(1, 12), st.integers(1, 9), st.integers(0, 10_000))
def test_batches_from_random_places_are_rows_of_unfold(count: int, max_length: int, size: int, seed: int) -> None:
    ids = random_ids(count, seed=count)
    if count <= max_length:
        with pytest.raises(ValueError, match=rf"\b{count}\b.*\b{max_length}\b"):
            ours.get_batch(ids, size, max_length)
        return
    windows = ids.unfold(0, max_length + 1, 1)
    places = torch.randint(len(windows), (size,), generator=torch.Generator().manual_seed(seed))
    for given_ids in (ids, ids.to(torch.int32)):
        inputs, targets = ours.get_batch(given_ids, size, max_length, torch.Generator().manual_seed(seed))
        assert torch.equal(inputs, windows[places, :-1]) and inputs.dtype == torch.int64
        assert torch.equal(targets, windows[places, 1:]) and targets.dtype == torch.int64


def test_without_a_generator_torchs_own_decides_and_ids_stay() -> None:
    ids = random_ids(500, seed=8)
    before, windows = ids.clone(), ids.unfold(0, 7, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(17)
        batches = [ours.get_batch(ids, size, 6) for size in (1, 4, 4)]
        torch.manual_seed(17)
        for (inputs, targets), size in zip(batches, (1, 4, 4), strict=True):
            places = torch.randint(len(windows), (size,))
            assert torch.equal(inputs, windows[places, :-1]) and torch.equal(targets, windows[places, 1:])
    for inputs, targets in batches:
        inputs.zero_()
        targets.zero_()
    assert torch.equal(ids, before)


def test_every_window_comes_about_equally_often() -> None:
    ids, rows = torch.randperm(13, generator=torch.Generator().manual_seed(5)), 8000
    inputs, _ = ours.get_batch(ids, rows, 5, torch.Generator().manual_seed(17))
    firsts = torch.bincount(inputs[:, 0], minlength=13)[ids]
    assert firsts[8:].sum() == 0  # eight windows: at the last five ids none begins
    assert ((firsts[:8] - rows / 8).abs() < 150).all()  # five standard deviations


# ------------------------------------------------------------------------------------------ real texts


def test_a_real_text_from_the_server_to_the_batch(server: Server, tmp_path: Path) -> None:
    folder = os.environ.get("GPT_KATA_TEXTS")
    if not folder:
        pytest.skip("GPT_KATA_TEXTS names no folder with the-verdict.txt")
    content = (Path(folder) / "the-verdict.txt").read_bytes()
    server.answers["/verdict"] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    text = ours.fetch_text(server.url("/verdict"), tmp_path / "verdict.txt", checksum(content))
    train, validation = ours.split_text_train_val(text)
    assert (train + validation).encode("utf-8") == content
    ids = list(train.encode("utf-8"))
    loader = ours.create_dataloader(ids, 8, 64, 64, shuffle=False, drop_last=False)
    inputs = torch.cat([x.flatten() for x, _ in loader]).tolist()
    targets = torch.cat([y.flatten() for _, y in loader]).tolist()
    assert inputs == ids[: len(inputs)] and targets == ids[1 : len(inputs) + 1]
    assert len(ids) - len(inputs) <= 64  # what is left over does not fill a window and its target
