"""The scene of ex06: who looks at whom in a short sentence, without and with the causal mask.

The vectors are made by hand, so that the weights can be checked by hand too: three numbers a word, for how much it
has to do with water, with money, and with grammar alone.
"""

import torch

WORDS = ("the", "bank", "of", "the", "river")
MEANING = {"the": (0.0, 0.0, 1.0), "of": (0.0, 0.0, 1.0), "bank": (1.0, 1.0, 0.0), "river": (2.0, 0.0, 0.0)}
BANK = WORDS.index("bank")


def look(subject, draw, observe):
    words = torch.tensor([MEANING[word] for word in WORDS])
    query, key = 2 * words, words
    # With the identity for values, the context vectors are the weights themselves.
    every = subject.scaled_dot_product_attention(query, key, torch.eye(len(WORDS)))
    past = subject.scaled_dot_product_attention(query, key, torch.eye(len(WORDS)), subject.causal_mask(len(WORDS)))
    moved = subject.scaled_dot_product_attention(query, key, words)
    observe(
        "panel",
        {
            "kind": "shades",
            "title": "Without a mask: where each word (a row) looks, in percent of its attention",
            "rows": WORDS,
            "columns": WORDS,
            "values": every,
            "note": '"bank" looks at "river" as much as at itself: "river" is all about water.',
        },
    )
    observe(
        "panel",
        {
            "kind": "shades",
            "title": "With your causal mask: no word sees what comes after it",
            "rows": WORDS,
            "columns": WORDS,
            "values": past,
            "note": 'Was your prediction right? "bank" sees "the" and itself; "river" comes later.',
        },
    )
    observe(
        "panel",
        {
            "kind": "text",
            "title": 'How the vector of "bank" changes when nothing is hidden',
            "lines": [
                f"          {'before':>6}  {'after':>6}",
                *(
                    f"{name:<8}  {before:6.2f}  {after:6.2f}"
                    for name, before, after in zip(
                        ("water", "money", "grammar"), words[BANK].tolist(), moved[BANK].tolist(), strict=True
                    )
                ),
            ],
            "note": "It is now the mean of what it looked at: more water than money, so a river bank.",
        },
    )
