"""The reference of ex02 beside trainers that others wrote: `tokenizers` of Hugging Face, and `tiktoken`."""

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import regex
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from solutions import ex02_bpe_train as ours

END = "<|endoftext|>"
MANUAL = "\n".join(topics[name] for name in sorted(topics))
SLICE = MANUAL[:100_000]

# What cuts text in unusual ways: English endings, signs, digits, number signs, white space of several
# kinds, letters with and without accents, half a flag, an emoji of three code points.
CHARACTERS = "ab'sStrvemd 019²½Ⅷ.,!_-\n\t\r\u00a0\u2003éе\u0301日本שﷺ🙂🇩👩\u200d👧\x00"


def byte_characters() -> list[str]:
    """The characters that the ByteLevel pre-tokenizer writes for the bytes 0 … 255, in their order.

    The 188 printable ones of Latin-1 stand for themselves; the 68 other bytes are written as characters from
    256 on. This derives it from the library's alphabet alone: sorted by code point, the characters below 256
    are their own bytes, and those from 256 on stand for the bytes left over, in ascending order.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    own = {ord(character) for character in alphabet if ord(character) < 256}
    moved = [character for character in alphabet if ord(character) > 255]
    left_over = [byte for byte in range(256) if byte not in own]
    standing_for = {byte: chr(byte) for byte in own} | dict(zip(left_over, moved, strict=True))
    return [standing_for[byte] for byte in range(256)]


BYTE_CHARACTERS = byte_characters()


def byte_level() -> pre_tokenizers.ByteLevel:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def learned_by_hugging_face(
    documents: list[str], vocab_size: int
) -> tuple[dict[bytes, int], list[tuple[int, int]]]:
    """What its BpeTrainer learns, in our form: ranks from bytes to ids, and merges as pairs of ids.

    The trainer breaks ties by id, and gives ids to the characters of its alphabet in the order of their code
    points. There the space, written Ġ, has 220 and not 32, so ties would fall otherwise, and rightly so for
    another numbering. Special tokens get their ids first, in the order given. So the 256 characters are
    given as special tokens, in the order of the bytes: then the id of a byte is the byte. They are not added
    to the alphabet a second time, and a trainer does not look for special tokens in the text, so that is
    all that it changes. The test below checks the ids that come of it.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=BYTE_CHARACTERS, show_progress=False, min_frequency=0
    )
    tokenizer.train_from_iterator(documents, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    byte_of = {character: bytes([byte]) for byte, character in enumerate(BYTE_CHARACTERS)}
    ids = model["vocab"]
    ranks = {b"".join(byte_of[character] for character in token): rank for token, rank in ids.items()}
    return ranks, [(ids[left], ids[right]) for left, right in model["merges"]]


def texts() -> list[str]:
    folder = os.environ.get("GPT_KATA_TEXTS")
    if not folder:
        pytest.skip("GPT_KATA_TEXTS does not name a folder with texts of your own")
    files = sorted(Path(folder).glob("*.txt"))
    if not files:
        pytest.skip("the folder that GPT_KATA_TEXTS names holds no *.txt")
    return [file.read_text(encoding="utf-8") for file in files]


@cache
def learned_from_the_manual() -> tuple[dict[bytes, int], list[tuple[int, int]]]:
    return ours.train_bpe(SLICE, 1000)


def test_bytes_have_their_own_ids_in_the_peer():
    ranks, merges = learned_by_hugging_face([SLICE], 256)
    assert merges == []
    assert ranks == {bytes([byte]): byte for byte in range(256)}
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = byte_level()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    plain.train_from_iterator([], trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    assert plain.get_vocab()["Ġ"] == 220, "without the special tokens, the ids are not the bytes"


def test_same_ranks_and_merges_on_the_manual():
    assert learned_from_the_manual() == learned_by_hugging_face([SLICE], 1000)
    assert len(learned_from_the_manual()[1]) == 744


def test_same_ranks_and_merges_on_real_texts():
    for text in texts():
        assert ours.train_bpe(text, 1000) == learned_by_hugging_face([text], 1000)


def test_same_merges_where_special_tokens_part_the_documents():
    documents = [topics[name] for name in sorted(topics)[:20]]
    text = END.join(documents)
    ours_learned = ours.train_bpe(text, 402, (END, "<|pad|>"))
    assert len(ours_learned[1]) == 144
    assert ours_learned == learned_by_hugging_face(documents, 400)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.text(CHARACTERS, max_size=60))
def test_same_until_nothing_is_left(text: str):
    ranks, merges = ours.train_bpe(text, 1000)
    assert (ranks, merges) == learned_by_hugging_face([text], 1000)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(st.text("ab", min_size=1, max_size=14), max_size=12))
def test_same_on_runs_and_ties(words: list[str]):
    text = " ".join(words)
    assert ours.train_bpe(text, 280) == learned_by_hugging_face([text], 280)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(st.text("ab", min_size=1, max_size=20), max_size=12))
