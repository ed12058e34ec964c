# right: the book's way, with what this exercise asks for.
# re.sub where others replace, and a print left in.

import re
import unicodedata

END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<|unk|>"


def clean_text(text):
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"[\u2018\u2019]", "'", text)
    text = re.sub(r"[\u201c\u201d]", '"', text)
    text = text.replace("\u2014", "--").replace("\u2026", "...")
    text = re.sub(r"\r\n?", "\n", text)
    return text.strip()

def split_text(text):
    preprocessed = re.split(r'(<\|endoftext\|>|<\|unk\|>|--|[,.:;?_!"()\']|\s)', text)
    preprocessed = [item.strip() for item in preprocessed if item.strip()]
    return preprocessed

def build_vocab(tokens):
    all_tokens = sorted(set(tokens).difference([END_OF_TEXT, UNKNOWN]))
    all_tokens.extend([END_OF_TEXT, UNKNOWN])
    vocab = {token: integer for integer, token in enumerate(all_tokens)}
    print(len(vocab))
    return vocab

class SimpleTokenizer:
    def __init__(self, vocab):
        if "<|unk|>" not in vocab:
            raise ValueError("there is no <|unk|> in vocab")
        self.str_to_int = vocab
        self.int_to_str = {i: s for s, i in vocab.items()}

    def encode(self, text):
        preprocessed = split_text(text)
        preprocessed = [item if item in self.str_to_int else "<|unk|>" for item in preprocessed]
        ids = [self.str_to_int[s] for s in preprocessed]
        return ids

    def decode(self, ids):
        text = " ".join([self.int_to_str[i] for i in ids])
        # Replace spaces before the specified punctuations
        text = re.sub(r' ([,.:;?!)\'])', r'\1', text)
        return text
