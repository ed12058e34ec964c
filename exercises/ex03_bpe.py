"""Byte pair encoding at work: from text to ids, and back.

You need: bytes and their slices, dictionaries, `yield`, and what a merge is (exercise 2).

WHY
Training (exercise 2) learned which tokens there are. Now every text that the model reads has to be written in
them, and every id that it produces has to become text again. This has to be exact: a model that was trained on one
way of cutting words does badly with another way, and no error says so.

RANKS
All that a tokenizer knows is one dictionary, from a token to its *rank*. A token is bytes, not text, because it
may hold half a character. The rank means two things. It is the token's id, the number that the model sees. And
it says when training learned the token: a lower rank was learned earlier, from a more frequent pair. All 256
single bytes are in the dictionary, so every text can be written.

A byte's value is not its id: in GPT-2's vocabulary the letter "a" is byte 97 and id 64.

HOW A PIECE IS ENCODED
    1  Cut it into single bytes.
    2  Look at every two neighbours. Joined, are they a token? Of all that are, join those with the lowest
       rank, and if that token is there several times, the leftmost.
    3  Repeat step 2 until no two neighbours, joined, are a token.

So the merges are made in the order in which training learned them. Joining whatever is known from left to right,
or always taking the longest token that fits, gives known tokens as well, but other ones.

A SMALL EXAMPLE
To keep it readable, each byte's id is its value here: a is 97, b 98, c 99, d 100, x 120. The learned tokens are
"bc" 256, "ab" 257, "cd" 258 and "abcd" 259. The piece is "abxcd".

    a   b   x   c   d        joined, ab 257 and cd 258 are tokens. The lowest is ab.
    └─┬─┘   │   │   │
      ab    x   c   d        joined, only cd 258 is a token.
      │     │   └─┬─┘
      ab    x     cd         joined, neither abx nor xcd is a token. Done.
     257   120   258

Two more pieces:

    a b c     ab 257, bc 256            the lowest is bc     a bc      97 256
    a b c d   ab 257, bc 256, cd 258    the lowest is bc     a bc d    97 256 100

From left to right, "abc" would have become ab c. And "abcd" is a token that merging never reaches.

HOW A TEXT IS ENCODED
    "Hi you<|end|>Hi"
    cut at the special tokens     "Hi you"          "<|end|>"    "Hi"
    cut into pieces               "Hi"    " you"                 "Hi"
    merge the bytes of each       ids     ids       its own id   ids

A special token such as "<|endoftext|>" tells the model that a document ends here. It has an id of its own,
outside the ranks. A user who could type it could forge the end of a document. So it is refused unless the
caller has allowed it by name.

HOW IDS ARE DECODED
The bytes of all tokens are joined first, and only then read as UTF-8. "🙂" is four bytes, and GPT-2 has two
tokens for it, of two bytes each. Neither is text by itself. Bytes that are not UTF-8 become "�" (U+FFFD): a
model is free to produce half a character, and decoding should not fail then.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", sections 2.4 (special tokens) and 2.5. There tiktoken does
the encoding. Here you write it, and on the same ranks your ids should equal tiktoken's.

NOT ALLOWED HERE
The packages tiktoken, tokenizers and transformers: each of them holds a finished tokenizer.

TWO QUESTIONS (the answers are at the end of this file)
1. A tokenizer meets an alphabet that was not in the text it was trained on. Why does it need no <|unk|>?
2. Two tokenizers have the same tokens under different ranks. Can a model that was trained with one use the other?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex03` learns 400 merges from the story in data/, and encodes a
sentence with a frequent word, "lighthouse", and one that is not in the story, "unthinkable". Predict first: into
how many tokens does each of them fall? And how many does "ü" take, and how many "🙂"? Then try a sentence of your
own: `python3 -m grader show ex03 "What a day"`.

Read on: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", section 3.2.
Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
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
        piece  any bytes, valid UTF-8 or not
        ranks  a token -> its rank, which is its id; all 256 single bytes are in it
    Returns
        the ids, in order

    Start from single bytes. Of all neighbours that are a token when joined, join the two with the lowest rank, and
    among equals the leftmost two. Repeat until there are none.

    Examples, with the ranks of the lesson
        bpe_encode(b"abc", ranks) is [97, 256]
        bpe_encode(b"abcd", ranks) is [97, 256, 100]
        bpe_encode(b"abxcd", ranks) is [257, 120, 258]

    Fine print
        The piece should not be looked up as a whole: "abcd" gives three ids although it is a token. `encode` does
        that.
        An empty piece gives []. Ranks may have gaps, and the dictionary may list them in any order.
        You may join all pairs of the lowest rank at once, from left to right. That gives the same ids.

    Source: Sennrich et al. 2016, section 3.2, on bytes as in Radford et al. 2019, section 2.2.
    """
    raise NotImplementedError


