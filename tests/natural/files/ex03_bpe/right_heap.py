# right: a heap and a linked list of cuts; text in latin-1 inside; a file of lines.
# split_at_specials leaves empty parts out.

import heapq
import json

import regex

from .ex02_bpe_train import GPT2_PATTERN


def bpe_encode(piece, ranks):
    """A linked list of cuts, and a heap of the pairs that could be merged."""
    ends = {i: i + 1 for i in range(len(piece))}
    before = {i: i - 1 for i in range(len(piece))}
    heap = []

    def push(start):
        middle = ends.get(start)
        if middle is None or middle not in ends:
            return
        token = piece[start : ends[middle]]
        if token in ranks:
            heapq.heappush(heap, (ranks[token], start, middle, ends[middle]))

    for start in range(len(piece)):
        push(start)
    while heap:
        _, start, middle, end = heapq.heappop(heap)
        if ends.get(start) != middle or ends.get(middle) != end:
            continue
        del ends[middle]
        ends[start] = end
        if end in before:
            before[end] = start
        push(start)
        if before[start] >= 0:
            push(before[start])
    return [ranks[piece[start:end]] for start, end in sorted(ends.items())]

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
