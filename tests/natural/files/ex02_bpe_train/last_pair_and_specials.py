# wrong: last-pair-not-counted, specials-not-counted
# The last pair of a word is not counted; special tokens do not count for the vocabulary.

from __future__ import annotations

import regex

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class Trainer:
    """Holds the pieces as lists of ids, one list for every place in the text."""

    def __init__(self, pieces):
        self.sequences = [[b for b in piece.encode("utf8")] for piece in pieces]
        self.vocab = {i: bytes([i]) for i in range(256)}
        self.history = []

    def statistics(self):
        stats = {}
        for sequence in self.sequences:
            for a, b in zip(sequence[:-1], sequence[1:]):
                stats[(a, b)] = stats.get((a, b), 0) + 1
        return stats

    def choose(self, stats):
        winner = None
        for pair in stats:
            if winner is None or stats[pair] > stats[winner]:
                winner = pair
            elif stats[pair] == stats[winner] and pair < winner:
                winner = pair
        return winner

    def replace(self, pair, new_id):
        for sequence in self.sequences:
            i = 0
            while i < len(sequence) - 1:
                if sequence[i] == pair[0] and sequence[i + 1] == pair[1]:
                    sequence[i : i + 2] = [new_id]
                i += 1

    def step(self):
        stats = self.statistics()
        if len(stats) == 0:
            return False
        pair = self.choose(stats)
        new_id = len(self.vocab)
        self.replace(pair, new_id)
        self.vocab[new_id] = self.vocab[pair[0]] + self.vocab[pair[1]]
        self.history.append(pair)
        return True

def count_pairs(words):
    total = {}
    for word, times in words.items():
        for k in range(1, len(word) - 1):
            key = word[k - 1], word[k]
            total.setdefault(key, 0)
            total[key] += times
    return total

def most_frequent_pair(counts):
    return Trainer([]).choose(counts)

def merge_pair(word, pair, new_id):
    trainer = Trainer([])
    trainer.sequences = [list(word)]
    trainer.replace(pair, new_id)
    return tuple(trainer.sequences[0])

def pretokenize(text, special_tokens=()):
    pieces = []
    rest = text
    while rest:
        found = [(rest.index(s), -len(s), s) for s in special_tokens if s in rest]
        if not found:
            pieces += regex.findall(GPT2_PATTERN, rest)
            break
        place, _, special = min(found)
        pieces += regex.findall(GPT2_PATTERN, rest[:place])
        rest = rest[place + len(special) :]
    return pieces

def train_bpe(text, vocab_size, special_tokens=()):
    minimum = 256 + len(special_tokens)
    if vocab_size < minimum:
        raise ValueError("vocab_size has to be %d or more" % minimum)
    trainer = Trainer(pretokenize(text, special_tokens))
    for _ in range(vocab_size - 256):
        if not trainer.step():
            break
    return {token: i for i, token in trainer.vocab.items()}, trainer.history
