"""Byte pair encoding, the training: where a GPT's vocabulary comes from.

You need: dictionaries and tuples, and why text becomes ids (exercise 1). `"é".encode("utf-8")` gives the bytes
of a text.

WHY
A vocabulary of words is too small as soon as a new word comes along: everything unknown turns into <|unk|>. A
vocabulary of characters spells every word, but a page becomes thousands of tokens, and a model pays for each.
Byte pair encoding (BPE) lies between the two. What is frequent gets a token of its own; what is rare is spelled
out in parts. Nothing is ever unknown, because the smallest parts are the 256 bytes, and UTF-8 writes every text
in bytes.

HOW
    1  Cut the text into pieces, also called pre-tokens: words, numbers,
       punctuation, white space. Tokens never cross the end of a piece.
    2  Write each piece as its bytes. A byte is its own id, 0 … 255.
    3  Count all pairs of neighbours, in all pieces.
    4  Give the most frequent pair a new id, 256 at first, then 257 and so
       on. Replace the pair by it everywhere.
    5  Repeat from step 3 until the vocabulary is full, or no pair is left.

The list of merged pairs, in their order, is all that training learns. Exercise 3 encodes text with it.

A SMALL EXAMPLE
The text "tin tin tint in" has four pieces: "tin", " tin", " tint" and " in". A space belongs to the word
after it; it is written _ here. One merge:

    before   t i n     _ t i n     _ t i n t     _ i n
               └┬┘         └┬┘         └┬┘         └┬┘
    after    t in      _ t in      _ t in t      _ in

"i n" occurs 4 times, "t i" 3 times, "_ t" twice, "_ i" and "n t" once. So "i n" is merged, in all four
places. Then the pairs are counted anew. As ids, _ is 32, i is 105, n is 110, t is 116. All merges:

    merge  pair        count  new id  its text  the pieces afterwards
      1    (105, 110)    4      256    "in"     t in  _ t in  _ t in t  _ in
      2    (116, 256)    3      257    "tin"    tin   _ tin   _ tin t   _ in
      3    (32, 257)     2      258    " tin"   tin   _tin    _tin t    _ in
      4    (32, 256)     1      259    " in"    tin   _tin    _tin t    _in
      5    (258, 116)    1      260    " tint"  tin   _tin    _tint     _in

Now every piece is one token. No pair is left, so training ends, however large a vocabulary was wanted.

TIES
Before merge 4 two pairs were left, once each: (32, 256) and (258, 116). Some rule has to decide, or two people
would learn two vocabularies from one text. Here the smaller first id wins, and if these are equal, the smaller
second id. It is the rule of the `tokenizers` library from Hugging Face, whose merges yours will equal.

SPECIAL TOKENS
"<|endoftext|>" between two documents is not text. It is cut out before anything is counted, so nothing is merged
across it. It will need an id of its own all the same, so it counts as one of the vocabulary: GPT-2's 50,257
tokens are 256 bytes, 50,000 merges and this one.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", section 2.5, uses GPT-2's finished vocabulary. Training one
is bonus material in the book's repository (ch02/05_bpe-from-scratch). There the smallest parts are characters, and
of equally frequent pairs the one counted first wins. Here the parts are bytes, as in GPT-2, and ties fall as in
`tokenizers`, so that the two can be compared. Both count all pairs anew for each merge: easy to read, and fast
enough for a book. For a library, correct only the counts that a merge has changed.

NOT ALLOWED HERE
The packages tiktoken, tokenizers and transformers: each of them holds a finished byte pair encoding.

TWO QUESTIONS (the answers are at the end of this file)
1. The text is "banana", and there is room for every merge. Which merges are learned, in which order?
2. With 50,000 merges a text has fewer tokens than with 500. Then why not take five million?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex02` learns 500 merges from the story in data/, whose heroine is
called Ruth. Predict first: which two characters are merged first in English? And after how many merges is "Ruth"
one token?

Read on: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", section 3.2,
on characters. Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2, on bytes.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import regex

# How GPT-2 cuts text into pieces: the pattern that was published with the model. It is written for the
# `regex` package; Python's own `re` does not know \p{L} and \p{N}. At each position the alternatives are tried
# from the first to the last, and the first that fits decides. Together they lose no character.
#
#   's|'t|'re|'ve|'m|'ll|'d   English endings, in lower case only: "don't" becomes "don" and "'t"
#    ?\p{L}+                  letters of any alphabet, with the one space before them
#    ?\p{N}+                  digits and other numerals, such as ² and ½, with the one space before them
#    ?[^\s\p{L}\p{N}]+        all other characters that are not white space, with the one space before them
#   \s+(?!\S)                 white space, but not its last character if something follows: that one is
#                             left for the piece that follows
#   \s+                       white space that is still left, such as the one line break between two lines
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def count_pairs(words: dict[tuple[int, ...], int]) -> dict[tuple[int, int], int]:
    """How often each pair of neighbouring ids occurs.

    Arguments
        words  a word, as its ids -> how often this word occurs in the text
    Returns
        a pair of neighbours, (left id, right id) -> how often it occurs in the text

    Every position of a pair in a word counts as often as the word occurs.

    Example: count_pairs({(5, 6, 5, 6): 1, (6, 5): 10, (8,): 3}) is {(5, 6): 2, (6, 5): 11}.

    Fine print
        Positions may overlap: (7, 7, 7) holds (7, 7) twice. No words give {}.

    Source: Sennrich et al. 2016, algorithm 1, get_stats.
    """
    raise NotImplementedError


def most_frequent_pair(counts: dict[tuple[int, int], int]) -> tuple[int, int]:
    """The pair to merge next.

    Arguments
        counts  a pair of ids -> how often it occurs, as from `count_pairs`; at least one pair
    Returns
        the pair with the largest count

    Of several with that count, the one with the smallest first id should win, and if these are equal too, the one
    with the smallest second id.

    Example: most_frequent_pair({(7, 1): 2, (5, 6): 3, (5, 4): 3}) is (5, 4).

    Source: the `tokenizers` library, whose trainer breaks ties like this.
    """
    raise NotImplementedError


def merge_pair(word: tuple[int, ...], pair: tuple[int, int], new_id: int) -> tuple[int, ...]:
    """The word with every occurrence of a pair replaced by one new id.

    Arguments
        word    ids, any number of them
        pair    the two ids that are merged where they are neighbours, in this order
        new_id  the id that takes their place; it is not in the word yet
    Returns
        a tuple of ids

    The word is read from left to right. Of three equal ids, the first two become one and the third stays.

    Examples
        merge_pair((5, 6, 7, 5, 6), (5, 6), 256) is (256, 7, 256)
        merge_pair((7, 7, 7), (7, 7), 256) is (256, 7)

    Source: Sennrich et al. 2016, algorithm 1, merge_vocab.
    """
    raise NotImplementedError


def pretokenize(text: str, special_tokens: Sequence[str] = ()) -> list[str]:
    """Cut text into the pieces that tokens never cross.

    Arguments
        text            any text
        special_tokens  what is not text, such as "<|endoftext|>": a tuple or list of strings, none of them empty
    Returns
        the pieces, in the order of the text

    First the special tokens are cut out: they are no pieces, and what is before and what is after one are
    two texts. Then each of these texts is cut by GPT2_PATTERN. Joined again, its pieces should be that text.

    Examples
        pretokenize("I'll see  2 dogs.") is ["I", "'ll", " see", " ", " 2", " dogs", "."]
        pretokenize("one<|end|>two", ["<|end|>"]) is ["one", "two"]

    Fine print
        The text is searched from left to right. Where several special tokens begin at the same position, the
        longest is taken. Each of their characters stands for itself: the | in "<|endoftext|>" does not mean "or".
        No piece is empty, so an empty text gives [].

    Source: Radford et al. 2019, section 2.2.
    """
    raise NotImplementedError


def train_bpe(
    text: str, vocab_size: int, special_tokens: Sequence[str] = ()
) -> tuple[dict[bytes, int], list[tuple[int, int]]]:
    """Learn a vocabulary of tokens from a text, by the steps of the lesson.

    Arguments
        text            what to learn from
        vocab_size      how many tokens are wanted: bytes, learned ones and special ones together
        special_tokens  as for `pretokenize`
    Returns
        ranks   a token, as bytes -> its id: the 256 single bytes 0 … 255, then the learned tokens from 256 on,
                in their order; not the special tokens
        merges  the merged pairs of ids, in their order

    Example: train_bpe("tin tin tint in", 259, ["<|endoftext|>"]) learns two tokens. `merges` is
    [(105, 110), (116, 256)], and `ranks` has 258 entries, of which the last two are b"in": 256, b"tin": 257.

    Fine print
        Exactly vocab_size - 256 - len(special_tokens) tokens are learned, or fewer if no pair is left. A pair that
        occurs only once is merged like any other.
        ValueError: vocab_size is below 256 + len(special_tokens). The message should name that smallest size.

    Source: Sennrich et al. 2016, section 3.2, on bytes as in Radford et al. 2019, section 2.2.
    """
    raise NotImplementedError


# ANSWERS
# 1. "an" (97, 110), which occurs twice, as "na" does, and has the smaller first id. Then the piece is b, an, an, a,
#    and every pair occurs once: (98, 256) "ban", then (256, 97) "ana", then (257, 258) "banana".
# 2. Each token is a row of the model's embedding and of its output layer, so memory and time grow with the
#    vocabulary. And the late merges are rare: a token that training meets a few times learns a poor vector.
