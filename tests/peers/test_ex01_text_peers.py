"""The reference of ex01 beside peers: Python's own text methods, and Hugging Face's `tokenizers`."""

import io
import itertools
import os
import random
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, models, pre_tokenizers
from tokenizers import Tokenizer as PeerTokenizer

from solutions import ex01_text as ours

ROOT = Path(__file__).parents[2]
REFERENCE_MANUAL = "\n\n".join(topics[name] for name in sorted(topics))
SIGNS = ",.:;?_!\"()'"
SPECIALS = [ours.END_OF_TEXT, ours.UNKNOWN]
CURLY = {"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "…": "..."}

# Text of anything, and text of what the rules are about.
anything = st.text(max_size=60)
ODD_LETTERS = ["a", "Word", "é", "e\u0301", "\u0301", "x²", "ﬁ", "🙂", "$5", "\u037e", "\u200d", "\ufeff"]
ODD_SPACES = [" ", "  ", "\t", "\f", "\v", "\u00a0", "\u2003", "\u2028", "\x1c", "\x85"]
ODD_LINE_ENDS = ["\n", "\r", "\r\n", "\n\n\n", " \n "]
ODD_MARKS = ["-", "--", "---", "<", "|", ">", "<|", "|>", "endoftext", "unk"]
odd = [*ODD_LETTERS, *ODD_SPACES, *ODD_LINE_ENDS, *ODD_MARKS, *SIGNS, *CURLY, *SPECIALS]
tricky = st.lists(st.sampled_from(odd), max_size=40).map("".join)
either = st.one_of(anything, tricky)
many = settings(max_examples=200, derandomize=True, deadline=None)
some = settings(max_examples=100, derandomize=True, deadline=None)


def real_texts() -> list[str]:
    """The texts of the folder that GPT_KATA_TEXTS names."""
    folder = os.environ.get("GPT_KATA_TEXTS")
    if not folder:
        pytest.skip("GPT_KATA_TEXTS names no folder with *.txt files")
    texts = [path.read_bytes().decode("utf-8") for path in sorted(Path(folder).glob("*.txt"))]
    if not texts:
        pytest.skip(f"GPT_KATA_TEXTS is {folder}, which holds no *.txt file")
    return texts


# ------------------------------------------------------------------------------------------- clean_text


def cleaned_by_a_stream(text: str) -> str:
    """The four rules once more: line ends by Python's own reader of files, the ends character by character."""
    text = io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogatepass")), "utf-8", "surrogatepass").read()
    kept = list(unicodedata.normalize("NFC", text).translate(str.maketrans(CURLY)))
    while kept and kept[-1].isspace():
        kept.pop()
    return "".join(itertools.dropwhile(str.isspace, kept))


@many
@given(either)
def test_clean_text_is_what_a_stream_gives(text):
    assert ours.clean_text(text) == cleaned_by_a_stream(text)


@many
@given(either)
def test_clean_text_keeps_its_promises(text):
    clean = ours.clean_text(text)
    assert ours.clean_text(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert clean == clean.strip()
    assert "\r" not in clean
    assert not set(clean) & set(CURLY)


@many
@given(either)
def test_clean_text_loses_nothing_but_white_space(text):
    wanted = unicodedata.normalize("NFC", text).translate(str.maketrans(CURLY))
    assert "".join(ours.clean_text(text).split()) == "".join(wanted.split())


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_do_not_matter(line_end):
    assert ours.clean_text(REFERENCE_MANUAL.replace("\n", line_end)) == cleaned_by_a_stream(REFERENCE_MANUAL)


def test_clean_text_on_real_texts():
    for text in real_texts():
        assert ours.clean_text(text) == cleaned_by_a_stream(text)


# ------------------------------------------------------------------------------------------- split_text


def peer_splitter() -> pre_tokenizers.PreTokenizer:
    """White space is removed first, then signs and specials are isolated, by another regex engine."""
    isolated = r"<\|endoftext\|>|<\|unk\|>|--|[,.:;?_!\"()']"
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{White_Space}+"), "removed"),
            pre_tokenizers.Split(Regex(isolated), "isolated"),
        ]
    )


def split_by_peer(text: str) -> list[str]:
    return [piece for piece, _ in peer_splitter().pre_tokenize_str(text)]


# To Python these four separators are white space, to Unicode they are not.
without_separators = either.map(lambda text: re.sub("[\x1c-\x1f]", "", text))


@some
@given(without_separators)
def test_split_text_is_what_tokenizers_gives(text):
    assert ours.split_text(text) == split_by_peer(text)


def test_split_text_on_the_reference_manual():
    assert ours.split_text(REFERENCE_MANUAL) == split_by_peer(REFERENCE_MANUAL)


def test_split_text_on_real_texts():
    for text in real_texts():
        assert ours.split_text(text) == split_by_peer(text)
        assert ours.split_text(ours.clean_text(text)) == split_by_peer(ours.clean_text(text))


@many
@given(either)
def test_tokens_joined_are_the_text_without_white_space(text):
    tokens = ours.split_text(text)
    assert "".join(tokens) == "".join(text.split())
    assert all(tokens)
    assert all(token in SIGNS or not set(token) & set(SIGNS) for token in tokens)
    assert all(token == "--" or "--" not in token for token in tokens)
    assert all(token in SPECIALS or not any(special in token for special in SPECIALS) for token in tokens)


