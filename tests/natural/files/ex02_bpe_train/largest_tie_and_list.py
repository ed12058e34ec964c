# wrong: tie-to-the-largest-ids, merged-list
# max over (count, pair); merge_pair returns a list, which train_bpe turns into a tuple.

from collections import Counter
from functools import reduce
from itertools import chain, islice, pairwise

import regex

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


count_pairs = lambda words: dict(sum((Counter({p: n * c for p, c in Counter(pairwise(w)).items()}) for w, n in words.items()), Counter()))

def most_frequent_pair(counts):
    return max(counts, key=lambda p: (counts[p], p))

def merge_pair(word, pair, new_id):
    done = []
    for symbol in word:
        if done and (done[-1], symbol) == pair:
            done[-1] = new_id
        else:
            done.append(symbol)
    return done

def pretokenize(text, special_tokens=()):
    cut = regex.compile("|".join(regex.escape(s) for s in sorted(special_tokens, key=len)[::-1]) or "(?!)")
    return list(chain.from_iterable(regex.findall(GPT2_PATTERN, part) for part in cut.split(text)))

def _merges(words):
    new_id = 256
    while counts := count_pairs(words):
        best = most_frequent_pair(counts)
        yield best
        words = {tuple(merge_pair(w, best, new_id)): n for w, n in words.items()}
        new_id += 1


def train_bpe(text, vocab_size, special_tokens=()):
    least = 256 + len(special_tokens)
    if vocab_size < least:
        raise ValueError(least)
    words = Counter(map(lambda p: (*p.encode(),), pretokenize(text, special_tokens)))
    merges = [*islice(_merges(words), vocab_size - least)]
    tokens = [*map(bytes, zip(range(256)))]
    for a, b in merges:
        tokens += [tokens[a] + tokens[b]]
    return {t: i for i, t in enumerate(tokens)}, merges
