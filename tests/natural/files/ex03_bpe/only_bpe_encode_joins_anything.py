# wrong: any-known-pair-from-left-to-right
# The class merges by rank itself; bpe_encode joins the first known pair.

import json
import pathlib
from math import inf

import regex

from .ex02_bpe_train import GPT2_PATTERN


def bpe_encode(piece, ranks):
    parts = [bytes([b]) for b in piece]
    i = 0
    while i < len(parts) - 1:
        if parts[i] + parts[i + 1] in ranks:
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
            i = 0
        else:
            i += 1
    return [ranks[p] for p in parts]

def split_at_specials(text, special_tokens, allowed):
    forbidden = set(special_tokens) - set(allowed)
    for token in forbidden:
        if text.find(token) != -1:
            raise ValueError(f"forbidden special token {token!r} in the text")
    if len(special_tokens) == 0:
        return [text]
    ordered = sorted(special_tokens, key=lambda t: (-len(t), t))
    return regex.split(f"({'|'.join(map(regex.escape, ordered))})", text)

class BPETokenizer:
    def __init__(self, ranks, special_tokens=None, pattern=GPT2_PATTERN):
        self.pattern = pattern
        self.ranks = ranks.copy()
        self.special_tokens = {} if special_tokens is None else special_tokens.copy()
        self.by_id = {rank: token for token, rank in self.ranks.items()}
        self.specials_by_id = {i: name.encode("utf-8") for name, i in self.special_tokens.items()}

    def encode(self, text, allowed_special=()):
        ids = []
        split_at_specials(text, self.special_tokens, allowed_special)  # complains if it has to
        names = sorted(self.special_tokens, key=len, reverse=True)
        start = place = 0
        while place <= len(text):
            name = next((n for n in names if text.startswith(n, place)), None)
            if name is None and place < len(text):
                place += 1
                continue
            for m in regex.finditer(self.pattern, text[start:place]):
                data = m.group().encode("utf-8")
                ids += self._merge(data)
            if name is None:
                break
            ids.append(self.special_tokens[name])
            start = place = place + len(name)
        return ids

    def _merge(self, data):
        if data in self.ranks:
            return [self.ranks[data]]
        cuts = list(range(len(data) + 1))
        while len(cuts) > 2:
            rank_of_cut = [self.ranks.get(data[a:c], inf) for a, c in zip(cuts, cuts[2:])]
            lowest = min(rank_of_cut)
            if lowest == inf:
                break
            del cuts[rank_of_cut.index(lowest) + 1]
        return [self.ranks[data[a:b]] for a, b in zip(cuts, cuts[1:])]

    def decode(self, ids):
        data = b""
        for i in ids:
            data += self.by_id[i] if i in self.by_id else self.specials_by_id[i]
        return data.decode("utf-8", errors="replace")

    def encode_iterable(self, texts, allowed_special=()):
        for text in texts:
            for token in self.encode(text, allowed_special):
                yield token

    def save(self, path):
        dump = json.dumps(dict(r=[[list(t), i] for t, i in self.ranks.items()], s=self.special_tokens, p=self.pattern))
        pathlib.Path(path).write_text(dump, "utf-8")

    @classmethod
    def load(cls, path):
        dump = json.loads(pathlib.Path(path).read_text("utf-8"))
        return cls({bytes(t): i for t, i in dump["r"]}, dump["s"], dump["p"])
