# wrong: one-merge-too-many
# <= for <: one merge too many.

from collections import Counter

import numpy as np
import regex

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


SEPARATOR = -1

def count_pairs(words):
    found = Counter()
    for word, n in words.items():
        array = np.array(word, dtype=np.int64)
        for a, b in np.stack([array[:-1], array[1:]], axis=1).tolist():
            found[a, b] += n
    return dict(found)

def most_frequent_pair(counts):
    table = np.array([(-n, a, b) for (a, b), n in counts.items()])
    first = np.lexsort((table[:, 2], table[:, 1], table[:, 0]))[0]
    return int(table[first, 1]), int(table[first, 2])

def merge_pair(word, pair, new_id):
    array = np.array(word, dtype=np.int64)
    places = np.flatnonzero((array[:-1] == pair[0]) & (array[1:] == pair[1]))
    gone, last = [], -2
    for place in places.tolist():
        if place == last + 1:
            continue
        array[place] = new_id
        gone.append(place + 1)
        last = place
    return tuple(np.delete(array, gone).tolist())

def pretokenize(text, special_tokens=()):
    if special_tokens:
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

def train_bpe(text, vocab_size, special_tokens=()):
    size = 256 + len(special_tokens)
    if vocab_size < size:
        raise ValueError(f"at least {size}")
    stream = [SEPARATOR]
    for piece in pretokenize(text, special_tokens):
        stream += [*piece.encode("utf-8"), SEPARATOR]
    stream = tuple(stream)
    tokens, merges = [bytes((b,)) for b in range(256)], []
    while size + len(merges) <= vocab_size:
        counts = {pair: n for pair, n in count_pairs({stream: 1}).items() if SEPARATOR not in pair}
        if not counts:
            break
        pair = most_frequent_pair(counts)
        stream = merge_pair(stream, pair, len(tokens))
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        merges.append(pair)
    return dict(map(reversed, enumerate(tokens))), merges
