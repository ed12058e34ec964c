# wrong: overlapping-merges
# All places of the lowest rank at once, but aaa becomes aa aa: the middle is used twice.

import ast
from itertools import chain
from pathlib import Path

import regex

from .ex02_bpe_train import GPT2_PATTERN


def bpe_encode(piece, ranks):
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        known = [ranks[a + b] for a, b in zip(parts, parts[1:]) if a + b in ranks]
        if not known:
            return [ranks[p] for p in parts]
        lowest, joined, used = min(known), [], False
        for i, part in enumerate(parts):
            if i + 1 < len(parts) and ranks.get(part + parts[i + 1]) == lowest:
                joined.append(part + parts[i + 1])
                used = True
            elif not used:
                joined.append(part)
            else:
                used = False
        parts = joined

def split_at_specials(text, special_tokens, allowed):
    for s in sorted(special_tokens, key=len, reverse=True):
        if s in text and s not in set(allowed):
            raise ValueError(s)
    cut = regex.compile(r"\L<names>", names=list(special_tokens)) if special_tokens else regex.compile("(?!)")
    parts, start = [], 0
    for m in cut.finditer(text):
        parts.extend((text[start : m.start()], m[0]))
        start = m.end()
    return [*parts, text[start:]]

class BPETokenizer:
    def __init__(self, ranks, special_tokens=None, pattern=GPT2_PATTERN):
        self.ranks, self.special_tokens, self.pattern = dict(ranks), dict(special_tokens or ()), pattern

    @property
    def table(self):
        return {i: t for t, i in chain(self.ranks.items(), ((s.encode(), i) for s, i in self.special_tokens.items()))}

    def encode(self, text, allowed_special=()):
        return list(self._encode(text, allowed_special))

    def _encode(self, text, allowed_special):
        for part in split_at_specials(text, self.special_tokens, allowed_special):
            if part in self.special_tokens:
                yield self.special_tokens[part]
            else:
                for m in regex.finditer(self.pattern, part):
                    raw = m[0].encode()
                    yield from [self.ranks[raw]] if raw in self.ranks else bpe_encode(raw, self.ranks)

    def decode(self, ids):
        return str(b"".join(map(self.table.__getitem__, ids)), "utf-8", "replace")

    def encode_iterable(self, texts, allowed_special=()):
        return chain.from_iterable(self.encode(t, allowed_special) for t in texts)

    def save(self, path):
        Path(path).write_text(ascii([self.ranks, self.special_tokens, self.pattern]), encoding="ascii")

    @classmethod
    def load(cls, path):
        return cls(*ast.literal_eval(Path(path).read_text(encoding="ascii")))
