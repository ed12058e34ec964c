"""ex03 beside tiktoken: the same ids from the same ranks, on GPT-2's vocabulary and on others."""

import itertools
import os
import random
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken import _educational

from solutions.ex02_bpe_train import GPT2_PATTERN, train_bpe
from solutions.ex03_bpe import BPETokenizer, bpe_encode

PYDOC = "\n".join(topics[name] for name in sorted(topics))
END, PAD = "<|endoftext|>", "<|pad|>"

# First and last code point of what random texts are made of.
BLOCKS = (
    (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0x61, 0x7A), (0x30, 0x39),  # ASCII, mostly
    (0x00, 0x1F), (0x7F, 0x9F),  # control characters
    (0xA0, 0x17F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF),  # Latin, combining marks, Greek, Cyrillic
    (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F),  # Hebrew, Arabic, Devanagari, Thai
    (0x1100, 0x11FF), (0x2000, 0x206F), (0x2070, 0x209F), (0x2150, 0x218F),  # Jamo, punctuation, number signs
    (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),  # kana, CJK, Hangul
    (0xE000, 0xE0FF), (0xFE00, 0xFE0F), (0xFFF0, 0xFFFF),  # private use, variation selectors, the end of a plane
    (0x1D400, 0x1D7FF), (0x1F1E6, 0x1F1FF), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0x10FF00, 0x10FFFF),
)  # fmt: skip
PHRASES = (
    "👩\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈", "👍🏽", "e\u0301\u0302", "שָׁלוֹם", "السلام",
    "\u202eabc\u202c", "'s", "'ll", "'S", " don't", "I'VE", "\r\n", "   ", "\t\t\n", "\u3000\u3000",
    "\u00a0 ", " \n \n", "\u2028", "…", "ｆｕｌｌ", "½²Ⅷ", "\ufeff", "_x_1",
)  # fmt: skip
REPEATED = " \n\t\r\x0b\x0c\x1c\x85\u00a0\u2003\u3000ab0!é🙂"


def random_text(source: random.Random, specials: tuple[str, ...] = ()) -> str:
    """A text from all corners of Unicode, without surrogates; with these special tokens here and there."""
    parts = []
    for _ in range(source.randrange(12)):
        kind = source.random()
        if kind < 0.6:
            first, last = source.choice(BLOCKS)
            parts += [chr(source.randint(first, last)) for _ in range(source.randrange(1, 9))]
        elif kind < 0.7:
            parts.append(chr(source.choice((source.randrange(0xD800), source.randrange(0xE000, 0x110000)))))
        elif kind < 0.8:
            parts.append(source.choice(REPEATED) * source.randrange(1, 20))
        elif kind < 0.95 or not specials:
            parts.append(source.choice(PHRASES))
        else:
            parts.append(source.choice(specials))
        parts.append(source.choice(("", "", " ")))
    return "".join(parts)


def random_texts(count: int, *specials: str) -> list[str]:
    source = random.Random(2016)
    return [random_text(source, specials) for _ in range(count)]


@cache
def grown_ranks(seed: int, count: int = 60) -> dict[bytes, int]:
    """Bytes under shuffled ids, then joins of two earlier tokens. Merging does not reach all of them."""
    source = random.Random(seed)
    ranks = {bytes([byte]): rank for rank, byte in enumerate(source.sample(range(256), 256))}
    tokens = [b"a", b"b", b"c", b"d", "é".encode(), b" a"]
    ranks |= {tokens[4]: 256, tokens[5]: 257}
    while len(ranks) < 258 + count:
        token = source.choice(tokens) + source.choice(tokens)
        if token not in ranks:
            ranks[token] = len(ranks)
            tokens.append(token)
    return ranks


@cache
def tokenizer_of(seed: int) -> BPETokenizer:
    return BPETokenizer(grown_ranks(seed))


def peer(ranks: dict[bytes, int], specials: dict[str, int]) -> tiktoken.Encoding:
    return tiktoken.Encoding("peer", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens=specials)


def by_peer(encoding: tiktoken.Encoding, text: str, allowed: set[str]) -> list[int] | None:
    """tiktoken's ids, or None where it refuses a special token."""
    try:
        return encoding.encode(text, allowed_special=allowed)
    except ValueError:
        return None


