# wrong: numbered-from-one, windows-line-ends-count-twice
# Ids from 1; each of \r and \n becomes a line end.

import re, unicodedata

END_OF_TEXT, UNKNOWN = "<|endoftext|>", "<|unk|>"


def clean_text(s):
    s = unicodedata.normalize("NFC", s)
    for a, b in zip("‘’“”—…", ["'", "'", '"', '"', "--", "..."]): s = b.join(s.split(a))
    return re.sub("\r", "\n", s).strip()

def split_text(s):
    out = []
    for w in s.split():
        out += filter(None, re.split(r"""(<\|(?:endoftext|unk)\|>|--|[,.:;?_!"()'])""", w))
    return out

def build_vocab(toks):
    sp = [END_OF_TEXT, UNKNOWN]
    return {t: i for i, t in enumerate(sorted({*toks} - {*sp}) + sp, 1)}

class SimpleTokenizer:
    def __init__(self, vocab):
        if UNKNOWN not in vocab: raise ValueError(UNKNOWN)
        self.stoi, self.itos = vocab, {v: k for k, v in vocab.items()}

    def encode(self, s): return [self.stoi.get(t, self.stoi[UNKNOWN]) for t in split_text(s)]

    def decode(self, ids): return re.sub(r" (?=[,.:;?!)'])", "", " ".join(self.itos[i] for i in ids))
