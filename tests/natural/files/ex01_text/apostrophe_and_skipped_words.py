# wrong: decode-forgets-the-apostrophe, unknown-words-vanish
# Two in the class: no apostrophe in decode, unknown words left out in encode.

import unicodedata


END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<|unk|>"

SIGNS = ',.:;?_!"()' + "'"
NO_SPACE_BEFORE = ",.:;?!)"
PLAIN = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2014: "--", 0x2026: "..."}

def clean_text(text):
    composed = unicodedata.normalize("NFC", text).translate(PLAIN)
    out = []
    i = 0
    while i < len(composed):
        c = composed[i]
        if c == "\r":
            out.append("\n")
            if composed[i + 1 : i + 2] == "\n":
                i += 1
        else:
            out.append(c)
        i += 1
    start, end = 0, len(out)
    while start < end and out[start].isspace():
        start += 1
    while end > start and out[end - 1].isspace():
        end -= 1
    return "".join(out[start:end])

def split_text(text):
    tokens, word, i = [], "", 0
    while i < len(text):
        found = None
        for candidate in (END_OF_TEXT, UNKNOWN, "--"):
            if text.startswith(candidate, i):
                found = candidate
                break
        if found is None and text[i] in SIGNS:
            found = text[i]
        if found is None and not text[i].isspace():
            word += text[i]
            i += 1
            continue
        if word:
            tokens.append(word)
            word = ""
        if found is None:
            i += 1
        else:
            tokens.append(found)
            i += len(found)
    if word:
        tokens.append(word)
    return tokens

def build_vocab(tokens):
    vocab = {}
    for token in sorted(tokens):
        if token in vocab or token == END_OF_TEXT or token == UNKNOWN:
            continue
        vocab[token] = len(vocab)
    vocab[END_OF_TEXT] = len(vocab)
    vocab[UNKNOWN] = len(vocab)
    return vocab

class SimpleTokenizer:
    def __init__(self, vocab):
        if vocab.get(UNKNOWN) is None:
            raise ValueError("no id for " + UNKNOWN)
        self.vocab = vocab

    def encode(self, text):
        ids = []
        for token in split_text(text):
            if token in self.vocab:
                ids.append(self.vocab[token])
        return ids

    def decode(self, ids):
        text = ""
        for i in ids:
            token = None
            for candidate, number in self.vocab.items():
                if number == i:
                    token = candidate
            if token is None:
                raise KeyError(i)
            if text and token not in list(NO_SPACE_BEFORE):
                text += " "
            text += token
        return text