def by_ours(tokenizer: BPETokenizer, text: str, allowed: set[str]) -> list[int] | None:
    try:
        return tokenizer.encode(text, allowed)
    except ValueError:
        return None


def own_texts() -> list[str]:
    folder = os.environ.get("GPT_KATA_TEXTS")
    if not folder:
        pytest.skip("GPT_KATA_TEXTS does not name a folder with texts")
    texts = [path.read_text(encoding="utf-8") for path in sorted(Path(folder).glob("*.txt"))]
    if not texts:
        pytest.skip("the folder that GPT_KATA_TEXTS names holds no *.txt")
    return texts


@pytest.fixture(scope="module")
def gpt2() -> tuple[BPETokenizer, tiktoken.Encoding]:
    try:
        encoding = tiktoken.get_encoding("gpt2")
    except Exception as error:  # no cache and no network, or a broken cache: there is nothing to compare with
        pytest.skip(f"GPT-2's vocabulary cannot be loaded, TIKTOKEN_CACHE_DIR may name it: {type(error).__name__}")
    return BPETokenizer(encoding._mergeable_ranks, encoding._special_tokens, GPT2_PATTERN), encoding


@pytest.fixture(scope="module")
def trained() -> tuple[BPETokenizer, tiktoken.Encoding]:
    ranks, _ = train_bpe(PYDOC[:30_000], 256 + 300 + 2, [END, PAD])
    assert len(ranks) > 500
    specials = {END: 600, PAD: 50_256}
    return BPETokenizer(ranks, specials), peer(ranks, specials)


def test_gpt2_ids_of_whole_books(gpt2):
    tokenizer, encoding = gpt2
    for text in own_texts():
        ids = tokenizer.encode(text, {END})
        assert ids == encoding.encode(text, allowed_special={END})
        assert tokenizer.decode(ids) == text


def test_gpt2_ids_of_the_reference_manual(gpt2):
    tokenizer, encoding = gpt2
    ids = tokenizer.encode(PYDOC)
    assert ids == encoding.encode(PYDOC)
    assert tokenizer.decode(ids) == PYDOC
    lines = PYDOC[:50_000].splitlines(keepends=True)
    assert list(tokenizer.encode_iterable(lines)) == [i for line in lines for i in encoding.encode(line)]


def test_gpt2_ids_of_random_texts(gpt2):
    tokenizer, encoding = gpt2
    for text in random_texts(2_000, END):
        for allowed in ({END}, set()):
            assert by_ours(tokenizer, text, allowed) == by_peer(encoding, text, allowed), ascii(text)
        assert tokenizer.decode(tokenizer.encode(text, {END})) == text


def test_gpt2_merges_without_looking_up_whole_pieces(gpt2):
    # In GPT-2's own vocabulary every token is reached by merging its bytes.
    tokenizer, _ = gpt2
    tokens = random.Random(19).sample(sorted(tokenizer.ranks), 3_000)
    assert [bpe_encode(token, tokenizer.ranks) for token in tokens] == [[tokenizer.ranks[t]] for t in tokens]


def test_gpt2_decodes_any_ids(gpt2):
    tokenizer, encoding = gpt2
    source = random.Random(7)
    for _ in range(500):
        ids = [source.randrange(50_257) for _ in range(source.randrange(30))]
        assert tokenizer.decode(ids) == encoding.decode(ids)


def test_gpt2_survives_a_file(gpt2, tmp_path):
    tokenizer, _ = gpt2
    tokenizer.save(tmp_path / "gpt2")
    loaded = BPETokenizer.load(tmp_path / "gpt2")
    assert (loaded.ranks, loaded.special_tokens, loaded.pattern) == (
        tokenizer.ranks, tokenizer.special_tokens, tokenizer.pattern
    )  # fmt: skip


def test_trained_ids_of_random_texts(trained):
    tokenizer, encoding = trained
    refused = 0
    for text in random_texts(2_000, END, PAD):
        for allowed in ({END, PAD}, {PAD}, set()):
            wanted = by_peer(encoding, text, allowed)
            assert by_ours(tokenizer, text, allowed) == wanted, ascii(text)
            refused += wanted is None
        ids = tokenizer.encode(text, {END, PAD})
        assert tokenizer.decode(ids) == encoding.decode(ids) == text
    assert refused > 100


