import json
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import regex

from .ex02_bpe_train import GPT2_PATTERN


def bpe_encode(piece: bytes, ranks: dict[bytes, int]) -> list[int]:
    parts = [piece[place : place + 1] for place in range(len(piece))]
    while True:
        known = [
            (ranks[left + right], place)
            for place, (left, right) in enumerate(pairwise(parts))
            if left + right in ranks
        ]
        if not known:
            break
        _, place = min(known)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return [ranks[part] for part in parts]


def split_at_specials(text: str, special_tokens: Collection[str], allowed: Collection[str]) -> list[str]:
    for special in special_tokens:
        if special in text and special not in allowed:
            raise ValueError(f"the special token {special} is in the text and not allowed")
    if not special_tokens:
        return [text]
    longest_first = sorted(special_tokens, key=len, reverse=True)
    # The group makes split() keep what it splits at.
    return regex.split("(" + "|".join(regex.escape(special) for special in longest_first) + ")", text)


class BPETokenizer:
    def __init__(
        self,
        ranks: dict[bytes, int],
        special_tokens: dict[str, int] | None = None,
        pattern: str = GPT2_PATTERN,
    ) -> None:
        self.ranks = dict(ranks)
        self.special_tokens = dict(special_tokens or {})
        self.pattern = pattern
        self.tokens = {rank: token for token, rank in self.ranks.items()}
        self.tokens |= {number: special.encode() for special, number in self.special_tokens.items()}

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        ids = []
        for part in self._cut(text, allowed_special):
            if part in self.special_tokens:
                ids.append(self.special_tokens[part])
                continue
            for match in regex.finditer(self.pattern, part):
                piece = match.group().encode("utf-8")
                if piece in self.ranks:
                    ids.append(self.ranks[piece])
                else:
                    ids.extend(self._merge(piece))
        return ids

    def _cut(self, text: str, allowed: Collection[str]) -> list[str]:
        names = sorted(self.special_tokens, key=len, reverse=True)
        for name in names:
            if name in text and name not in allowed:
                raise ValueError(f"{name} is not allowed")
        return regex.split(f"({'|'.join(map(regex.escape, names))})", text) if names else [text]

    def _merge(self, piece: bytes) -> list[int]:
        cuts = list(range(len(piece) + 1))
        while True:
            ranked = [
                (self.ranks[piece[start:end]], cut)
                for cut, (start, end) in enumerate(zip(cuts, cuts[2:], strict=False), start=1)
                if piece[start:end] in self.ranks
            ]
            if not ranked:
                return [self.ranks[piece[start:end]] for start, end in pairwise(cuts)]
            del cuts[min(ranked)[1]]

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self.tokens[number] for number in ids).decode("utf-8", errors="replace")

    def encode_iterable(self, texts: Iterable[str], allowed_special: Collection[str] = ()) -> Iterator[int]:
        for text in texts:
            yield from self.encode(text, allowed_special)

    def save(self, path: str | Path) -> None:
        content = {
            "ranks": {token.hex(): rank for token, rank in self.ranks.items()},
            "special_tokens": self.special_tokens,
            "pattern": self.pattern,
        }
        Path(path).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        ranks = {bytes.fromhex(token): rank for token, rank in content["ranks"].items()}
        return cls(ranks, content["special_tokens"], content["pattern"])
