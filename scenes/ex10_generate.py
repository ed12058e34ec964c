"""The scene of ex10: the next word at three temperatures, what the filters keep, and a few sentences.

Probabilities of the next word are given by hand here, where a GPT would have to learn them.
"""

import torch
from torch import nn

PROMPT = "The ferry comes in the …"
WORDS = {
    "morning": 0.42,
    "evening": 0.24,
    "fog": 0.12,
    "rain": 0.09,
    "dark": 0.06,
    "harbour": 0.04,
    "kitchen": 0.02,
    "cheese": 0.01,
}
TEMPERATURES = (0.5, 1.0, 2.0)
K, P = 3, 0.85

# What follows each word, in percent. The rest is shared by all other words.
NEXT = {
    "the": {"ferry": 40, "fog": 20, "morning": 20, "baker": 15},
    "ferry": {"comes": 50, "waits": 30, "sings": 5, ".": 10},
    "comes": {"in": 60, "and": 25, ".": 10},
    "in": {"the": 80, "fog": 15},
    "fog": {"comes": 40, "and": 30, ".": 25},
    "morning": {"comes": 35, "and": 25, ".": 35},
    "baker": {"sings": 45, "waits": 30, "comes": 20},
    "waits": {"in": 45, "and": 20, ".": 30},
    "sings": {"and": 35, "in": 30, ".": 30},
    "and": {"the": 60, "waits": 20, "sings": 15},
    ".": {"the": 95},
}
TOKENS = list(NEXT)
LENGTH = 10


class LastWordOnly(nn.Module):
    """A model that knows nothing but the last word."""

    def __init__(self):
        super().__init__()
        table = torch.tensor([[NEXT[word].get(other, 0) for other in TOKENS] for word in TOKENS]) / 100
        rest = (1 - table.sum(dim=1, keepdim=True)) / (table == 0).sum(dim=1, keepdim=True)
        self.register_buffer("logits", torch.where(table == 0, rest, table).log())

    def forward(self, ids):
        return self.logits[ids]


def look(subject, draw, observe):
    logits = torch.tensor(list(WORDS.values())).log()
    warm = {temperature: subject.apply_temperature(logits, temperature) for temperature in TEMPERATURES}
    observe("panel", temperatures(warm))
    observe("panel", filters(subject, warm))
    observe("panel", sentences(subject))


def temperatures(warm):
    shares = {temperature: logits.softmax(dim=0) for temperature, logits in warm.items()}
    first, second = list(WORDS)[:2]
    lowest = min(shares, key=lambda temperature: float(shares[temperature][0]))
    seconds = ", ".join(
        f"{100 * float(share[1]):.0f} % at {temperature:g}" for temperature, share in shares.items()
    )
    return {
        "kind": "bars",
        "title": f'"{PROMPT}": the next word in percent, at three temperatures',
        "labels": list(WORDS),
        "names": [f"T = {temperature:g}" for temperature in TEMPERATURES],
        "values": torch.stack(list(shares.values()), dim=1),
        "note": f'Was your prediction right? "{first}" has least at T = {lowest:g}. "{second}" has {seconds}: it '
        "loses to the first where T is low, and to the rest where T is high.",
    }


def filters(subject, warm):
    """What is left for sampling after top-k and top-p."""
    kept = [subject.keep_top_k(warm[1.0], K), subject.keep_top_p(warm[1.0], P), subject.keep_top_p(warm[2.0], P)]
    counts = [int(row.isfinite().sum()) for row in kept]
    return {
        "kind": "bars",
        "title": "What your filters keep of that, in percent of what is left",
        "labels": list(WORDS),
        "names": [f"T = 1, top-k {K}", f"T = 1, top-p {P}", f"T = 2, top-p {P}"],
        "values": torch.stack([row.softmax(dim=0) for row in kept], dim=1),
        "note": f"{counts[0]}, {counts[1]} and {counts[2]} words are left. top-k counts words. top-p counts "
        "probability, so it keeps more words where they are closer together.",
    }


def sentences(subject):
    """Texts of a model that sees one word, from the prompt "the"."""
    model, start = LastWordOnly(), TOKENS.index("the")
    lines = []
    for name, rows, settings in (
        ("T = 0", 1, {"temperature": 0.0}),
        ("T = 1.5", 3, {"temperature": 1.5}),
        (f"T = 1.5, top-p {P}", 3, {"temperature": 1.5, "top_p": P}),
    ):
        ids = subject.generate(
            model,
            torch.full((rows, 1), start),
            LENGTH,
            1,
            **settings,
            eos_id=TOKENS.index("."),
            generator=torch.Generator().manual_seed(10),
        )
        for row in ids.tolist():
            text = " ".join(TOKENS[number] for number in row)
            lines.append(f"{name:<22}{text.partition(' .')[0] + '.' * (' .' in text)}"[:76])
            name = ""
    return {
        "kind": "text",
        "title": 'Your generate on a model that knows only what follows a word, from "the" on',
        "lines": lines,
        "note": "At T = 0 a word always has the same successor, so the text goes round in circles. top-p leaves "
        "out what hardly ever follows.",
    }
