"""Byte pair encoding, the training: where a GPT's vocabulary comes from.

You need: dictionaries, tuples, bytes and `.encode("utf-8")`, and `min` with a key. No torch.

WHY
A model works with numbers, so text must become ids. In a vocabulary of words, a new word is unknown and turns
into <|unk|>. In a vocabulary of characters, every word can be written, but a page becomes thousands of
tokens, and a model pays for each. Byte pair encoding lies between. What is frequent gets a token of its own,
and what is rare is spelled out from parts. Nothing is unknown, because the smallest parts are the 256 bytes,
and UTF-8 writes every text in bytes.

HOW
    1  Cut the text into pieces, called pre-tokens: words, numbers, punctuation, white space. No token reaches
       across two of them, so "dog", "dog." and "dog!" do not take three places in the vocabulary.
    2  Write each piece as its bytes. A byte is its own id, 0 … 255. As ids, a piece is called a word.
    3  Count all pairs of neighbours, in all pieces.
    4  Give the most frequent pair a new id: 256 at first, then 257, and so on. Replace the pair by it everywhere.
    5  Repeat steps 3 and 4 until the vocabulary has the size that you chose, or no pair is left.

The list of merged pairs, in their order, is all that training learns. Exercise 3 encodes text with it.

A SMALL EXAMPLE
The text "tin tin tint in" has four pieces: "tin", " tin", " tint" and " in". A space belongs to the word after
it, and is drawn as _ here. One step of training:

    before   t i n    _ t i n    _ t i n t    _ i n
               └┬┘        └┬┘        └┬┘        └┬┘
    after    t  in    _ t  in    _ t  in t    _  in

    pairs before    i n  4 times    t i  3    _ t  2    n t  1    _ i  1
    pairs after     t in 3 times    _ t  2    in t 1    _ in 1

The pair "t i" is gone and "t in" is new. That is why the pairs are counted again before the next step. All steps,
as ids, where a space is 32, i is 105, n is 110 and t is 116:

    merge   pair          how often   new id   its text   the pieces afterwards
      1     (105, 110)        4         256     "in"      t in    _ t in    _ t in t    _ in
      2     (116, 256)        3         257     "tin"     tin     _ tin     _ tin t     _ in
      3     (32, 257)         2         258     " tin"    tin     _tin      _tin t      _ in
      4     (32, 256)         1         259     " in"     tin     _tin      _tin t      _in
      5     (258, 116)        1         260     " tint"   tin     _tin      _tint       _in

After merge 5 every piece is one token. No pair is left, so training ends, however large a vocabulary was asked for.

TIES
Before merge 4, two pairs were left, and each occurred once: (32, 256) and (258, 116). A rule has to decide,
or two people would learn two vocabularies from one text. Here the smaller first id wins. If the first ids are
equal, the smaller second id wins. The `tokenizers` library from Hugging Face has the same rule, so your
merges will equal its merges.

SPECIAL TOKENS
"<|endoftext|>" between two documents is a marker, not text. The text is split there before anything is
counted, so nothing is merged across it. It will need an id later, so it counts as part of the vocabulary:
GPT-2's 50,257 tokens are 256 bytes, 50,000 merges and this one.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", section 2.5, takes GPT-2's finished vocabulary from
tiktoken. How one is learned is only in the bonus material of chapter 2. Here all pairs are counted again for
each merge, which is easy to read. For a large corpus you would count once, and then correct only what each
merge changes. The result is the same.

NOT ALLOWED HERE
The packages tiktoken, tokenizers and transformers: each of them holds a finished byte pair encoding.

TWO QUESTIONS (the answers are at the end of this file)
1. After merge 2 of the example, the id 256 is left in " in" only. After merge 4 it is nowhere. Is "in" wasted?
2. You learn 300 merges from a text, and later 400 from the same text. What do the two lists have in common?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex02` learns 400 merges from the story in data/, 36,000
characters of English. Predict first: which two neighbours are merged first? And the story is about Ruth:
after how many merges is " Ruth", which occurs 55 times, one token?

Read on: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", section 3.2,
where the pairs are of characters. Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
section 2.2, which goes down to bytes.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import regex

# How GPT-2 cuts text into pieces: the pattern that was published with the model. It is written for the `regex`
# package, because Python's own `re` does not know \p{L} and \p{N}. At each position the alternatives are tried from
# the first to the last, and the first that matches is taken. Together they lose no character.
#
#   's|'t|'re|'ve|'m|'ll|'d   English endings, in lower case only: "don't" becomes "don" and "'t"
#    ?\p{L}+                  letters of any alphabet, with the one space before them
#    ?\p{N}+                  digits and other number characters, such as ² and ½, with the one space before them
#    ?[^\s\p{L}\p{N}]+        all other characters except white space, with the one space before them
#   \s+(?!\S)                 white space, but not its last character if something follows: that one is left for
#                             the next piece
#   \s+                       white space that is still left, such as the one line break between two lines
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def count_pairs(words: dict[tuple[int, ...], int]) -> dict[tuple[int, int], int]:
    """How often each pair of neighbouring ids occurs.

    Arguments
        words  a word, as a tuple of ids -> how often the word occurs in the text
    Returns
        a pair (left id, right id) -> how often it occurs in the text

    Every position at which a pair begins should count, as often as the word occurs. Only pairs that occur are in
    the result.

    Example: count_pairs({(5, 6, 5, 6): 1, (6, 5): 10, (8,): 3}) is {(5, 6): 2, (6, 5): 11}.

    Fine print
        Pairs may overlap: (7, 7, 7) holds (7, 7) twice. A word of one id holds no pair, and no words give {}.

    Source: Sennrich et al. 2016, algorithm 1, get_stats.
    """
    raise NotImplementedError


def merge_pair(word: tuple[int, ...], pair: tuple[int, int], new_id: int) -> tuple[int, ...]:
    """The word with every occurrence of a pair replaced by one new id.

    Arguments
        word    a tuple of ids, of any length from 1
        pair    two ids, merged where they are neighbours in this order
        new_id  the id that takes their place; it was not used before
    Returns
        a tuple of ids

    The word should be read from left to right, and each id is merged at most once.

    Examples
        merge_pair((5, 6, 7, 5, 6), (5, 6), 256) is (256, 7, 256)
        merge_pair((7, 7, 7), (7, 7), 256) is (256, 7)

    Source: Sennrich et al. 2016, algorithm 1, merge_vocab.
    """
    raise NotImplementedError


def pretokenize(text: str, special_tokens: Sequence[str] = ()) -> list[str]:
    """Cut text into the pieces that no token reaches across.

    Arguments
        text            any text
        special_tokens  strings that are not text, such as "<|endoftext|>"; none of them is empty
    Returns
        the pieces, as strings, in the order of the text

    First the text should be split at the special tokens, which vanish. Then each of the parts is cut by
    GPT2_PATTERN, on its own. The pieces of a part, joined again, are that part.

    Examples
        pretokenize("I'll see  2 dogs.") is ["I", "'ll", " see", " ", " 2", " dogs", "."]
        pretokenize("one<|end|>two", ["<|end|>"]) is ["one", "two"]

    Fine print
        The text is read from left to right. Where several special tokens begin at the same position, the longest
        is taken. Each of their characters stands for itself: the | in "<|end|>" does not mean "or".
        No piece is empty, so a text without any gives [].

    Source: Radford et al. 2019, section 2.2.
    """
    raise NotImplementedError


def train_bpe(
    text: str, vocab_size: int, special_tokens: Sequence[str] = ()
) -> tuple[dict[bytes, int], list[tuple[int, int]]]:
    """Learn a vocabulary of tokens from a text.

    Arguments
        text            what to learn from
        vocab_size      the number of tokens: bytes, learned ones and special ones
        special_tokens  as for `pretokenize`
    Returns
        ranks   a token, as bytes -> its id: single bytes 0 … 255, learned tokens from 256 on
        merges  the merged pairs of ids, in order: merges[0] became 256

    Training should follow steps 1 to 5 of the lesson and its rule for ties. The bytes are those of UTF-8.

    Example: train_bpe("tin tin tint in", 259, ["<|endoftext|>"]) learns two tokens. `merges` is
    [(105, 110), (116, 256)], and `ranks` has 258 entries, of which the last two are b"in": 256, b"tin": 257.

    Fine print
        Special tokens are not in `ranks`, but each counts in vocab_size, even if the text does not hold it. So
        vocab_size - 256 - len(special_tokens) tokens are learned, or fewer if no pair is left.
        A pair that occurs only once is merged like any other.
        ValueError: vocab_size is less than 256 + len(special_tokens). The message should name that number.

    Source: Sennrich et al. 2016, section 3.2, on bytes as in Radford et al. 2019, section 2.2.
    """
    raise NotImplementedError


# ANSWERS
# 1. No. "tin" was made from it. And another text may hold "bin", which is then written as b and in.
# 2. The first 300 merges are the same. Each step depends only on the steps before it, not on vocab_size, so a small
#    vocabulary is the beginning of a large one.
