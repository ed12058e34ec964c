# wrong: compatibility-form
# NFKC instead of NFC.

import re
from functools import reduce
from itertools import chain, count
from unicodedata import normalize


END_OF_TEXT, UNKNOWN = SPECIALS = ("<|endoftext|>", "<|unk|>")
REPLACEMENTS = [
    ("\N{LEFT SINGLE QUOTATION MARK}", "'"),
    ("\N{RIGHT SINGLE QUOTATION MARK}", "'"),
    ("\N{LEFT DOUBLE QUOTATION MARK}", '"'),
    ("\N{RIGHT DOUBLE QUOTATION MARK}", '"'),
    ("\N{EM DASH}", "--"),
    ("\N{HORIZONTAL ELLIPSIS}", "..."),
    ("\r\n", "\n"),
    ("\r", "\n"),
]
TOKEN = re.compile(
    "|".join(map(re.escape, SPECIALS))
    + r"""|--|[,.:;?_!"()']|(?:(?!<\|endoftext\|>|<\|unk\|>|--)[^,.:;?_!"()'\s])+"""
)

def clean_text(text: str) -> str:
    return reduce(lambda t, pair: t.replace(*pair), REPLACEMENTS, normalize("NFKC", text)).strip()

def split_text(text: str) -> list[str]:
    return TOKEN.findall(text)

def build_vocab(tokens: list[str]) -> dict[str, int]:
    words = sorted(frozenset(t for t in tokens if t not in SPECIALS))
    return dict(zip(chain(words, SPECIALS), count()))

class SimpleTokenizer:
    def __init__(self, vocab: dict[str, int]) -> None:
        try:
            self._unk = vocab[UNKNOWN]
        except KeyError as e:
            raise ValueError(f"{UNKNOWN} is missing") from e
        self._to_id = dict(vocab)
        self._to_token = dict(zip(vocab.values(), vocab.keys()))

    def encode(self, text: str) -> list[int]:
        return [*map(lambda t: self._to_id.get(t, self._unk), split_text(text))]

    def decode(self, ids: list[int]) -> str:
        tokens = map(self._to_token.__getitem__, ids)
        return "".join((" " if t not in set(",.:;?!)'") else "") + t for t in tokens).removeprefix(" ")
