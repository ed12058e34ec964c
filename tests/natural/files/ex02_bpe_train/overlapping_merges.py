# wrong: moves-on-by-one-after-a-merge
# Moves on by one after a merge, so 7 7 7 becomes two new ids.

import regex as re

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def count_pairs(words):
    counts = {}
    for ids, freq in words.items():
        for pair in zip(ids, ids[1:]):  # consecutive elements
            counts[pair] = counts.get(pair, 0) + freq
    return counts

def most_frequent_pair(counts):
    top = max(counts.values())
    return min(pair for pair, count in counts.items() if count == top)

def merge_pair(word, pair, new_id):
    newids = []
    i = 0
    while i < len(word):
        if i < len(word) - 1 and word[i] == pair[0] and word[i + 1] == pair[1]:
            newids.append(new_id)
        elif i > 0 and newids[-1] == new_id and word[i - 1] == pair[0] and word[i] == pair[1]:
            pass
        else:
            newids.append(word[i])
        i += 1
    return tuple(newids)

def pretokenize(text, special_tokens=()):
    if not special_tokens:
        return re.findall(GPT2_PATTERN, text)
    special_pattern = "(" + "|".join(re.escape(k) for k in sorted(special_tokens, key=len, reverse=True)) + ")"
    chunks = re.split(special_pattern, text)
    pieces = []
    for chunk in chunks:
        if chunk in special_tokens:
            continue
        pieces.extend(re.findall(GPT2_PATTERN, chunk))
    return pieces

def train_bpe(text, vocab_size, special_tokens=()):
    num_merges = vocab_size - 256 - len(special_tokens)
    if num_merges < 0:
        raise ValueError(f"vocab_size must be at least {256 + len(special_tokens)}")
    words = {}
    for ch in pretokenize(text, special_tokens):
        ids = tuple(ch.encode("utf-8"))
        words[ids] = words.get(ids, 0) + 1
    merges = []
    vocab = {idx: bytes([idx]) for idx in range(256)}
    for i in range(num_merges):
        stats = count_pairs(words)
        if not stats:
            break
        pair = most_frequent_pair(stats)
        idx = 256 + i
        merged = {}
        for word, freq in words.items():
            new = merge_pair(word, pair, idx)
            merged[new] = merged.get(new, 0) + freq
        words = merged
        merges.append(pair)
        vocab[idx] = vocab[pair[0]] + vocab[pair[1]]
    return {token: idx for idx, token in vocab.items()}, merges
