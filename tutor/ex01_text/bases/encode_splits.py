import re
import unicodedata

END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<|unk|>"


def clean_text(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    for fancy, plain in (("‘", "'"), ("’", "'"), ("“", '"'), ("”", '"'), ("—", "--"), ("…", "...")):
        text = text.replace(fancy, plain)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip()


def split_text(text: str) -> list[str]:
    separators = rf"""({re.escape(END_OF_TEXT)}|{re.escape(UNKNOWN)}|--|[,.:;?_!"()']|\s)"""
    return [piece for piece in re.split(separators, text) if piece.strip()]


def build_vocab(tokens: list[str]) -> dict[str, int]:
    words = sorted(set(tokens) - {END_OF_TEXT, UNKNOWN})
    return {token: number for number, token in enumerate([*words, END_OF_TEXT, UNKNOWN])}


class SimpleTokenizer:
    def __init__(self, vocab: dict[str, int]) -> None:
        if UNKNOWN not in vocab:
            raise ValueError(f"the vocabulary lacks {UNKNOWN}, which stands for unknown words")
        self.str_to_int = vocab
        self.int_to_str = {number: token for token, number in vocab.items()}

    def encode(self, text: str) -> list[int]:
        unknown = self.str_to_int[UNKNOWN]
        parts = re.split(r"""(<\|endoftext\|>|<\|unk\|>|--|[!"'(),.:;?_]|\s)""", text)
        return [self.str_to_int.get(part, unknown) for part in parts if part and not part.isspace()]

    def decode(self, ids: list[int]) -> str:
        text = " ".join(self.int_to_str[number] for number in ids)
        return re.sub(r" ([,.:;?!)'])", r"\1", text)
