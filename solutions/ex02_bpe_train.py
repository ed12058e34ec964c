"""Byte pair encoding, the training: where a GPT's vocabulary comes from.

WHY
A model works with numbers, so text must become ids. A vocabulary of words is too small the day a new word
comes along: everything unknown turns into <|unk|>. A vocabulary of characters knows every word, but a page
becomes thousands of tokens, and a model pays for each. Byte pair encoding lies between. What is frequent
gets a token of its own; what is rare is spelled out from parts. Nothing is ever unknown, because the
smallest parts are the 256 bytes, and UTF-8 writes every text in bytes.

HOW
    1  Cut the text into pieces: words, numbers, signs, white space. Two pieces never share a token, so
       that "dog", "dog." and "dog!" do not fill three places of the vocabulary.
    2  Write each piece as its bytes. A byte is its own id, 0 … 255.
    3  Count all pairs of neighbours, in all pieces.
    4  Give the most frequent pair a new id, 256 at first, then 257 and so on. Replace the pair by it
       everywhere.
    5  Go on with step 3 until the vocabulary is full, or no pair is left.

The list of merged pairs, in their order, is all that training learns. Exercise 3 encodes text with it.

TIES
Often two pairs are equally frequent. Some rule has to decide, or two people would learn two vocabularies from
one text. Here the pair with the smallest ids wins: the smaller first id, and if these are equal, the smaller
second id. It is the rule of the `tokenizers` library from Hugging Face, whose merges yours will equal.

A SMALL EXAMPLE
The text "tin tin tint in" has four pieces: "tin", " tin", " tint" and " in". A space belongs to the word
after it. As ids, a space is 32, i is 105, n is 110, t is 116.

    merge   pair          how often   new id   its text   the pieces afterwards, spaces as _
      1     (105, 110)        4         256     "in"      t in    _ t in    _ t in t    _ in
      2     (116, 256)        3         257     "tin"     tin     _ tin     _ tin t     _ in
      3     (32, 257)         2         258     " tin"    tin     _tin      _tin t      _ in
      4     (32, 256)         1         259     " in"     tin     _tin      _tin t      _in
      5     (258, 116)        1         260     " tint"   tin     _tin      _tint       _in

Before merge 4 two pairs were left, both once: (32, 256) and (258, 116). The smaller ids went first. After
merge 5 every piece is one token. No pair is left, so training ends, however large a vocabulary was wanted.

SPECIAL TOKENS
"<|endoftext|>" between two documents is a sign, not text. It is cut out before anything is counted, so
nothing is merged across it and it takes no part in training. It will need an id of its own all the same, so
it counts as one of the vocabulary: GPT-2's 50,257 tokens are 256 bytes, 50,000 merges and this one.

WHAT THIS DOES NOT DO
It counts all pairs anew for each merge. That is easy to read and fast enough for a book. For a library of
books one counts once, and after a merge corrects only what the merge has changed. The result is the same.

NOT ALLOWED HERE
The packages tiktoken, tokenizers and transformers: each of them holds a finished byte pair encoding.

Read on: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", section 3.2,
where the pairs are of characters. Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
section 2.2, which goes down to bytes. Raschka, "Build a Large Language Model (From Scratch)", section 2.5,
and the bonus material of its chapter 2.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import regex

# How GPT-2 cuts text into pieces: the pattern that was published with the model. It is written for the
# `regex` package; Python's own `re` does not know \p{L} and \p{N}. At each place the alternatives are tried
# from the first to the last, and the first that fits decides. Together they lose no character.
#
#   's|'t|'re|'ve|'m|'ll|'d   English endings, in lower case only: "don't" becomes "don" and "'t"
#    ?\p{L}+                  letters of any alphabet, with the one space before them
#    ?\p{N}+                  digits and other number signs, such as ² and ½, with the one space before them
#    ?[^\s\p{L}\p{N}]+        all other signs that are not white space, with the one space before them
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

    A pair counts for every place of a word at which it stands, and every place counts as often as the word
    occurs. Places may overlap: (7, 7, 7) holds (7, 7) twice. Only pairs that occur are in the result, so
    words of length 0 and 1 add nothing, and no words give {}. `words` is not changed.

    Example: count_pairs({(5, 6, 5, 6): 1, (6, 5): 10, (8,): 3}) is {(5, 6): 2, (6, 5): 11}.

    Source: Sennrich et al. 2016, algorithm 1, get_stats.
    """
    counts: dict[tuple[int, int], int] = {}
    for word, frequency in words.items():
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def merge_pair(word: tuple[int, ...], pair: tuple[int, int], new_id: int) -> tuple[int, ...]:
    """The word with every occurrence of a pair replaced by one new id.

    Arguments
        word    ids, any number of them
        pair    the two ids that are merged where they are neighbours, in this order
        new_id  the id that takes their place; it is neither in the word nor in the pair
    Returns
        a tuple of ids; `word` itself, or an equal tuple, where the pair does not occur

    The word is read from left to right, and an id is merged once at most. So with three equal ids, the first
    two become one and the third stays.

    Examples
        merge_pair((5, 6, 7, 5, 6), (5, 6), 256) is (256, 7, 256)
        merge_pair((7, 7, 7), (7, 7), 256) is (256, 7)
        merge_pair((), (5, 6), 256) is ()

    Source: Sennrich et al. 2016, algorithm 1, merge_vocab.
    """
    merged: list[int] = []
    place = 0
    while place < len(word):
        if word[place : place + 2] == pair:
            merged.append(new_id)
            place += 2
        else:
            merged.append(word[place])
            place += 1
    return tuple(merged)


