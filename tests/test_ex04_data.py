"""Probes of ex04: data. Each runs on the reference, on your code and on every known mistake.

No probe opens a socket. `urlopen` is answered from memory, by what real servers send.
"""

import hashlib
import io
import urllib.request
from contextlib import contextmanager
from http.client import HTTPResponse
from itertools import islice
from urllib.error import URLError
from urllib.request import BaseHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor

import torch
from torch.utils.data import DataLoader

URL = "http://texts.example/stories/verdict.txt"
REFUSED = "refused"  # a page that nobody serves


class Wire(io.RawIOBase):
    """What a server sends, and then the end or, if it falls silent, what the time limit makes of that."""

    def __init__(self, sent, silent):
        self.sent = io.BytesIO(sent)
        self.silent = silent

    def readable(self):
        return True

    def readinto(self, buffer):
        count = self.sent.readinto(buffer)
        if not count and self.silent:
            raise TimeoutError("timed out")
        return count

    def makefile(self, mode):
        return io.BufferedReader(self)


class Memory(BaseHandler):
    """Answers requests from memory and writes them down: a handler for urllib's opener."""

    def __init__(self, pages):
        self.pages = pages
        self.requests = []

    def http_open(self, request):
        timed = isinstance(request.timeout, int | float)
        self.requests.append((request.full_url, float(request.timeout) if timed else "no timeout"))
        page = self.pages.get(request.full_url, REFUSED)
        if page is REFUSED:
            raise URLError(ConnectionRefusedError("connection refused"))
        response = HTTPResponse(Wire(**page), method=request.get_method())
        response.begin()
        response.url, response.msg = request.full_url, response.reason
        return response

    https_open = http_open


