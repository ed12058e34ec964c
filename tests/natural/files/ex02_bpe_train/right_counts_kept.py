# right: counts are corrected after each merge, nothing is counted anew.
# An index says which words hold a pair.

from collections import Counter, defaultdict

import regex

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def count_pairs(words: dict) -> dict:
    pairs = Counter()
    for word, n in words.items():
        for i in range(len(word) - 1):
            pairs[word[i], word[i + 1]] += n
    return dict(pairs)

def most_frequent_pair(counts: dict) -> tuple:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0][0], item[0][1]))[0][0]

def merge_pair(word: tuple, pair: tuple, new_id: int) -> tuple:
    out = []
    for symbol in word:
        if out and (out[-1], symbol) == tuple(pair):
            out[-1] = new_id
        else:
            out.append(symbol)
    return tuple(out)

def pretokenize(text: str, special_tokens=()) -> list:
    if len(special_tokens) > 0:
        longest_first = sorted(special_tokens, key=lambda s: -len(s))
        stop = regex.compile("|".join(regex.escape(s) for s in longest_first))
        parts, start = [], 0
        for match in stop.finditer(text):
            parts.append(text[start : match.start()])
            start = match.end()
        parts.append(text[start:])
    else:
        parts = [text]
    return [m.group() for part in parts for m in regex.finditer(GPT2_PATTERN, part)]

def train_bpe(text: str, vocab_size: int, special_tokens=()) -> tuple:
    room = vocab_size - 256 - len(special_tokens)
    if room < 0:
        raise ValueError(f"{vocab_size} < {256 + len(special_tokens)}")

    words, freqs = [], []
    for piece, n in Counter(pretokenize(text, special_tokens)).items():
        words.append(list(piece.encode("utf-8")))
        freqs.append(n)

    counts, where = Counter(), defaultdict(set)
    for number, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += freqs[number]
            where[pair].add(number)

    tokens, merges = [bytes([b]) for b in range(256)], []
    while room > 0:
        counts = +counts
        if not counts:
            break
        best = most_frequent_pair(counts)
        new_id = len(tokens)
        for number in list(where.pop(best)):
            old = words[number]
            for pair in zip(old, old[1:]):
                counts[pair] -= freqs[number]
            new = list(merge_pair(tuple(old), best, new_id))
            for pair in zip(new, new[1:]):
                counts[pair] += freqs[number]
                where[pair].add(number)
            words[number] = new
        tokens.append(tokens[best[0]] + tokens[best[1]])
        merges.append(best)
        room -= 1
    return dict(zip(tokens, range(len(tokens)))), merges
