# wrong: decoded-spaces-tidied
# decode tidies spaces before punctuation with the regular expression of exercise 1.

import pickle
from functools import lru_cache

import regex as re

from .ex02_bpe_train import GPT2_PATTERN


def get_pairs(word):
    """All neighbours in a word, which is a tuple of bytes."""
    return set(zip(word, word[1:]))

def bpe_encode(piece, ranks):
    word = tuple(piece[i : i + 1] for i in range(len(piece)))
    pairs = get_pairs(word)
    while pairs:
        bigram = min(pairs, key=lambda pair: ranks.get(pair[0] + pair[1], float("inf")))
        if bigram[0] + bigram[1] not in ranks:
            break
        first, second = bigram
        new_word = []
        i = 0
        while i < len(word):
            try:
                j = word.index(first, i)
            except ValueError:
                new_word.extend(word[i:])
                break
            new_word.extend(word[i:j])
            i = j
            if i < len(word) - 1 and word[i + 1] == second:
                new_word.append(first + second)
                i += 2
            else:
                new_word.append(word[i])
                i += 1
        word = tuple(new_word)
        pairs = get_pairs(word)
    return [ranks[token] for token in word]

def split_at_specials(text, special_tokens, allowed):
    bad = [s for s in special_tokens if s not in allowed and s in text]
    if bad:
        raise ValueError("not allowed here: " + ", ".join(bad))
    pieces, start = [], 0
    names = sorted(special_tokens, key=len, reverse=True)
    while start < len(text):
        hits = [(text.find(s, start), n) for n, s in enumerate(names) if text.find(s, start) >= 0]
        if not hits:
            break
        at, n = min(hits)
        pieces += [text[start:at], names[n]]
        start = at + len(names[n])
    pieces.append(text[start:])
    return [p for p in pieces if p]

class BPETokenizer:
    """GPT-2's encoder.py, more or less."""

    def __init__(self, ranks, special_tokens=None, pattern=GPT2_PATTERN):
        self.ranks = {**ranks}
        self.special_tokens = {**(special_tokens or {})}
        self.pattern = pattern
        self.cache = {}

    def bpe(self, token):
        if token not in self.cache:
            whole = self.ranks.get(token)
            self.cache[token] = bpe_encode(token, self.ranks) if whole is None else [whole]
        return self.cache[token]

    def encode(self, text, allowed_special=()):
        bpe_tokens = []
        for part in split_at_specials(text, list(self.special_tokens), allowed_special):
            if part in self.special_tokens:
                bpe_tokens += [self.special_tokens[part]]
            else:
                for match in re.finditer(self.pattern, part):
                    bpe_tokens += self.bpe(match[0].encode("utf-8"))
        return bpe_tokens

    def decode(self, ids):
        decoder = {v: k for k, v in self.ranks.items()}
        decoder.update({v: k.encode("utf-8") for k, v in self.special_tokens.items()})
        data = bytearray()
        for i in ids:
            data += decoder[i]
        return re.sub(r' ([,.:;?!)\'])', r'\1', data.decode("utf-8", errors="replace"))

    def encode_iterable(self, texts, allowed_special=()):
        return (i for text in texts for i in self.encode(text, allowed_special))

    def save(self, path):
        with open(path, "wb") as f:
            pickle.dump((self.ranks, self.special_tokens, self.pattern), f)

    @classmethod
    def load(cls, path):
        with open(path, "rb") as f:
            return cls(*pickle.load(f))
