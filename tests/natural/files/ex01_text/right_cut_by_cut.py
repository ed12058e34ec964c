# right: one separator after the other, lazily; a dict with __missing__.
# The vocabulary is kept sorted by bisection.

import bisect
import re
import unicodedata


END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<|unk|>"


def _cut(parts, separator):
    """Cut every part that is not a token yet at this separator, and keep the separator as a token."""
    for part, done in parts:
        if done:
            yield part, True
            continue
        first, *others = part.split(separator)
        yield first, False
        for other in others:
            yield separator, True
            yield other, False

def clean_text(text):
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"[\u2018\u2019]", "'", text)
    text = re.sub(r"[\u201c\u201d]", '"', text)
    text = text.replace("\u2014", "--").replace("\u2026", "...")
    return re.sub(r"\r\n|\r", lambda _: chr(10), text).strip()

def split_text(text):
    parts = [(text, False)]
    for separator in (END_OF_TEXT, UNKNOWN, "--", *",.:;?_!()", '"', "'"):
        parts = _cut(parts, separator)
    tokens = []
    for part, done in parts:
        tokens += [part] if done else part.split()
    return tokens

def build_vocab(tokens):
    ordered = []
    for token in tokens:
        place = bisect.bisect_left(ordered, token)
        if token not in (END_OF_TEXT, UNKNOWN) and ordered[place : place + 1] != [token]:
            ordered.insert(place, token)
    ordered += (END_OF_TEXT, UNKNOWN)
    return dict(map(reversed, enumerate(ordered)))

class _Missing(dict):
    def __missing__(self, key):
        return self[UNKNOWN]


class SimpleTokenizer:
    def __init__(self, vocab):
        if UNKNOWN not in vocab:
            raise ValueError(f"{UNKNOWN} must be in the vocabulary")
        self.forward, self.backward = _Missing(vocab), {}
        self.backward.update((number, token) for token, number in vocab.items())

    def encode(self, text):
        return list(self._ids(text))

    def _ids(self, text):
        for token in split_text(text):
            yield self.forward[token]

    def decode(self, ids):
        pieces = []
        for number in ids:
            token = self.backward[number]
            if pieces and not re.fullmatch(r"[,.:;?!)']", token):
                pieces.append(" ")
            pieces.append(token)
        return "".join(pieces)
