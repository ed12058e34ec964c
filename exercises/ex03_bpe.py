"""Byte pair encoding at work: from text to ids, and back.

WHY
Training (exercise 2) learned which tokens there are. Now every text that the model will ever read has to be
written in them, and every id that it produces has to become text again. This must be exact. A model trained
on one way of cutting words understands another way badly, though no error is raised.

RANKS
All that a tokenizer knows is one dictionary, from a token to its rank. A token is bytes, not text, because
a token may hold half a character. The rank has two meanings at once. It is the token's id, the number that
the model sees. And it says when training learned the token: a lower rank was learned earlier, from a more
frequent pair. The dictionary always holds all 256 single bytes, so that every text can be written.

A byte's value is not its id. In GPT-2's vocabulary the letter "a" is byte 97 and id 64.

HOW A PIECE IS ENCODED
    1  Cut it into single bytes.
    2  Look at every two neighbours. Joined, are they a token? Of all that are, take the one with the lowest
       rank, and if it is there several times, the leftmost. Join these two.
    3  Repeat step 2 until no two neighbours, joined, are a token. What is left are the tokens.

So the merges are made in the order in which training learned them. That is the whole point. Joining from
left to right whatever is known, or always taking the longest token that fits, also gives known tokens, but
other ones.

A SMALL EXAMPLE
To keep it readable, here each byte's id is its value: a is 97, b 98, c 99. The learned tokens are
"bc" 256, "ab" 257, "cd" 258 and "abcd" 259.

    abc     neighbours ab 257, bc 256              the lowest is bc:   a bc
            neighbours abc, no token               done                97 256
    abcd    neighbours ab 257, bc 256, cd 258      the lowest is bc:   a bc d
            neighbours abc and bcd, no tokens      done                97 256 100
    abxcd   neighbours ab 257, bx, xc, cd 258      ab, later cd:       ab x cd = 257 120 258

From left to right, "abc" would have become ab c. And "abcd" is a token that merging never reaches.

HOW A TEXT IS ENCODED
    text ─► cut at special tokens ─► cut into pieces by a pattern ─► UTF-8 bytes ─► ids

A special token such as "<|endoftext|>" is a sign for the model: here one document ends. It has an id of its
own, outside the ranks. If a user could type it, they could forge the end of a document. So it is refused
unless the caller has allowed it by name.

HOW IDS ARE DECODED
The bytes of all tokens are joined first, and only then read as UTF-8. "🙂" is four bytes, and GPT-2 has two
tokens for it, of two bytes each. Neither is text by itself. Bytes that are not UTF-8 become "�" (U+FFFD),
because a model is free to produce half a character, and decoding must not fail then.

WHAT THIS DOES NOT DO
It looks at all neighbours again after every merge. A piece is mostly a word, so that is fast enough. For a
piece of 100,000 letters one would keep the neighbours in a priority queue.

NOT ALLOWED HERE
The packages tiktoken, tokenizers and transformers: each of them holds a finished tokenizer.

Read on: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", section 3.2.
Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2. Raschka, "Build a
Large Language Model (From Scratch)", section 2.5.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import regex

from .ex02_bpe_train import GPT2_PATTERN


def bpe_encode(piece: bytes, ranks: dict[bytes, int]) -> list[int]:
    """The ids of one piece, by merging its bytes in the order of the ranks.

    Arguments
        piece  any bytes; they need not be valid UTF-8
        ranks  a token -> its rank, which is its id. All 256 single bytes are in it. The ranks are different
               whole numbers from 0 on, perhaps with gaps. The order of the dictionary means nothing. The
               longer tokens are as BPE training makes them: each is a join of two tokens of lower rank, in
               the order of the merges. Others, which merging never reaches, may be among them.
    Returns
        the ids, in the order of the piece; [] for an empty piece

    Start from single bytes. Of all neighbours that are a token when joined, join those with the lowest rank;
    if that token is there several times, the leftmost. Stop when no two neighbours, joined, are a token.

    With such ranks a merge never makes a new pair of a lower rank than its own. So you may as well join all
    places of the lowest rank at once, from the left, or go once through the tokens by rank.

    There is no other rule. In particular the piece is not looked up as a whole: "abcd" of the lesson gives
    three ids although it is a token. `ranks` is not changed.

    Examples, with the ranks of the lesson
        bpe_encode(b"abc", ranks) is [97, 256]
        bpe_encode(b"abcd", ranks) is [97, 256, 100]
        bpe_encode(b"abxcd", ranks) is [257, 120, 258]

    Source: Sennrich et al. 2016, section 3.2, on bytes as in Radford et al. 2019, section 2.2.
    """
    raise NotImplementedError


class BPETokenizer:
    """Text to ids and back, by one vocabulary.

    Arguments
        ranks           a token, as bytes -> its id, as for `bpe_encode`
        special_tokens  a special token, as text -> its id; None stands for {}. No special token is empty text.
                        Their ids are not among the ranks, and need not follow these directly.
        pattern         how text is cut into pieces, for the `regex` package

    Attributes
        ranks, special_tokens, pattern  what the tokenizer was made of: a dict, a dict, a str

    The two dictionaries are copies. The ones that were given are not changed, and changing them later does
    not change the tokenizer. No tokenizer shares anything with another.

    Source: Radford et al. 2019, section 2.2. The names follow the `tiktoken` library.
    """

    def __init__(
        self,
        ranks: dict[bytes, int],
        special_tokens: dict[str, int] | None = None,
        pattern: str = GPT2_PATTERN,
    ) -> None:
        """Keep copies of the ranks and the special tokens, and the pattern."""
        raise NotImplementedError

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        """The ids of a text.

        Arguments
            text             any text
            allowed_special  which special tokens may occur in the text: a set, list or tuple of strings, not
                             one string. A string in it that is no special token has no effect.
        Returns
            the ids, in the order of the text; [] for an empty text
        Raises
            ValueError: a special token occurs in the text and is not allowed. It does not matter where, nor
            whether it is a part of another, allowed one. The message names this special token.
            ValueError: the text holds a surrogate, a character from U+D800 to U+DFFF. That is half of an
            emoji in UTF-16, and UTF-8 cannot write it; two of them side by side are refused as well. The
            message names the position of the first, text[position]. (`UnicodeEncodeError` is a ValueError.)

        The text is cut at the allowed special tokens. It is read from left to right, and where several begin
        at the same place, the longest is taken. Each gives its id. Every character of a special token stands
        for itself: the | in "<|endoftext|>" means no "or".

        What stands between them, before the first and after the last, is encoded each part on its own, with
        all its white space. It is cut into pieces: the whole matches of the pattern from left to right, also
        where the pattern has groups. What lies between two matches is left out; with GPT2_PATTERN there is
        no such thing. Each piece is written in UTF-8. If these bytes are in `ranks` as a whole, that is its
        one id. If not, `bpe_encode` gives its ids.

        (With trained ranks the look-up only saves time. In others it matters: tiktoken has it, and Llama 3,
        whose vocabulary holds tokens that merging never reaches, needs it.)

        Example: for BPETokenizer(ranks, {"<|end|>": 500}), with the ranks of the lesson,
        encode("abc<|end|>abcd", {"<|end|>"}) is [97, 256, 500, 259].

        Source: Radford et al. 2019, section 2.2.
        """
        raise NotImplementedError

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids.

        Arguments
            ids  ids of tokens and of special tokens: a list or anything else that can be walked once
        Returns
            the text; "" for no ids
        Raises
            KeyError: an id belongs to no token and no special token. The message names the id. (A
            dictionary's own KeyError does.) No id counts from the end: -1 is unknown.

        The bytes of all tokens are joined first. Then they are decoded as UTF-8, with errors="replace". A
        special token stands for its text, in UTF-8. No space is put between tokens and nothing is cut off.

        Example: with the ranks of the lesson, decode([97, 256, 100]) is "abcd". The bytes of "é" are 195 and
        169, so there decode([195, 169]) is "é", and decode([97, 195]) is "a�".

        Source: Radford et al. 2019, section 2.2; errors="replace" is what GPT-2's own code does.
        """
        raise NotImplementedError

    def encode_iterable(self, texts: Iterable[str], allowed_special: Collection[str] = ()) -> Iterator[int]:
        """The ids of many texts, one id after another: for a corpus that does not fit into memory.

        Arguments
            texts            strings, for instance an open file, which yields its lines
            allowed_special  as for `encode`
        Returns
            an iterator over ids: those of the first text, then those of the second, and so on
        Raises
            ValueError: as `encode` does, at the moment when the text at fault is reached. The ids of the
            texts before it have been handed out by then.

        Each text is encoded on its own, as `encode` does: nothing is merged from one text into the next, and
        nothing is put between them. Nothing is read ahead: no text is taken before the first id is asked for,
        and the next text is taken only when an id is asked for and those of the text before are used up.

        Example: list(tokenizer.encode_iterable(["ab", "c"])) is what encode("ab") + encode("c") is.

        Source: assignment 1 of Stanford's course CS336 has a method of this name.
        """
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to one file. A file that is there already is replaced.

        Arguments
            path  where to, a string or a `Path`

        Ranks, special tokens and pattern are written, so that `load` can bring all of them back. The format
        is yours. JSON is a good choice, but it knows no bytes: write a token in hexadecimal (`bytes.hex`) or
        in base64. Most tokens of a real vocabulary are text, but some are not valid UTF-8. Name the encoding
        when you open a text file, because on Windows the default is another.
        """
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """The tokenizer that `save` wrote.

        Arguments
            path  where it is, a string or a `Path`
        Returns
            a tokenizer of the class on which `load` was called, whose `ranks`, `special_tokens` and `pattern`
            equal those of the one that was saved: tokens are bytes again, ids are ints
        Raises
            FileNotFoundError: there is no such file. (`open` raises it by itself.)
        """
        raise NotImplementedError
