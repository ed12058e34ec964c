"""The scene of ex05: a bigram model made of your table, which learns from the story and then writes.

Its vocabulary is that of your tokenizer with 400 merges, without the tokens that the story does not need. Row i of
the table holds the logits of the token that follows token i.
"""

from collections import Counter
from importlib import import_module
from math import log

import torch

NEEDS = ("ex00_tensors", "ex02_bpe_train", "ex03_bpe")
MERGES, STEPS, BATCH, RATE = 400, 1000, 256, 300.0  # a large rate, which shrinks to 0: most rows come up rarely
EVERY = 50  # steps between two looks at the loss
BEGINNINGS = {0: ("Ruth", "The"), STEPS: ("Ruth", "Anton", "The", "It")}  # what it writes on, after so many steps
SEED, WIDTH = 17, 74
SECONDS = 90  # a look-up that goes through the ids one by one takes 17


def look(subject, draw, observe, story):
    tensors, training, bpe = (import_module(f".{name}", subject.__package__) for name in NEEDS)
    tokenizer = bpe.BPETokenizer(training.train_bpe(story, 256 + MERGES)[0])
    ids = tokenizer.encode(story)
    used = sorted(set(ids))
    number = {token: row for row, token in enumerate(used)}
    rows = torch.tensor([number[token] for token in ids])
    tokens, following = rows[:-1], rows[1:]

    torch.default_generator.manual_seed(SEED)
    model = subject.TokenEmbedding(len(used), len(used))
    chosen, dice = torch.Generator().manual_seed(SEED), torch.Generator().manual_seed(SEED)
    steps, losses, texts = [], [], {}
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            with torch.no_grad():
                losses.append(float(tensors.cross_entropy(model(tokens), following)))
            steps.append(step)
        if step in BEGINNINGS:
            texts[step] = [
                written(model, tensors, tokenizer, used, number[tokenizer.encode(word)[0]], dice)
                for word in BEGINNINGS[step]
            ]
        if step < STEPS:
            batch = torch.randint(len(tokens), (BATCH,), generator=chosen)
            tensors.train_step(model, tokens[batch], following[batch], RATE * (1 - step / STEPS))

    guessing, counting = log(len(used)), of_counting(tokens.tolist(), following.tolist())
    observe(
        "panel",
        {
            "kind": "curves",
            "title": f"The loss of your {len(used)} x {len(used)} table on the story",
            "x": steps,
            "names": ["your table", "guessing", "counting"],
            "values": [losses, [guessing] * len(steps), [counting] * len(steps)],
            "across": "training step",
            "note": f"From {losses[0]:.2f} to {losses[-1]:.2f}. Guessing evenly among {len(used)} tokens costs "
            f"ln {len(used)} = {guessing:.2f}. Counting all pairs gives {counting:.2f}: no table of pairs can do "
            "better.",
        },
    )
    observe(
        "panel",
        {
            "kind": "text",
            "title": "What it writes",
            "lines": [
                line
                for step, written_then in texts.items()
                for line in (f"after {step} steps", *(f"  {text}" for text in written_then))
            ],
            "note": "Was your prediction right? Two neighbours mostly fit together, which makes words. But nothing "
            "reaches further back than one token, and a sentence has to. That takes attention.",
        },
    )


def of_counting(tokens, following):
    """The loss of the table whose probabilities are the shares of the pairs that were counted."""
    pairs, firsts = Counter(zip(tokens, following, strict=True)), Counter(tokens)
    return sum(count * log(firsts[first] / count) for (first, _), count in pairs.items()) / len(tokens)


@torch.no_grad()
def written(model, tensors, tokenizer, used, row, dice):
    """One line that begins with this row's token: each next token is drawn from the softmax of a row."""
    ids = [used[row]]
    for _ in range(WIDTH):
        probabilities = tensors.softmax(model(torch.tensor([row]))[0], dim=-1)
        row = int(torch.multinomial(probabilities, 1, generator=dice))
        ids.append(used[row])
    return " ".join(tokenizer.decode(ids).split())[:WIDTH]
