from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import regex

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def count_pairs(words: dict[tuple[int, ...], int]) -> dict[tuple[int, int], int]:
    counts: dict[tuple[int, int], int] = {}
    for word, frequency in words.items():
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def most_frequent_pair(counts: dict[tuple[int, int], int]) -> tuple[int, int]:
    return min(counts, key=lambda pair: (-counts[pair], pair))


def merge_pair(word: tuple[int, ...], pair: tuple[int, int], new_id: int) -> tuple[int, ...]:
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
    texts = [text]
    if special_tokens:
        longest_first = sorted(special_tokens, key=len, reverse=True)
        texts = regex.split("|".join(regex.escape(special) for special in longest_first), text)
    return [piece for part in texts for piece in regex.findall(GPT2_PATTERN, part)]


def train_bpe(
    text: str, vocab_size: int, special_tokens: Sequence[str] = ()
) -> tuple[dict[bytes, int], list[tuple[int, int]]]:
    smallest = 256 + len(special_tokens)
    if vocab_size < smallest:
        raise ValueError(f"a vocabulary of {vocab_size} is too small: it takes at least {smallest}")
    sequences = [list(piece.encode("utf-8")) for piece in pretokenize(text, special_tokens)]
    tokens = [bytes([byte]) for byte in range(256)]
    merges: list[tuple[int, int]] = []
    while len(merges) < vocab_size - smallest:
        counts = Counter(pair for sequence in sequences for pair in pairwise(sequence))
        if not counts:
            break
        best = sorted(counts, key=lambda pair: (-counts[pair], *pair))[0]
        for sequence in sequences:
            start = 0
            while start + 1 < len(sequence):
                if (sequence[start], sequence[start + 1]) == best:
                    sequence[start : start + 2] = [len(tokens)]
                start += 1
        tokens.append(tokens[best[0]] + tokens[best[1]])
        merges.append(best)
    return {token: rank for rank, token in enumerate(tokens)}, merges