def split_at_specials(text: str, special_tokens: Collection[str], allowed: Collection[str]) -> list[str]:
    """Cut a text at its special tokens, and refuse those that are not allowed.

    Arguments
        text            any text
        special_tokens  all special tokens, for instance the keys of a dictionary; none of them is empty
        allowed         those that may occur: a set, list or tuple
    Returns
        the special tokens in the text and the parts between them, in order

    A special token that occurs and is not allowed should raise a ValueError that names it.

    Example: with special_tokens and allowed both ["<|end|>"], "a<|end|>b" gives ["a", "<|end|>", "b"].

    Fine print
        The text is read from left to right. Where several special tokens begin at the same position, the
        longest is taken. Each of their characters stands for itself: the | in "<|end|>" does not mean "or".
        A special token is refused wherever it occurs, even within an allowed one. A string in `allowed` that is not
        a special token has no effect. Empty parts may be among the result or left out.

    Source: tiktoken's `Encoding.encode`.
    """
    raise NotImplementedError


class BPETokenizer:
    """Text to ids and back, by one vocabulary.

    Arguments
        ranks           a token, as bytes -> its id, as for `bpe_encode`
        special_tokens  a special token, as text -> its id, which is not among the ranks; None means {}
        pattern         how text is cut into pieces, for the `regex` package

    Attributes
        ranks, special_tokens  copies of the two dictionaries: changing the originals later changes nothing here
        pattern                as given, a str

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
            allowed_special  which special tokens may occur in it, as for `split_at_specials`
        Returns
            the ids, in the order of the text

        A special token gives its own id. The text between them is cut into the matches of the pattern. If
        the bytes of such a piece, in UTF-8, are in `ranks` as a whole, that is its one id. If not, `bpe_encode`
        gives its ids.

        Example: for BPETokenizer(ranks, {"<|end|>": 500}), with the ranks of the lesson,
        encode("abc<|end|>abcd", {"<|end|>"}) is [97, 256, 500, 259].

        Fine print
            ValueError: a special token is not allowed, as in `split_at_specials`.
            With trained ranks the look-up of whole pieces only saves time. Llama 3 has tokens that merging never
            reaches, and needs it.

        Source: Radford et al. 2019, section 2.2.
        """
        raise NotImplementedError

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids.

        Arguments
            ids  ids of tokens and of special tokens: a list, or anything else that can be iterated over once
        Returns
            the text

        The bytes of all tokens should be joined first, and then decoded as UTF-8, with errors="replace". A
        special token gives its own text.

        Example: with the ranks of the lesson, decode([97, 256, 100]) is "abcd". The bytes of "é" are 195 and
        169, so decode([195, 169]) is "é", and decode([97, 195]) is "a�".

        Fine print
            KeyError: an id is unknown, such as -1. The message names it, as a dictionary's own KeyError does.

        Source: GPT-2's own code has errors="replace" too.
        """
        raise NotImplementedError

    def encode_iterable(self, texts: Iterable[str], allowed_special: Collection[str] = ()) -> Iterator[int]:
        """The ids of many texts, one id after another: for a corpus that does not fit into memory.

        Arguments
            texts            strings, for instance an open file, which yields its lines
            allowed_special  as for `encode`
        Returns
            an iterator over ids: those of the first text, then those of the second, and so on

        Each text is encoded on its own. The next one should be taken from `texts` only when its first id is asked
        for.

        Example: list(tokenizer.encode_iterable(["ab", "c"])) is encode("ab") + encode("c").

        Fine print
            ValueError: as `encode` raises it, but only when that text is reached.

        Source: assignment 1 of Stanford's course CS336 has a method of this name.
        """
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to one file, for `load`. A file that is there already is replaced.

        Arguments
            path  where to, a string or a `Path`

        The format is yours. JSON is a good choice, but it knows no bytes: write a token in hexadecimal
        (`bytes.hex`), since not every token is valid UTF-8. Name the encoding when you open a text file: on Windows
        the default is another.
        """
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """The tokenizer that `save` wrote.

        Arguments
            path  where it is, a string or a `Path`
        Returns
            a tokenizer of the class `cls`, with equal `ranks`, `special_tokens` and `pattern`

        Fine print
            FileNotFoundError: there is no such file. Opening it raises that by itself.
        """
        raise NotImplementedError


# ANSWERS
# 1. UTF-8 writes every text in bytes, and all 256 bytes are tokens. The new alphabet is spelled out byte by byte,
#    so its words take many tokens, but nothing is lost.
# 2. No. The rank is the id, so every id would mean another token. The merges would also come in another order,
#    and cut words differently.