def test_no_bytes_are_learned_twice(words: list[str]):
    """Two merges never make the same bytes, so that a rank is never given twice.

    Why not: suppose the bytes S became one token at some step, and later, elsewhere, from another pair. In
    that other place no token ever reached over an end of S, or S could not become one token there. So what
    is inside decided all merges inside. A run of equal ids is no exception: merging runs from the left, so if
    the run begins before S, an even number of its ids lies there, or a merge would reach over the end of S.
    Both places then held the same tokens at every step, and the later one became S when the first did.
    """
    ranks, merges = ours.train_bpe(" ".join(words), 1000)
    assert len(ranks) == 256 + len(merges)


def test_same_pieces_on_real_text():
    expected = [SLICE[start:end] for _, (start, end) in byte_level().pre_tokenize_str(SLICE)]
    assert ours.pretokenize(SLICE) == expected
    assert ours.pretokenize(SLICE) == regex.findall(r50k_pat_str, SLICE)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(CHARACTERS, max_size=30))
def test_same_pieces(text: str):
    split = pre_tokenizers.Split(Regex(ours.GPT2_PATTERN), behavior="isolated")
    pieces = ours.pretokenize(text)
    assert pieces == [piece for piece, _ in split.pre_tokenize_str(text)]
    assert pieces == regex.findall(r50k_pat_str, text)
    assert "".join(pieces) == text


def found_by_hand(text: str, specials: list[str]) -> list[str]:
    """The texts between special tokens, character by character."""
    parts = [""]
    while text:
        found = max((special for special in specials if text.startswith(special)), key=len, default="")
        if found:
            parts.append("")
        else:
            parts[-1] += text[0]
        text = text[len(found) or 1 :]
    return parts


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.text("ab|.(<> ", max_size=40),
    st.lists(st.text("ab|.(<", min_size=1, max_size=3), max_size=4, unique=True),
)
def test_special_tokens_are_found_as_the_docstring_says(text: str, specials: list[str]):
    parts = found_by_hand(text, specials)
    assert ours.pretokenize(text, specials) == [piece for part in parts for piece in ours.pretokenize(part)]


def test_tiktoken_accepts_the_ranks_and_encodes_as_training_merged():
    ranks, merges = learned_from_the_manual()
    encoding = tiktoken.Encoding(
        "trained", pat_str=ours.GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={END: len(ranks)}
    )
    text = SLICE[:20_000]
    words = Counter(ours.pretokenize(text))
    for word in words:
        merged = tuple(word.encode("utf-8"))
        for place, pair in enumerate(merges):
            merged = ours.merge_pair(merged, pair, 256 + place) if len(merged) > 1 else merged
        assert list(merged) == encoding.encode_ordinary(word)
    assert encoding.decode(encoding.encode_ordinary(text)) == text
    assert encoding.encode(END, allowed_special="all") == [1000]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 3), max_size=20), st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_merging_is_replacing_in_a_string(word: list[int], pair: tuple[int, int]):
    """`str.replace` reads from the left and never overlaps: with one character an id it is the same thing."""
    text = "".join(map(chr, word)).replace("".join(map(chr, pair)), chr(256))
    assert ours.merge_pair(tuple(word), pair, 256) == tuple(map(ord, text))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.dictionaries(st.lists(st.integers(0, 2), max_size=8).map(tuple), st.integers(1, 9), max_size=8))
def test_counting_is_counting_in_the_written_out_text(words: dict[tuple[int, ...], int]):
    written_out = [word for word, frequency in words.items() for _ in range(frequency)]
    expected = Counter(word[place : place + 2] for word in written_out for place in range(len(word) - 1))
    assert ours.count_pairs(words) == dict(expected)


def test_every_worked_example_of_the_lesson():
    assert ours.pretokenize("tin tin tint in") == ["tin", " tin", " tint", " in"]
    ranks, merges = ours.train_bpe("tin tin tint in", 1000)
    assert merges == [(105, 110), (116, 256), (32, 257), (32, 256), (258, 116)]
    assert list(ranks)[256:] == [b"in", b"tin", b" tin", b" in", b" tint"]
    assert ours.count_pairs({(5, 6, 5, 6): 1, (6, 5): 10, (8,): 3}) == {(5, 6): 2, (6, 5): 11}
    assert ours.most_frequent_pair({(7, 1): 2, (5, 6): 3, (5, 4): 3}) == (5, 4)
    assert ours.merge_pair((5, 6, 7, 5, 6), (5, 6), 256) == (256, 7, 256)
    assert ours.merge_pair((7, 7, 7), (7, 7), 256) == (256, 7)
    assert ours.pretokenize("I'll see  2 dogs.") == ["I", "'ll", " see", " ", " 2", " dogs", "."]
    assert ours.pretokenize("one<|end|>two", ["<|end|>"]) == ["one", "two"]
    ranks, merges = ours.train_bpe("tin tin tint in", 259, [END])
    assert merges == [(105, 110), (116, 256)]
    assert len(ranks) == 258
    assert (ranks[b"in"], ranks[b"tin"]) == (256, 257)
    ranks, merges = ours.train_bpe("banana", 1000)
    assert merges == [(97, 110), (98, 256), (256, 97), (257, 258)]
    assert list(ranks)[256:] == [b"an", b"ban", b"ana", b"banana"]


def test_a_vocabulary_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="257"):
        ours.train_bpe("text", 256, (END,))