# ------------------------------------------------------------------------------------------ build_vocab


@many
@given(st.lists(st.one_of(st.text(min_size=1, max_size=4), st.sampled_from([*SPECIALS, *SIGNS, "a", "A"]))))
def test_build_vocab_keeps_its_promises(tokens):
    before = list(tokens)
    vocab = ours.build_vocab(tokens)
    in_order = sorted(vocab, key=vocab.__getitem__)
    assert tokens == before
    assert sorted(vocab.values()) == list(range(len(vocab)))
    assert set(vocab) == {*tokens, *SPECIALS}
    assert in_order[-2:] == SPECIALS
    assert in_order[:-2] == sorted(in_order[:-2])
    assert ours.build_vocab(random.Random(7).sample(tokens, len(tokens)) * 2) == vocab


def test_ids_are_the_same_in_every_process():
    program = (
        "from pydoc_data.topics import topics\n"
        "from solutions.ex01_text import build_vocab, clean_text, split_text\n"
        "text = clean_text(topics['assignment'] + topics['class'])\n"
        "print(hash('a'), sorted(build_vocab(split_text(text)).items(), key=lambda pair: pair[1]), sep='\\t')"
    )
    hashes, vocabularies = set(), set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=60
        )
        hash_of_a, vocabulary = done.stdout.decode("utf-8").split("\t", 1)
        hashes.add(hash_of_a)
        vocabularies.add(vocabulary)
    assert len(hashes) == 2  # the two processes really did order their sets differently
    assert len(vocabularies) == 1
    assert vocabularies.pop().count("', ") > 300


# -------------------------------------------------------------------------------------- SimpleTokenizer


def peer_tokenizer(vocab: dict[str, int]) -> PeerTokenizer:
    peer = PeerTokenizer(models.WordLevel(vocab, unk_token=ours.UNKNOWN))
    peer.pre_tokenizer = peer_splitter()
    return peer


def test_ids_are_those_of_a_word_level_model():
    names = sorted(topics)
    known = ours.clean_text("\n\n".join(topics[name] for name in names[::2]))
    vocab = ours.build_vocab(ours.split_text(known))
    tokenizer, peer = ours.SimpleTokenizer(vocab), peer_tokenizer(vocab)
    for name in names[:40]:
        text = f"{ours.clean_text(topics[name])}{ours.END_OF_TEXT}Grüße, 日本 ({ours.UNKNOWN})--…"
        ids = tokenizer.encode(text)
        assert ids == peer.encode(text).ids
        assert ids.count(vocab[ours.END_OF_TEXT]) == 1
        assert ids.count(vocab[ours.UNKNOWN]) > 2


def test_ids_are_those_of_a_word_level_model_on_real_texts():
    texts = [ours.clean_text(text) for text in real_texts()]
    vocab = ours.build_vocab(ours.split_text(texts[0]))
    tokenizer, peer = ours.SimpleTokenizer(vocab), peer_tokenizer(vocab)
    for text in texts:
        assert tokenizer.encode(text) == peer.encode(text).ids


@some
@given(without_separators, without_separators)
def test_ids_are_those_of_a_word_level_model_on_any_text(known, text):
    vocab = ours.build_vocab(ours.split_text(known))
    assert ours.SimpleTokenizer(vocab).encode(text + known) == peer_tokenizer(vocab).encode(text + known).ids


def numbered_at_random(tokens: list[str]) -> dict[str, int]:
    distinct = sorted({*tokens, *SPECIALS})
    return dict(zip(distinct, random.Random(5).sample(range(3 * len(distinct)), len(distinct)), strict=True))


@many
@given(either, st.randoms(use_true_random=False))
def test_decoded_ids_encode_to_themselves(text, order):
    vocab = numbered_at_random(ours.split_text(text))
    tokenizer = ours.SimpleTokenizer(vocab)
    ids = tokenizer.encode(text)
    order.shuffle(ids)
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


@many
@given(either)
def test_known_text_decodes_to_its_tokens(text):
    tokens = ours.split_text(text)
    tokenizer = ours.SimpleTokenizer(numbered_at_random(tokens))
    decoded = tokenizer.decode(tokenizer.encode(text))
    assert ours.split_text(decoded) == tokens
    assert not any(f" {sign}" in decoded for sign in ",.:;?!)'")
    assert sum(c == " " for c in decoded) == sum(token not in list(",.:;?!)'") for token in tokens[1:])


def test_the_reference_manual_survives_as_tokens():
    tokens = ours.split_text(REFERENCE_MANUAL)
    tokenizer = ours.SimpleTokenizer(ours.build_vocab(tokens))
    assert ours.split_text(tokenizer.decode(tokenizer.encode(REFERENCE_MANUAL))) == tokens


@some
@given(either, st.integers())
def test_only_ids_of_the_vocabulary_are_decoded(text, number):
    vocab = numbered_at_random(ours.split_text(text))
    tokenizer = ours.SimpleTokenizer(vocab)
    if number in vocab.values():
        assert vocab[tokenizer.decode([number])] == number
    else:
        with pytest.raises(KeyError, match=re.escape(str(number))):
            tokenizer.decode([number])
