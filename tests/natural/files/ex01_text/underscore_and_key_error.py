# wrong: underscore-forgotten, missing-unk-raises-key-error
# split_text does not know _; a vocabulary without <|unk|> is a KeyError.

import re
import unicodedata
from typing import Dict, List, Set


END_OF_TEXT: str = "<|endoftext|>"
UNKNOWN: str = "<|unk|>"


class TextCleaner:
    """Applies the four rules one after another."""

    def __init__(self, text: str) -> None:
        self.text: str = text

    def normalize(self) -> "TextCleaner":
        self.text = unicodedata.normalize("NFC", self.text)
        return self

    def replace_typographic_characters(self) -> "TextCleaner":
        for quote in "‘’":
            self.text = self.text.replace(quote, "'")
        for quote in "“”":
            self.text = self.text.replace(quote, '"')
        self.text = self.text.replace("—", "--")
        self.text = self.text.replace("…", "...")
        return self

    def unify_line_ends(self) -> "TextCleaner":
        self.text = "\n".join(self.text.split("\r\n"))
        self.text = "\n".join(self.text.split("\r"))
        return self

    def strip(self) -> str:
        return self.text.lstrip().rstrip()

def clean_text(text: str) -> str:
    cleaner: TextCleaner = TextCleaner(text)
    return cleaner.normalize().replace_typographic_characters().unify_line_ends().strip()

def split_text(text: str) -> List[str]:
    alternatives: List[str] = [re.escape(END_OF_TEXT), re.escape(UNKNOWN), "--"]
    for sign in [",", ".", ":", ";", "?", "!", '"', "(", ")", "'"]:
        alternatives.append(re.escape(sign))
    alternatives.append(r"\s+")
    pattern: str = "|".join(alternatives)
    tokens: List[str] = []
    position: int = 0
    for match in re.finditer(pattern, text):
        before: str = text[position : match.start()]
        if before != "":
            tokens.append(before)
        if not match.group(0).isspace():
            tokens.append(match.group(0))
        position = match.end()
    rest: str = text[position:]
    if len(rest) > 0:
        tokens.append(rest)
    return tokens

def build_vocab(tokens: List[str]) -> Dict[str, int]:
    distinct_tokens: Set[str] = set()
    for token in tokens:
        distinct_tokens.add(token)
    distinct_tokens.discard(END_OF_TEXT)
    distinct_tokens.discard(UNKNOWN)
    vocabulary: Dict[str, int] = {}
    next_id: int = 0
    for token in sorted(list(distinct_tokens)):
        vocabulary[token] = next_id
        next_id += 1
    vocabulary[END_OF_TEXT] = next_id
    vocabulary[UNKNOWN] = next_id + 1
    return vocabulary

class SimpleTokenizer:
    SIGNS_WITHOUT_SPACE: List[str] = [",", ".", ":", ";", "?", "!", ")", "'"]

    def __init__(self, vocab: Dict[str, int]) -> None:
        if UNKNOWN not in vocab.keys():
            raise KeyError("The vocabulary does not contain the token " + UNKNOWN)
        self.token_to_id: Dict[str, int] = vocab.copy()
        self.id_to_token: Dict[int, str] = {}
        for token, token_id in self.token_to_id.items():
            self.id_to_token[token_id] = token

    def get_id(self, token: str) -> int:
        if token in self.token_to_id:
            return self.token_to_id[token]
        return self.token_to_id[UNKNOWN]

    def encode(self, text: str) -> List[int]:
        result: List[int] = []
        for token in split_text(text):
            result.append(self.get_id(token))
        return result

    def decode(self, ids: List[int]) -> str:
        tokens: List[str] = []
        for token_id in ids:
            if token_id not in self.id_to_token:
                raise KeyError("Unknown id: " + str(token_id))
            tokens.append(self.id_to_token[token_id])
        text: str = " ".join(tokens)
        for sign in self.SIGNS_WITHOUT_SPACE:
            text = text.replace(" " + sign, sign)
        return text
