"""The scene of ex01: a story as pieces and ids, and what its vocabulary knows of another text."""

import textwrap

ABOUT_STARS = "Astronomers believe that our galaxy holds a hundred billion stars, and probably even more planets."
PIECES = 60  # so many of the other text, so that it fits on a screen


def look(subject, draw, observe, story, text):
    story = subject.clean_text(story)
    tokens = subject.split_text(story)
    vocab = subject.build_vocab(tokens)
    tokenizer = subject.SimpleTokenizer(vocab)
    # Headings end without a full stop.
    sentence = next(line for line in story.split("\n") if line.endswith(".")).partition(". ")[0] + "."
    observe(
        "panel",
        {
            "kind": "tokens",
            "title": "The first sentence of data/story.txt in pieces, and the ids that a model sees",
            "pieces": subject.split_text(sentence),
            "below": [str(number) for number in tokenizer.encode(sentence)],
            "note": f"The whole story has {len(tokens)} tokens, {len(set(tokens))} of them different.",
        },
    )
    other = subject.clean_text(text or ABOUT_STARS)
    pieces, ids = subject.split_text(other)[:PIECES], tokenizer.encode(other)[:PIECES]
    unknown = vocab[subject.UNKNOWN]
    words = [number for piece, number in zip(pieces, ids, strict=True) if any(map(str.isalnum, piece))]
    question = "" if text else "Was your prediction right? "
    observe(
        "panel",
        {
            "kind": "tokens",
            "title": f"{'Your' if text else 'Another'} text, with the vocabulary of the story",
            "pieces": pieces,
            "below": [subject.UNKNOWN if number == unknown else str(number) for number in ids],
            "note": f"{question}{words.count(unknown)} of {len(words)} words are unknown.",
        },
    )
    observe(
        "panel",
        {
            "kind": "text",
            "title": "What decoding these ids gives back",
            "lines": textwrap.wrap(tokenizer.decode(ids), 76),
            "note": "Exercises 2 and 3 build a tokenizer to which no word is unknown.",
        },
    )
