"""The scene of ex07: two heads on one sentence, and what a wrong reshape makes of one of them.

A word has two numbers for its meaning, royalty and grammar, and a 1 at its own position. Head 0 compares positions,
head 1 compares meanings. The values are the positions, so the context vectors are the weights.
"""

import torch

WORDS = ("the", "king", "and", "the", "queen")
MEANING = {"the": (0.0, 1.0), "and": (0.0, 1.0), "king": (1.0, 0.0), "queen": (1.0, 0.0)}
LENGTH, HEADS, SHARPNESS = len(WORDS), 2, 9.0
QUEEN, KING = WORDS.index("queen"), WORDS.index("king")


def look(subject, draw, observe):
    x = torch.cat([torch.tensor([MEANING[word] for word in WORDS]), torch.eye(LENGTH)], dim=1)[None]
    attention = by_hand(subject)
    with torch.no_grad():
        weights = attention(x)[0].unflatten(1, (HEADS, LENGTH)).transpose(0, 1)
        query, key = attention.W_query(x), attention.W_key(x)
    observe(
        "panel", head(weights[0], "Head 0 of your attention, in percent: each word looks at the word before it")
    )
    observe("panel", head(weights[1], "Head 1, in percent: each word looks at words of similar meaning"))
    observe("panel", wrong_head(subject, query, key))


def by_hand(subject):
    """An attention with weights that can be read: d_in is 2 numbers of meaning and a position."""
    attention = subject.MultiHeadAttention(2 + LENGTH, HEADS * LENGTH, LENGTH, 0.0, HEADS)
    query, key, value = (torch.zeros(HEADS * LENGTH, 2 + LENGTH) for _ in range(3))
    positions = torch.arange(LENGTH)
    query[positions, 2 + positions] = SHARPNESS  # head 0 asks for its own position,
    key[positions[1:], 2 + positions[:-1]] = 1.0  # and each word offers the next one
    query[LENGTH : LENGTH + 2, :2] = SHARPNESS * torch.eye(2)
    key[LENGTH : LENGTH + 2, :2] = torch.eye(2)
    for number in range(HEADS):
        value[number * LENGTH + positions, 2 + positions] = 1.0
    with torch.no_grad():
        for layer, weight in (
            (attention.W_query, query),
            (attention.W_key, key),
            (attention.W_value, value),
            (attention.out_proj, torch.eye(HEADS * LENGTH)),
        ):
            layer.weight.copy_(weight)
        attention.out_proj.bias.zero_()
    return attention


def head(weights, title):
    return {
        "kind": "shades",
        "title": title,
        "rows": WORDS,
        "columns": WORDS,
        "values": weights,
        "note": f'"queen" gives "king" {100 * weights[QUEEN, KING].item():.0f} % here.',
    }


def wrong_head(subject, query, key):
    """Head 1 where the numbers are read in order into (B, H, T, h)."""
    query, key = (part.view(1, HEADS, LENGTH, LENGTH) for part in (query, key))
    every = torch.eye(LENGTH).expand(1, HEADS, LENGTH, LENGTH)
    weights = subject.scaled_dot_product_attention(query, key, every, subject.causal_mask(LENGTH))[0, 1]
    pieces = [f"{word} {number}" for word in WORDS for number in range(HEADS)][LENGTH:]
    return {
        "kind": "shades",
        "title": "Head 1 again, from the same numbers by view(B, H, T, h)",
        "rows": pieces,
        "columns": pieces,
        "values": weights,
        "note": 'Was your prediction right? Rows are pieces of words now: "queen 0" belongs to head 0. All of '
        '"king" went to head 0, so "queen" cannot find it here. The shapes are right, so there is no error.',
    }