@contextmanager
def served(pages):
    """Within the block `urlopen` gets these pages. Yields the list of requests: URL and timeout."""
    memory = Memory(pages)
    opener = urllib.request.OpenerDirector()
    for handler in (memory, HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(handler)
    former = urllib.request._opener
    urllib.request.install_opener(opener)
    try:
        yield memory.requests
    finally:
        urllib.request.install_opener(former)


def page(body, status="200 OK", silent=False, announced=None):
    """An answer of HTTP/1.1. `announced` is the length that it claims, where that is not the true one."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if announced is None else announced}"]
    return {"sent": "\r\n".join([*lines, "", ""]).encode("ascii") + body, "silent": silent}


def checksum(content):
    return hashlib.sha256(content).hexdigest()


def files(folder):
    """Every file below a folder, with what it holds."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def story(draw, lines=12):
    """A text of several alphabets with the line ends of Windows, as bytes."""
    return "\r\n".join(draw.text(6) + draw.word() for _ in range(lines)).encode("utf-8")


def observe_failure(fetch_text, draw, observe, tmp_path, answer):
    """Fetch what fails, first without a former file, then with one that is not the right one."""
    cache = tmp_path / "verdict.txt"
    with served({URL: answer}):
        observe.outcome("the call", fetch_text, URL, cache, mentions=(URL,))
        observe("the file afterwards", files(tmp_path).get(cache.name))
        cache.write_bytes(story(draw))
        observe.outcome(
            "the call, a former file there", fetch_text, URL, cache, checksum(story(draw)), mentions=(URL,)
        )
        observe("the former file afterwards", files(tmp_path).get(cache.name))


def numbers(draw, count):
    """Random ids: in a row of neighbouring numbers several mistakes would not show."""
    return draw.integers(count, high=50257)


def items(dataset):
    return [dataset[index] for index in range(len(dataset))]


def batches(loader):
    """What a loader yields. Pairs, whether torch makes lists or tuples of them; not more than 60."""
    return [(inputs, targets) for inputs, targets in islice(loader, 60)]


def loader_class(loader):
    """The class of torch's that it is one of."""
    return [base.__name__ for base in type(loader).__mro__ if base is DataLoader]


def test_text_is_split_into_training_and_validation(subject, draw, observe):
    """(training text, validation text), both str: the first int(train_fraction * len(text)) characters, and all the
    rest
    """
    observe("the example", subject.split_text_train_val("abcdefg", 0.5))
    text = draw.text(40)
    observe("nine tenths, the default", subject.split_text_train_val(text))
    observe("a share by name", subject.split_text_train_val(text, train_fraction=draw.number(0.3, 0.7)))


def test_split_rounds_down(subject, draw, observe):
    """Example: split_text_train_val("abcdefg", 0.5) is ("abc", "defg"), because int(3.5) is 3."""
    for length, fraction in ((10, 0.9), (17, 0.9), (19, 0.5), (100, 0.29), (11, 0.75), (30, 0.1)):
        text = draw.word(low=length, high=length + 1)
        observe(f"{fraction} of {length} characters", subject.split_text_train_val(text, fraction))


def test_split_counts_characters(subject, draw, observe):
    """(training text, validation text), both str: the first int(train_fraction * len(text)) characters, and all the
    rest
    """
    text = "日本мир🙂é…" * 3 + draw.word()
    for fraction in (0.3, 0.8):
        observe(f"{fraction} of several alphabets", subject.split_text_train_val(text, fraction))
    lines = f" {draw.word()}\n\n {draw.word()} \n{draw.word()}  \n"
    for fraction in (0.25, 0.5, 0.75):
        observe(f"{fraction} of several lines", subject.split_text_train_val(lines, fraction))


def test_split_of_short_texts(subject, draw, observe):
    """(training text, validation text), both str: the first int(train_fraction * len(text)) characters, and all the
    rest
    """
    for text in ("", draw.word(low=1, high=2), draw.word(low=2, high=3), draw.word(low=9, high=10)):
        for fraction in (0.05, 0.5, 0.9, 0.99):
            observe(f"{fraction} of {len(text)} characters", subject.split_text_train_val(text, fraction))


def test_targets_are_inputs_moved_by_one(subject, draw, observe):
    """Its *target* is the window of the same length that begins one id later."""
    example = subject.GPTDataset([5, 2, 9, 4, 4, 1, 7, 3], max_length=3, stride=2)
    observe("windows of the example", items(example))
    observe("windows of random ids", items(subject.GPTDataset(numbers(draw, 40).tolist(), 7, 5)))


def test_last_full_window_is_kept(subject, draw, observe):
    """Window i begins at i · stride, and it counts only if its target fits too."""
    for stride in (1, 3, 4, 6):
        for count in range(5, 15):
            dataset = subject.GPTDataset(numbers(draw, count).tolist(), max_length=4, stride=stride)
            observe(f"windows of {count} ids, stride {stride}", items(dataset))


def test_number_of_windows(subject, draw, observe):
    """So for n ids there are ⌈(n − T) / stride⌉ windows, rounded up, and none if n is T or less."""
    for max_length, stride in ((4, 1), (4, 3), (4, 4), (3, 7), (1, 1), (1, 2)):
        lengths = [len(subject.GPTDataset(numbers(draw, count), max_length, stride)) for count in range(24)]
        observe(f"len for 0 … 23 ids, max_length {max_length}, stride {stride}", lengths)


def test_too_few_ids_give_an_empty_data_set(subject, draw, observe):
    """The number of windows, 0 if there are too few ids."""
    for count in (0, 1, 4, 5):
        for ids in (numbers(draw, count), numbers(draw, count).tolist()):
            dataset = subject.GPTDataset(ids, max_length=5, stride=2)
            observe(f"len for a {type(ids).__name__} of {count} ids", len(dataset))


def test_windows_of_length_one(subject, draw, observe):
    """Window i begins at i · stride, and it counts only if its target fits too."""
    for stride in (1, 3):
        observe(f"windows, stride {stride}", items(subject.GPTDataset(numbers(draw, 8), 1, stride)))


def test_windows_may_be_asked_for_in_any_order(subject, draw, observe):
    """index 0 … len − 1, in any order"""
    dataset = subject.GPTDataset(numbers(draw, 40).tolist(), max_length=7, stride=4)
    order = draw.shuffled([*range(len(dataset)), 0, 2, 2])
    observe("windows", [dataset[index] for index in order])


def test_two_data_sets_share_nothing(subject, draw, observe):
    """Keep what the other two methods need."""
    training = subject.GPTDataset(numbers(draw, 40).tolist(), max_length=7, stride=5)
    validation = subject.GPTDataset(numbers(draw, 20).tolist(), max_length=4, stride=3)
    observe("windows of the first", items(training))
    observe("windows of the second", items(validation))


def test_ids_may_be_a_list_or_a_tensor(subject, draw, observe):
    """ids list of int, or a tensor (n,) of whole numbers"""
    ids = numbers(draw, 30)
    for kind, given in (("a list", ids.tolist()), ("a tensor", ids)):
        observe(f"windows of {kind}", items(subject.GPTDataset(given, max_length=6, stride=4)))


def test_windows_are_int64(subject, draw, observe):
    """(input, target), both int64 (T,), whatever the dtype of ids"""
    for dtype in (torch.int32, torch.float32, torch.uint8):
        ids = draw.integers(25, high=250).to(dtype)
        observe(f"windows of {dtype}", items(subject.GPTDataset(ids, max_length=6, stride=4)))
    large = [number + 2**24 for number in (1, 3, 0, 5, 7, 9)]
    observe("windows of large ids", items(subject.GPTDataset(large, max_length=3, stride=2)))


def test_loader_stacks_windows_in_order(subject, draw, observe):
    """a DataLoader of your GPTDataset. It yields inputs (B, T) and targets (B, T), int64."""
    loader = subject.create_dataloader([5, 2, 9, 4, 4, 1, 7, 3], 2, 3, 2, shuffle=False)
    observe("class of the loader", loader_class(loader))
    observe("batches of the example", batches(loader))
    ids = numbers(draw, 60)
    for kind, given in (("a list", ids.tolist()), ("a tensor", ids), ("int32", ids.to(torch.int32))):
        loader = subject.create_dataloader(given, batch_size=3, max_length=7, stride=5, shuffle=False)
        observe(f"batches of {kind}", batches(loader))


def test_last_short_batch(subject, draw, observe):
    """True: a last batch that is not full is left out"""
    for drop_last in (True, False):
        for count in (7, 12, 13, 14, 15):  # 2, 7, 8, 9 and 10 windows
            ids = numbers(draw, count)
            loader = subject.create_dataloader(ids, 4, 5, 1, shuffle=False, drop_last=drop_last)
            observe(f"number of batches, {count} ids, drop_last={drop_last}", len(loader))
            observe(f"batches, {count} ids, drop_last={drop_last}", batches(loader))


def test_shuffled_batches(subject, draw, observe):
    """True: in a new random order in each epoch"""
    ids, seed = numbers(draw, 60), draw.whole(0, 10_000)
    for drop_last in (True, False):
        for time in ("once", "again with the same seed"):
            generator = torch.Generator().manual_seed(seed)
            loader = subject.create_dataloader(ids, 4, 7, 3, True, drop_last, generator)
            observe(f"first epoch, drop_last={drop_last}, {time}", batches(loader))
            observe(f"second epoch, drop_last={drop_last}, {time}", batches(loader))


def test_generator_alone_decides_the_order(subject, draw, observe):
    """decides the order; None means torch's own"""
    ids, generator = numbers(draw, 40).tolist(), torch.Generator().manual_seed(draw.whole(0, 10_000))
    loader = subject.create_dataloader(ids, batch_size=3, max_length=4, stride=2, generator=generator)
    observe("batches", batches(loader))
    observe("what the generator gives next", torch.randint(10**9, (3,), generator=generator))
    observe("what torch's own generator gives next", torch.randint(10**9, (3,)))


def test_without_a_generator_torchs_own_decides(subject, draw, observe):
    """decides the order; None means torch's own"""
    loader = subject.create_dataloader(numbers(draw, 40), batch_size=3, max_length=4, stride=2)
    observe("first epoch", batches(loader))
    observe("second epoch", batches(loader))


def test_defaults_of_the_loader(subject, draw, observe):
    """a DataLoader of your GPTDataset. It yields inputs (B, T) and targets (B, T), int64."""
    loader = subject.create_dataloader(numbers(draw, 256 + 128 * 8 + 50))  # nine windows
    observe("batches", batches(loader))


def test_fewer_windows_than_a_batch(subject, draw, observe):
    """True: a last batch that is not full is left out"""
    for shuffle in (True, False):
        for drop_last in (True, False):
            loader = subject.create_dataloader(numbers(draw, 6), 4, 5, 3, shuffle=shuffle, drop_last=drop_last)
            observe(f"class, shuffle={shuffle}, drop_last={drop_last}", loader_class(loader))
            observe(f"length, shuffle={shuffle}, drop_last={drop_last}", len(loader))
            observe(f"batches, shuffle={shuffle}, drop_last={drop_last}", batches(loader))


def test_batch_from_random_places(subject, draw, observe):
    """Row i of the inputs begins at starts[i], and row i of the targets one id later"""
    ids, generator = numbers(draw, 50), torch.Generator().manual_seed(draw.whole(0, 10_000))
    kept = [subject.get_batch(ids, 4, 7, generator=generator) for _ in range(3)]
    for time, batch in zip(("first", "second", "third"), kept, strict=True):
        observe(f"{time} batch", batch)


def test_places_come_from_one_call(subject, draw, observe):
    """starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator) is the only draw."""
    ids, generator = numbers(draw, 50), torch.Generator().manual_seed(draw.whole(0, 10_000))
    observe("batch", subject.get_batch(ids, 5, 6, generator))
    observe("what the generator gives next", torch.randint(10**9, (3,), generator=generator))
    observe("what torch's own generator gives next", torch.randint(10**9, (3,)))
    observe("batch without a generator", subject.get_batch(ids, 3, 4))
    observe("what torch's own generator gives then", torch.randint(10**9, (3,)))


def test_every_place_may_come(subject, draw, observe):
    """starts = torch.randint(len(ids) - max_length, (batch_size,), generator=generator) is the only draw."""
    # With so many rows over so few places each of them comes, the first and the last too.
    generator = torch.Generator().manual_seed(draw.whole(0, 10_000))
    for count in (7, 8, 10):
        observe(f"100 windows of {count} ids", subject.get_batch(numbers(draw, count), 100, 6, generator))
    observe("one window", subject.get_batch(numbers(draw, 12), 1, 5, generator))
    observe("windows of length one", subject.get_batch(numbers(draw, 9), 5, 1, generator))


def test_batch_is_int64(subject, draw, observe):
    """(inputs, targets), both int64 (B, T)"""
    ids = numbers(draw, 30).to(torch.int32)
    observe("batch of int32 ids", subject.get_batch(ids, 3, 7, torch.Generator().manual_seed(draw.whole(0, 100))))


def test_text_is_downloaded_and_kept(subject, draw, observe, tmp_path):
    """The text behind a URL, downloaded once and kept in a file."""
    content = story(draw)
    cache = tmp_path / "verdict.txt"
    with served({URL: page(content)}) as requests:
        for time in ("first", "second"):
            observe.outcome(f"the text, {time} call", subject.fetch_text, URL, cache)
        observe("the file afterwards", files(tmp_path).get(cache.name))
        observe("requested URLs", [url for url, _ in requests])


def test_cache_may_be_a_str(subject, draw, observe, tmp_path):
    """The text behind a URL, downloaded once and kept in a file."""
    content = story(draw)
    with served({URL: page(content)}) as requests:
        for time in ("first", "second"):
            observe.outcome(f"the text, {time} call", subject.fetch_text, URL, str(tmp_path / "verdict.txt"))
        observe("the files afterwards", files(tmp_path))
        observe("requested URLs", [url for url, _ in requests])


def test_file_that_exists_is_read(subject, draw, observe, tmp_path):
    """If `cache` exists and its checksum fits, it is read."""
    first, other = story(draw), story(draw)
    cache = tmp_path / "verdict.txt"
    cache.write_bytes(first)
    with served({URL: page(other)}) as requests:
        observe.outcome("the text of the file", subject.fetch_text, URL, cache)
        observe.outcome("the text of the file, its checksum given", subject.fetch_text, URL, cache, checksum(first))
        observe("requested URLs", [url for url, _ in requests])
        observe("the file afterwards", files(tmp_path).get(cache.name))
        cache.unlink()
        observe.outcome("the text after somebody deleted the file", subject.fetch_text, URL, cache)
        observe("requested URLs in the end", [url for url, _ in requests])


def test_missing_folders_are_made(subject, draw, observe, tmp_path):
    """the file; missing folders are made"""
    content = story(draw)
    with served({URL: page(content)}):
        deep = tmp_path / "data" / "texts" / "verdict.txt"
        observe.outcome("the text", subject.fetch_text, URL, deep)
        observe.outcome(
            "the text, some folders there", subject.fetch_text, URL, tmp_path / "data" / "b" / "verdict"
        )
        observe.outcome(
            "the text, all folders there", subject.fetch_text, URL, str(tmp_path / "data" / "again.txt")
        )
    observe("the files afterwards", files(tmp_path))


def test_timeout_is_handed_on(subject, draw, observe, tmp_path):
    """timeout seconds, for `urlopen`"""
    with served({URL: page(story(draw))}) as requests:
        observe.outcome("the text", subject.fetch_text, URL, tmp_path / "one.txt")
        observe.outcome("the text, timeout=2.5", subject.fetch_text, URL, tmp_path / "two.txt", timeout=2.5)
        observe("requested URLs with their timeout", requests)


def test_right_checksum_is_accepted(subject, draw, observe, tmp_path):
    """the checksum of its bytes, as `hexdigest()` gives it; None accepts any"""
    for name, content in (("a story", story(draw)), ("one word", draw.word().encode())):
        cache = tmp_path / f"{name}.txt"
        with served({URL: page(content)}) as requests:
            for time in ("first", "second"):
                observe.outcome(f"{name}, {time} call", subject.fetch_text, URL, cache, sha256=checksum(content))
            observe(f"{name}: requested URLs", [url for url, _ in requests])
    observe("the files afterwards", files(tmp_path))


def test_file_with_another_checksum_is_replaced(subject, draw, observe, tmp_path):
    """Otherwise the download should be checked, then stored whole: in a second file beside `cache`, which
    `Path.replace` moves over it.
    """
    content = story(draw)
    cache = tmp_path / "verdict.txt"
    cache.write_bytes(story(draw))
    with served({URL: page(content)}):
        observe.outcome("the text", subject.fetch_text, URL, cache, sha256=checksum(content))
    observe("the file afterwards", files(tmp_path).get(cache.name))


@contextmanager
def files_no_longer_than(size):
    """Within the block writing on beyond this size fails, as on a full disk. Without effect on Windows."""
    try:
        import resource
    except ImportError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_leaves_the_file_as_it_was(subject, draw, observe, tmp_path):
    """Otherwise the download should be checked, then stored whole: in a second file beside `cache`, which
    `Path.replace` moves over it.
    """
    content = b"%s\n" % draw.word(low=30, high=31).encode("ascii") * 20_000
    cache = tmp_path / "verdict.txt"
    with served({URL: page(content)}), files_no_longer_than(400_000):
        observe.outcome("the call", subject.fetch_text, URL, cache)
        observe("the file afterwards", files(tmp_path).get(cache.name))
        cache.write_bytes(story(draw))
        observe.outcome("the call, a former file there", subject.fetch_text, URL, cache, checksum(content))
        observe("the former file afterwards", files(tmp_path).get(cache.name))


# The fine print.


def test_impossible_shares_are_refused(subject, draw, observe):
    """ValueError: train_fraction is not above 0 and below 1. The message should name it."""
    text = draw.text(10)
    for fraction in (1.5, -0.25, 90, float("nan"), float("inf")):
        named = (str(fraction),)
        observe.outcome(f"train_fraction={fraction}", subject.split_text_train_val, text, fraction, mentions=named)
    for fraction in (0, 1, 0.0, 1.0):
        observe.outcome(f"train_fraction={fraction}", subject.split_text_train_val, text, fraction)
    observe.outcome("train_fraction=1.5, an empty text", subject.split_text_train_val, "", 1.5)


def test_impossible_windows_are_refused(subject, draw, observe):
    """ValueError: max_length or stride is below 1. The message should name the number."""
    ids = numbers(draw, 20).tolist()
    for max_length, stride, named in ((-3, 5, "-3"), (5, -2, "-2"), (0, 5, "0"), (5, 0, "0")):
        case = f"max_length {max_length}, stride {stride}"
        observe.outcome(case, subject.GPTDataset, ids, max_length, stride, mentions=(named,))
        observe.outcome(f"{case}, no ids", subject.GPTDataset, [], max_length, stride, mentions=(named,))


def test_index_beyond_the_end_is_an_error(subject, draw, observe):
    """IndexError: index is len or above. A `for` loop over the data set ends by this error."""
    for max_length, stride in ((7, 3), (4, 4), (2, 5)):
        dataset = subject.GPTDataset(numbers(draw, 23).tolist(), max_length, stride)
        count = len(dataset)
        case = f"max_length {max_length}, stride {stride}"
        for beyond in (0, 1, 50):
            observe.outcome(f"item len + {beyond}, {case}", dataset.__getitem__, count + beyond)
        observe(f"a loop over all windows, {case}", list(islice(dataset, count + 30)))


def test_too_few_ids_give_an_empty_loader(subject, draw, observe):
    """With no window at all the loader should be empty, also with shuffle=True, which torch refuses then."""
    for shuffle in (True, False):
        for drop_last in (True, False):
            for ids in ([], numbers(draw, 3), numbers(draw, 5).tolist()):
                options = {"shuffle": shuffle, "drop_last": drop_last}
                loader = subject.create_dataloader(ids, batch_size=2, max_length=5, stride=2, **options)
                observe(f"class, {len(ids)} ids, {options}", loader_class(loader))
                observe(f"length, {len(ids)} ids, {options}", len(loader))
                observe(f"batches, {len(ids)} ids, {options}", batches(loader))


def test_loader_refuses_impossible_windows(subject, draw, observe):
    """ValueError: max_length or stride is below 1. The message should name the number."""
    ids = numbers(draw, 20)
    observe.outcome("max_length -3", subject.create_dataloader, ids, 2, -3, 5, mentions=("-3",))
    observe.outcome("stride -2", subject.create_dataloader, ids, 2, 5, -2, mentions=("-2",))


def test_too_few_ids_for_a_batch_are_refused(subject, draw, observe):
    """ValueError: there are T ids or fewer. The message should name how many there are, and T."""
    for count, max_length in ((5, 8), (6, 6), (7, 25)):
        named = (str(count), str(max_length))
        case = f"{count} ids, max_length {max_length}"
        observe.outcome(case, subject.get_batch, numbers(draw, count), 3, max_length, mentions=named)
    observe.outcome("no ids", subject.get_batch, numbers(draw, 0), 3, 4, mentions=("0", "4"))


def test_missing_page_is_an_error(subject, draw, observe, tmp_path):
    """OSError: the download failed or ended early."""
    answer = page(b"There is no such page.", status="404 Not Found")
    observe_failure(subject.fetch_text, draw, observe, tmp_path, answer)


def test_server_that_cannot_be_reached_is_an_error(subject, draw, observe, tmp_path):
    """OSError: the download failed or ended early."""
    observe_failure(subject.fetch_text, draw, observe, tmp_path, REFUSED)


def test_server_that_falls_silent_is_an_error(subject, draw, observe, tmp_path):
    """OSError: the download failed or ended early."""
    content = story(draw)
    answer = page(content[: len(content) // 2], announced=len(content), silent=True)
    observe_failure(subject.fetch_text, draw, observe, tmp_path, answer)


def test_download_cut_off_is_an_error(subject, draw, observe, tmp_path):
    """OSError: the download failed or ended early. Only a `read()` without a size notices the latter."""
    content = f"{draw.word()} {draw.word()}, {draw.word()} {draw.word()}".encode("ascii")
    answer = page(content[: len(content) // 2], announced=len(content))
    observe_failure(subject.fetch_text, draw, observe, tmp_path, answer)


def test_wrong_checksum_is_refused(subject, draw, observe, tmp_path):
    """ValueError: the download has another checksum, or is not UTF-8. Each message should name the URL, and `cache`
    should stay as it was.
    """
    content, wanted = story(draw), checksum(story(draw))
    cache = tmp_path / "verdict.txt"
    for case in ("without a former file", "with a former file"):
        with served({URL: page(content)}):
            observe.outcome(f"{case}: the call", subject.fetch_text, URL, cache, wanted, mentions=(URL,))
        observe(f"{case}: the file afterwards", files(tmp_path).get(cache.name))
        cache.write_bytes(story(draw))


def test_download_that_is_not_utf8_is_refused(subject, draw, observe, tmp_path):
    """ValueError: the download has another checksum, or is not UTF-8. Each message should name the URL, and `cache`
    should stay as it was.
    """
    content = f"{draw.word()} café {draw.word()}".encode("latin-1")
    cache = tmp_path / "verdict.txt"
    with served({URL: page(content)}):
        observe.outcome("the call", subject.fetch_text, URL, cache, mentions=(URL,))
        observe("the file afterwards", files(tmp_path).get(cache.name))
        cache.write_bytes(story(draw))
        observe.outcome(
            "the call, a former file there", subject.fetch_text, URL, cache, checksum(content), mentions=(URL,)
        )
        observe("the former file afterwards", files(tmp_path).get(cache.name))