def pretokenize(text: str, special_tokens: Sequence[str] = ()) -> list[str]:
    """Cut text into the pieces that tokens never cross.

    Arguments
        text            any text
        special_tokens  signs that are not text, such as "<|endoftext|>": a tuple or list of strings, all
                        different, none of them empty; it is not changed
    Returns
        the pieces, as strings, in the order of the text; none of them is empty

    First the special tokens are cut out. They are no pieces: they vanish, and what stands before and what
    stands after one are two texts that know nothing of each other. The text is searched from left to right;
    where several special tokens begin at the same place, the longest is taken, in whatever order they were
    given. Every character of a special token stands for itself: the | in "<|endoftext|>" means no "or".

    Then each of these texts is cut into pieces by GPT2_PATTERN. Joined again, they are that text.

    Text that is empty, or consists of special tokens only, has no pieces: [].

    Examples
        pretokenize("I'll see  2 dogs.") is ["I", "'ll", " see", " ", " 2", " dogs", "."]
        pretokenize("one<|end|>two", ["<|end|>"]) is ["one", "two"]

    Source: Radford et al. 2019, section 2.2.
    """
    texts = [text]
    if special_tokens:
        longest_first = sorted(special_tokens, key=len, reverse=True)
        texts = regex.split("|".join(regex.escape(special) for special in longest_first), text)
    return [piece for part in texts for piece in regex.findall(GPT2_PATTERN, part)]


def train_bpe(
    text: str, vocab_size: int, special_tokens: Sequence[str] = ()
) -> tuple[dict[bytes, int], list[tuple[int, int]]]:
    """Learn a vocabulary of tokens from a text.

    Arguments
        text            what to learn from
        vocab_size      how many tokens are wanted: the 256 bytes, the learned ones and the special ones
        special_tokens  signs that are not text, such as "<|endoftext|>", as for `pretokenize`
    Returns
        ranks   a token, as bytes -> its id. The 256 single bytes have the ids 0 … 255: bytes([65]) has 65.
                The learned tokens follow from 256 on, in the order in which they were learned. Special
                tokens are not in it: they get ids of their own later.
        merges  the pairs of ids that were merged, in order: merges[0] became id 256, merges[1] 257, …
    Raises
        ValueError: vocab_size is too small for the 256 bytes and the special tokens. The message names the
        smallest size that is allowed, 256 + len(special_tokens). With exactly that, nothing is learned.
        UnicodeEncodeError: the text holds half of a surrogate pair, such as chr(0xD800), for which UTF-8
        has no bytes. It is a kind of ValueError, and `.encode("utf-8")` raises it by itself.

    The text is cut by `pretokenize`, each piece is written as its bytes in UTF-8, and pairs never reach
    across the end of a piece. At every step the most frequent pair, as `count_pairs` counts, is merged
    in all pieces by `merge_pair`. Of equally frequent pairs, the one with the smallest first id is taken; if
    these are equal too, the one with the smallest second id. A pair that occurs only once is
    merged like any other.

    Exactly vocab_size - 256 - len(special_tokens) tokens are learned, or fewer if no pair is left: then
    training stops, and that is not an error. So an empty text teaches nothing: 256 ranks, no merges.

    Example: train_bpe("tin tin tint in", 259, ["<|endoftext|>"]) learns two tokens. `merges` is
    [(105, 110), (116, 256)], and `ranks` has 258 entries, of which the last two are b"in": 256, b"tin": 257.

    Source: Sennrich et al. 2016, section 3.2, on bytes as in Radford et al. 2019, section 2.2.
    """
    smallest = 256 + len(special_tokens)
    if vocab_size < smallest:
        raise ValueError(f"a vocabulary of {vocab_size} is too small: it takes at least {smallest}")
    words: dict[tuple[int, ...], int] = Counter(
        tuple(piece.encode("utf-8")) for piece in pretokenize(text, special_tokens)
    )
    tokens = [bytes([byte]) for byte in range(256)]
    merges: list[tuple[int, int]] = []
    while len(merges) < vocab_size - smallest:
        counts = count_pairs(words)
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = {merge_pair(word, best, len(tokens)): frequency for word, frequency in words.items()}
        tokens.append(tokens[best[0]] + tokens[best[1]])
        merges.append(best)
    return {token: rank for rank, token in enumerate(tokens)}, merges
