# wrong: special-tokens-not-escaped, ranks-not-copied
# Special tokens are put into the pattern as they are; the ranks are not copied.

import json

import regex

from .ex02_bpe_train import GPT2_PATTERN


def bpe_encode(piece, ranks):
    parts = [bytes([b]) for b in piece]
    while True:
        # Iterate over all pairs and find the pair we want to merge the most
        min_idx = None
        min_rank = None
        for i, pair in enumerate(zip(parts[:-1], parts[1:])):
            rank = ranks.get(pair[0] + pair[1])
            if rank is not None and (min_rank is None or rank < min_rank):
                min_idx = i
                min_rank = rank

        # If there were no pairs we could merge, we're done!
        if min_rank is None:
            break
        # Otherwise, merge that pair and leave the rest unchanged. Then repeat.
        parts = parts[:min_idx] + [parts[min_idx] + parts[min_idx + 1]] + parts[min_idx + 2 :]
    return [ranks[part] for part in parts]

def split_at_specials(text, special_tokens, allowed):
    disallowed = set(special_tokens) - set(allowed)
    for token in disallowed:
        if text.find(token) != -1:
            raise ValueError(f"disallowed special token {token!r} in the text")
    if len(special_tokens) == 0:
        return [text]
    ordered = sorted(special_tokens, key=lambda t: (-len(t), t))
    return regex.split(f"({'|'.join(ordered)})", text)

class BPETokenizer:
    def __init__(self, ranks, special_tokens=None, pattern=GPT2_PATTERN):
        self.pattern = pattern
        self.ranks = ranks
        self.special_tokens = {} if special_tokens is None else special_tokens.copy()
        self._decoder = {rank: token for token, rank in self.ranks.items()}
        self._special_decoder = {i: name.encode("utf-8") for name, i in self.special_tokens.items()}
        self._pat = regex.compile(pattern)

    def encode(self, text, allowed_special=()):
        tokens = []
        for chunk in split_at_specials(text, self.special_tokens, allowed_special):
            if chunk in self.special_tokens:
                tokens.append(self.special_tokens[chunk])
                continue
            for word in [m.group(0) for m in self._pat.finditer(chunk)]:
                word_bytes = word.encode("utf-8")
                token = self.ranks.get(word_bytes)
                if token is not None:
                    tokens.append(token)
                else:
                    tokens.extend(bpe_encode(word_bytes, self.ranks))
        return tokens

    def decode(self, ids):
        parts = []
        for i in ids:
            if i in self._special_decoder:
                parts.append(self._special_decoder[i])
            else:
                parts.append(self._decoder[i])
        return b"".join(parts).decode("utf-8", errors="replace")

    def encode_iterable(self, texts, allowed_special=()):
        for text in texts:
            for token in self.encode(text, allowed_special):
                yield token

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump([[[t.hex(), r] for t, r in self.ranks.items()], self.special_tokens, self.pattern], f)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as f:
            ranks, special_tokens, pattern = json.load(f)
        return cls({bytes.fromhex(t): r for t, r in ranks}, special_tokens, pattern)