def test_trained_ids_of_the_reference_manual(trained):
    tokenizer, encoding = trained
    text = PYDOC[-150_000:]
    assert tokenizer.encode(text) == encoding.encode(text)


def test_trained_decodes_any_ids(trained):
    tokenizer, encoding = trained
    source = random.Random(8)
    known = [*tokenizer.ranks.values(), *tokenizer.special_tokens.values()]
    for _ in range(500):
        ids = [source.choice(known) for _ in range(source.randrange(30))]
        assert tokenizer.decode(ids) == encoding.decode(ids)
    for unknown in (599, 601, 50_257, -1):
        with pytest.raises(KeyError, match=str(unknown)):
            tokenizer.decode([unknown])


@pytest.mark.parametrize("seed", range(12))
def test_ranks_that_no_training_made(seed):
    ranks = grown_ranks(seed)
    tokenizer, encoding = BPETokenizer(ranks, {END: 999}), peer(ranks, {END: 999})
    source = random.Random(seed)
    for _ in range(150):
        text = "".join(source.choice("abcdé ") for _ in range(source.randrange(40)))
        assert tokenizer.encode(text) == encoding.encode(text), ascii(text)
        piece = text.encode()
        assert bpe_encode(piece, ranks) == _educational.bpe_encode(ranks, piece, visualise=None), piece
    for text in random_texts(100, END):
        assert tokenizer.encode(text, {END}) == encoding.encode(text, allowed_special={END}), ascii(text)


def test_tokens_that_merging_never_reaches():
    unreachable = 0
    for seed in range(12):
        ranks, tokenizer = grown_ranks(seed), tokenizer_of(seed)
        encoding = peer(ranks, {})
        words = [token for token in ranks if len(token) > 1 and token.decode().isalpha()]
        for word in words:
            assert tokenizer.encode(word.decode()) == encoding.encode(word.decode()) == [ranks[word]]
        unreachable += sum(bpe_encode(word, ranks) != [ranks[word]] for word in words)
    assert unreachable > 5


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text())
def test_any_text_comes_back(text):
    tokenizer = tokenizer_of(0)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(), st.integers(0, 5))
def test_any_bytes_are_encoded(piece, seed):
    ranks = grown_ranks(seed)
    tokens = {rank: token for token, rank in ranks.items()}
    ids = bpe_encode(piece, ranks)
    assert b"".join(tokens[number] for number in ids) == piece
    assert ids == _educational.bpe_encode(ranks, piece, visualise=None)
    assert tokenizer_of(seed).decode(ids) == piece.decode("utf-8", errors="replace")


@cache
def pair_with_special_tokens() -> tuple[BPETokenizer, tiktoken.Encoding]:
    specials = {"<|a|>": 900, "b!|": 901}
    return BPETokenizer(grown_ranks(1), specials), peer(grown_ranks(1), specials)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(alphabet="ab <|>!", max_size=8), st.text(alphabet="ab <|>!", max_size=8))
def test_special_tokens_in_any_place(before, after):
    text = before + "<|a|>" + after
    tokenizer, encoding = pair_with_special_tokens()
    for allowed in ({"<|a|>", "b!|"}, {"<|a|>"}, set()):
        assert by_ours(tokenizer, text, allowed) == by_peer(encoding, text, allowed)


def test_surrogates_are_refused():
    tokenizer = BPETokenizer(grown_ranks(2), {END: 999})
    for text in ("\ud83d\ude42", "ab \ud83d", "\ude42 ab", END + "\udfff"):
        with pytest.raises(ValueError, match="surrogate"):
            tokenizer.encode(text, {END})
    assert tokenizer.decode(tokenizer.encode("\ud7ff🙂\ue000")) == "\ud7ff🙂\ue000"


def test_texts_without_end():
    tokenizer = BPETokenizer(grown_ranks(3))
    ids = tokenizer.encode_iterable(itertools.cycle(["ab c", "", "é"]))
    round_of_ids = tokenizer.encode("ab c") + tokenizer.encode("é")
    assert list(itertools.islice(ids, 100 * len(round_of_ids))) == round_of_ids * 100


def test_a_long_run_of_one_letter():
    ranks = grown_ranks(4)
    for text in ("a" * 1_500, " " * 1_500, "\n" * 800 + "a", "abc" * 500):
        assert BPETokenizer(ranks).encode(text) == peer(ranks, {}).encode(text)
