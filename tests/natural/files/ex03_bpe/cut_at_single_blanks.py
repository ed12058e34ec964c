# wrong: cut-at-single-blanks
# The text is cut at each blank, which goes to the word behind it; the pattern is not used.

import base64
import json
from pathlib import Path
from typing import Collection, Dict, Iterable, Iterator, List, Optional

import regex

from .ex02_bpe_train import GPT2_PATTERN


class Merger:
    """Merges the parts of one piece, step by step."""

    def __init__(self, piece: bytes, ranks: Dict[bytes, int]) -> None:
        self.ranks: Dict[bytes, int] = ranks
        self.parts: List[bytes] = []
        for value in piece:
            self.parts.append(bytes([value]))

    def rank_at(self, index: int) -> Optional[int]:
        joined: bytes = self.parts[index] + self.parts[index + 1]
        return self.ranks.get(joined, None)

    def find_lowest(self) -> int:
        lowest_index: int = -1
        lowest_rank: int = -1
        for index in range(len(self.parts) - 1):
            rank: Optional[int] = self.rank_at(index)
            if rank is None:
                continue
            if lowest_index == -1 or rank < lowest_rank:
                lowest_index = index
                lowest_rank = rank
        return lowest_index

    def merge_at(self, index: int) -> None:
        self.parts[index] = self.parts[index] + self.parts[index + 1]
        del self.parts[index + 1]

    def run(self) -> List[int]:
        index: int = self.find_lowest()
        while index >= 0:
            self.merge_at(index)
            index = self.find_lowest()
        return [self.ranks[part] for part in self.parts]

def bpe_encode(piece: bytes, ranks: Dict[bytes, int]) -> List[int]:
    merger: Merger = Merger(piece, ranks)
    return merger.run()

def special_at(text: str, position: int, special_tokens: Collection[str]) -> Optional[str]:
    longest: Optional[str] = None
    for special in special_tokens:
        if text.startswith(special, position):
            if longest is None or len(special) > len(longest):
                longest = special
    return longest


def split_at_specials(text: str, special_tokens: Collection[str], allowed: Collection[str]) -> List[str]:
    for special in special_tokens:
        if special not in allowed and special in text:
            raise ValueError("The special token " + special + " is not allowed here.")
    parts: List[str] = []
    current: str = ""
    position: int = 0
    while position < len(text):
        found: Optional[str] = special_at(text, position, special_tokens)
        if found is None:
            current += text[position]
            position += 1
        else:
            parts.append(current)
            parts.append(found)
            current = ""
            position += len(found)
    parts.append(current)
    return parts

class BPETokenizer:
    ENCODING: str = "utf-8"

    def __init__(
        self,
        ranks: Dict[bytes, int],
        special_tokens: Optional[Dict[str, int]] = None,
        pattern: str = GPT2_PATTERN,
    ) -> None:
        self.ranks: Dict[bytes, int] = dict(ranks)
        self.special_tokens: Dict[str, int] = {}
        if special_tokens is not None:
            self.special_tokens.update(special_tokens)
        self.pattern: str = pattern
        self.bytes_of_id: Dict[int, bytes] = {}
        for token, token_id in self.ranks.items():
            self.bytes_of_id[token_id] = token
        for name, token_id in self.special_tokens.items():
            self.bytes_of_id[token_id] = name.encode(self.ENCODING)

    def encode_piece(self, piece: str) -> List[int]:
        data: bytes = piece.encode(self.ENCODING)
        if data in self.ranks:
            return [self.ranks[data]]
        return bpe_encode(data, self.ranks)

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> List[int]:
        result: List[int] = []
        for part in split_at_specials(text, self.special_tokens, allowed_special):
            if part in self.special_tokens:
                result.append(self.special_tokens[part])
                continue
            words: List[str] = part.split(" ")
            for index, word in enumerate(words):
                result.extend(self.encode_piece(word if index == 0 else " " + word))
        return result

    def decode(self, ids: Iterable[int]) -> str:
        buffer: List[bytes] = []
        for token_id in ids:
            if token_id not in self.bytes_of_id:
                raise KeyError("There is no token with the id " + str(token_id))
            buffer.append(self.bytes_of_id[token_id])
        all_bytes: bytes = b"".join(buffer)
        return all_bytes.decode(self.ENCODING, "replace")

    def encode_iterable(self, texts: Iterable[str], allowed_special: Collection[str] = ()) -> Iterator[int]:
        iterator: Iterator[str] = iter(texts)
        while True:
            try:
                text: str = next(iterator)
            except StopIteration:
                return
            for token_id in self.encode(text, allowed_special):
                yield token_id

    def save(self, path) -> None:
        encoded: Dict[str, int] = {}
        for token, rank in self.ranks.items():
            encoded[base64.b64encode(token).decode("ascii")] = rank
        state = {"tokens": encoded, "specials": self.special_tokens, "pattern": self.pattern}
        Path(path).write_bytes(json.dumps(state, indent=2).encode("utf-8"))

    @classmethod
    def load(cls, path) -> "BPETokenizer":
        state = json.loads(Path(path).read_bytes().decode("utf-8"))
        ranks: Dict[bytes, int] = {}
        for token, rank in state["tokens"].items():
            ranks[base64.b64decode(token)] = int(rank)
        return cls(ranks, state["specials"], pattern=state["pattern"])
