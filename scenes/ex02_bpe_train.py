"""The scene of ex02: what is merged in the story, in which order, and how a name becomes one token.

The merges are replayed with your own functions, one after another, to see what each of them does.
"""

from collections import Counter

MERGES = 500
SHOWN, COLUMNS = 20, 4  # of the merges, the first ones, in so many columns
NAME = "Ruth"
LONGEST = 4  # so many of the longest tokens


def look(subject, draw, observe, story):
    ranks, merges = subject.train_bpe(story, 256 + MERGES)
    tokens = {rank: token for token, rank in ranks.items()}
    words = Counter(tuple(piece.encode()) for piece in subject.pretokenize(story))
    names = [tuple(piece.encode()) for piece in (NAME, f" {NAME}")]
    ways, first, lengths = [[(0, name)] for name in names], [], [length(words)]
    for number, pair in enumerate(merges, 1):
        if number <= SHOWN:
            first.append((tokens[255 + number], subject.count_pairs(words)[pair]))
        words = merged(subject, words, pair, 255 + number)
        lengths.append(length(words))
        for way in ways:
            name = subject.merge_pair(way[-1][1], pair, 255 + number)
            if name != way[-1][1]:
                way.append((number, name))
    observe("panel", first_merges(first))
    observe("panel", the_name(ways, tokens))
    observe("panel", shorter(lengths))


def merged(subject, words, pair, new_id):
    return {subject.merge_pair(word, pair, new_id): frequency for word, frequency in words.items()}


def length(words):
    """How many tokens the whole text has."""
    return sum(len(word) * frequency for word, frequency in words.items())


def first_merges(first):
    cells = [f"{number:>3} {written(token):<6}{count:>5}" for number, (token, count) in enumerate(first, 1)]
    rows = -(-len(cells) // COLUMNS)
    return {
        "kind": "text",
        "title": f"The first {len(first)} merges in the story, and how often each pair occurred",
        "lines": ["    ".join(cells[row::rows]) for row in range(rows)],
        "note": f'Was your prediction right? The first token is "{written(first[0][0])}". A space, written _ here, '
        "is a character like any other, and a frequent one.",
    }


def the_name(ways, tokens):
    lines = [f"{'merges':>6}   {'with the space':<20}without it"]
    for number in sorted({number for way in ways for number, _ in way}):
        cells = [spelled(dict(way).get(number, ()), tokens) for way in ways]
        lines.append(f"{number:>6}   {cells[1]:<20}{cells[0]}".rstrip())
    longest = sorted(tokens.values(), key=lambda token: (-len(token), token))[:LONGEST]
    lines += ["", f"The longest tokens of all: {'  '.join(map(written, longest))}"]
    return {
        "kind": "text",
        "title": f'How "{NAME}" becomes one token: the merges that change it',
        "lines": lines,
        "note": f"After how many merges, did you think? {when(ways[0]).capitalize()}, and {when(ways[1])} together "
        "with the space that is mostly before it.",
    }


def when(way):
    """After how many merges a name is one token."""
    number, name = way[-1]
    return f"after {number}" if len(name) == 1 else f"not after {MERGES}"


def shorter(lengths):
    return {
        "kind": "curves",
        "title": "How many tokens the story has, after so many merges",
        "x": list(range(len(lengths))),
        "names": ["tokens"],
        "values": [lengths],
        "across": "merges",
        "note": f"From {lengths[0]:,} bytes to {lengths[-1]:,} tokens. The frequent pairs come first, so the later "
        "merges save less.",
    }


def spelled(word, tokens):
    return " ".join(written(tokens[number]) for number in word)


def written(token):
    return token.decode(errors="replace").replace(" ", "_")
