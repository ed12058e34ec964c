"""The scene of ex03: a sentence in tokens, by merges that were learned from the story, and the same by tiktoken.

Type a sentence of your own after `show ex03` to see what becomes of it.
"""

from importlib import import_module

import tiktoken

NEEDS = ("ex02_bpe_train",)
MERGES = 400
SENTENCE = "Anton thought that the lighthouse was unthinkable."
WORDS = ("lighthouse", "unthinkable", "ü", "€", "🙂")
LONGEST = 300  # characters of a typed sentence, so that all fits on a screen


def look(subject, draw, observe, story, text):
    training = import_module(".ex02_bpe_train", subject.__package__)
    ranks, _ = training.train_bpe(story, 256 + MERGES)
    yours = subject.BPETokenizer(ranks)
    theirs = tiktoken.Encoding("story", pat_str=yours.pattern, mergeable_ranks=ranks, special_tokens={})
    tokens = {rank: token for token, rank in ranks.items()}
    # What a terminal cannot read may arrive as half of a surrogate pair.
    sentence = text.encode("utf-8", "replace").decode()[:LONGEST] or SENTENCE
    observe("panel", coloured(sentence, yours, theirs, tokens))
    observe("panel", counts(yours, theirs, tokens, story))


def coloured(sentence, yours, theirs, tokens):
    ids = yours.encode(sentence)
    size = len(sentence.encode())
    return {
        "kind": "tokens",
        "title": f"{len(sentence)} characters, {size} bytes, {len(ids)} tokens, and their ids",
        "pieces": [written(tokens[number]) for number in ids],
        "below": [str(number) for number in ids],
        "note": f"A larger id was learned later. tiktoken, with the same ranks: {versus(ids, theirs, sentence)}.",
    }


def counts(yours, theirs, tokens, story):
    lines = [f"{'text':<13}{'in the story':>13}{'bytes':>7}{'tokens':>8}   which"]
    alike = True
    for word in WORDS:
        # In a text, a word comes with the space before it.
        piece = f" {word}" if word.isascii() else word
        ids = yours.encode(piece)
        alike &= ids == theirs.encode(piece)
        which = " ".join(written(tokens[number]).strip() for number in ids)
        lines.append(f"{word:<13}{story.count(word):>12}x{len(piece.encode()):>7}{len(ids):>8}   {which}")
    return {
        "kind": "text",
        "title": f"A frequent word, a rare one, and what is not ASCII, with {MERGES} merges",
        "lines": lines,
        "note": "Was your prediction right? What the merges have never met is spelled out, down to single bytes, "
        f"so nothing is unknown. tiktoken agrees on all of these: {'yes' if alike else 'no'}.",
    }


def versus(ids, theirs, sentence):
    wanted = theirs.encode(sentence, disallowed_special=())
    return "the same ids" if ids == wanted else f"other ids, {len(wanted)} of them"


def written(token):
    """A token as text, or its bytes in hexadecimal where it is not text by itself."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "".join(f"<{byte:02X}>" for byte in token)
