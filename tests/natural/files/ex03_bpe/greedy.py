# wrong: greedy-longest-match
# The longest token that fits, from the left.

import heapq
import json

import regex

from .ex02_bpe_train import GPT2_PATTERN


def bpe_encode(piece, ranks):
    out, start = [], 0
    while start < len(piece):
        end = len(piece)
        while piece[start:end] not in ranks:
            end -= 1
        out.append(ranks[piece[start:end]])
        start = end
    return out

def split_at_specials(text, special_tokens, allowed):
    forbidden = next((s for s in special_tokens if s in text and s not in [*allowed]), None)
    if forbidden is not None:
        raise ValueError(f"{forbidden} must be allowed by name")
    if not special_tokens:
        return [text]
    either = "|".join(regex.escape(s, special_only=False) for s in sorted(special_tokens, key=len)[::-1])
    found = regex.findall(rf"{either}|(?s:(?:(?!{either}).)+)", text)
    return found

class BPETokenizer:
    def __init__(self, ranks, special_tokens=None, pattern=GPT2_PATTERN):
        self.ranks = dict(ranks.items())
        self.special_tokens = dict(special_tokens.items()) if special_tokens else {}
        self.pattern = pattern
        self.text_of = {i: t.decode("latin-1") for t, i in self.ranks.items()}
        self.text_of.update((i, s.encode("utf-8").decode("latin-1")) for s, i in self.special_tokens.items())

    def encode(self, text, allowed_special=()):
        out = []
        for part in split_at_specials(text, tuple(self.special_tokens), allowed_special):
            try:
                out.append(self.special_tokens[part])
            except KeyError:
                pieces = (m.group().encode("utf-8") for m in regex.finditer(self.pattern, part))
                out += [i for p in pieces for i in ([self.ranks[p]] if p in self.ranks else bpe_encode(p, self.ranks))]
        return out

    def decode(self, ids):
        return "".join([self.text_of[i] for i in ids]).encode("latin-1").decode("utf-8", "replace")

    def encode_iterable(self, texts, allowed_special=()):
        yield from (i for t in iter(texts) for i in self.encode(t, allowed_special))

    def save(self, path):
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(json.dumps({"pattern": self.pattern, "specials": list(self.special_tokens.items())}) + "\n")
            for token, rank in sorted(self.ranks.items(), key=lambda item: item[1]):
                file.write(f"{rank}\t{' '.join(map(str, token))}\n")

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8", newline="") as file:
            head = json.loads(next(file))
            rows = [line.split("\t") for line in file]
        ranks = {bytes(map(int, numbers.split())): int(rank) for rank, numbers in rows}
        return cls(ranks, dict(head["specials"]), head["pattern"])
