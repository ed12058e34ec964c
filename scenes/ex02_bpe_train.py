"""The scene of ex02: what the story teaches, by its first merges, the way to a name, and the longest tokens."""

from collections import Counter

MERGES = 400
FIRST = 20
NAME = " Ruth"
LONGEST = 12


def look(subject, draw, observe, story):
    ranks, merges = subject.train_bpe(story, 256 + MERGES)
    tokens = {rank: token for token, rank in ranks.items()}
    observe("panel", beginning(subject, story, tokens, merges))
    observe("panel", name(subject, story, tokens, merges))
    observe("panel", longest(story, tokens))


def beginning(subject, story, tokens, merges):
    """The first merges, each with the count that decided for it."""
    words = Counter(tuple(piece.encode()) for piece in subject.pretokenize(story))
    entries = []
    for number, pair in enumerate(merges[:FIRST], 1):
        new_id = 255 + number
        count = subject.count_pairs(words)[pair]
        left, right = (written(tokens[part]) for part in pair)
        both = f"{left} + {right}"
        entries.append(f"{number:>5}   {both:<9}{written(tokens[new_id]):<6}{count:>5} times")
        words = {subject.merge_pair(word, pair, new_id): frequency for word, frequency in words.items()}
    left, right = (written(tokens[part]) for part in merges[0])
    return {
        "kind": "text",
        "title": f"The first {FIRST} of {MERGES} merges, with _ for a space",
        "lines": in_two_columns(entries),
        "note": f"Was your prediction right? The first pair is {left} and {right}. A space is a neighbour like any "
        "letter, and nearly every word has one before it.",
    }


def name(subject, story, tokens, merges):
    """The pieces of one word, after every merge that changed it."""
    word = tuple(NAME.encode())
    lines = [f"before merge   1   {spelled(word, tokens)}"]
    for number, pair in enumerate(merges, 1):
        merged = subject.merge_pair(word, pair, 255 + number)
        if merged != word:
            word = merged
            lines.append(f"after merge  {number:>4}   {spelled(word, tokens)}")
            if len(word) == 1:
                break
    known = f"one token after {number} merges" if len(word) == 1 else f"still in parts after {MERGES} merges"
    return {
        "kind": "text",
        "title": f'The way to "{NAME}", which is in the story {story.count(NAME)} times',
        "lines": lines,
        "note": f"The name is {known}, with the space before it. Training counts pairs in the whole text and knows "
        "nothing of names or syllables: what is frequent everywhere is joined first.",
    }


def longest(story, tokens):
    learned = sorted((rank for rank in tokens if rank > 255), key=lambda rank: (-len(tokens[rank]), rank))
    entries = [
        f"{rank - 255:>5}   {written(tokens[rank]):<14}{story.count(tokens[rank].decode()):>4} times"
        for rank in learned[:LONGEST]
    ]
    return {
        "kind": "text",
        "title": f"The {LONGEST} longest tokens, with the merge that made each",
        "lines": in_two_columns(entries),
        "note": unfinished([tokens[rank].decode() for rank in learned[:LONGEST]], story),
    }


def unfinished(longest_tokens, story):
    """What is said of a token that is only a part of another one, if there is such a token."""
    for long in longest_tokens:
        for short in longest_tokens:
            if short != long and short in long and story.count(short) == story.count(long):
                return (
                    f"{written(short.encode())} is never alone in the story: it was a step towards "
                    f"{written(long.encode())}, and keeps its place in the vocabulary."
                )
    return "A long token has to be frequent as a whole, so these words belong to this story."


def in_two_columns(entries):
    half = (len(entries) + 1) // 2
    rights = entries[half:] + [""] * (2 * half - len(entries))
    return [f"{left:<36}{right}".rstrip() for left, right in zip(entries[:half], rights, strict=True)]


def spelled(word, tokens):
    return "  ".join(written(tokens[part]) for part in word)


def written(token):
    """A token as text, with its spaces visible, and a mark for what is only a part of a character."""
    return token.decode("utf-8", "replace").replace(" ", "_").replace("\n", "\\n")
