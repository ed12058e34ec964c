"""The scene of ex11: the loss of GPTs that have learned nothing, and what it costs to guess with confidence."""

import math
from importlib import import_module

import torch
from torch import nn

NEEDS = ("ex01_text", "ex09_gpt")

SIZES = (2, 10, 100, 1000, 10000, 50257)
ROWS, TOKENS = 8, 32
FACTORS = range(31)
CONFIDENT = 20


def look(subject, draw, observe, story):
    observe("panel", untrained(subject, draw))
    observe("panel", confident(subject, story))


class Scaled(nn.Module):
    """A model whose logits are multiplied: the same guesses, with more confidence or with less."""

    def __init__(self, model, factor):
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, ids):
        return self.model(ids) * self.factor


class Frequencies(nn.Module):
    """Knows how often each token occurs, and nothing else: it does not even look at the ids."""

    def __init__(self, counts):
        super().__init__()
        self.register_buffer("logits", counts.log())

    def forward(self, ids):
        return self.logits.expand(*ids.shape, -1)


def new_gpt(subject, vocab_size):
    ex09 = import_module(".ex09_gpt", subject.__package__)
    torch.manual_seed(11)
    cfg = ex09.GPTConfig(
        vocab_size=vocab_size, context_length=TOKENS, emb_dim=64, n_heads=4, n_layers=2, drop_rate=0.0
    )
    return ex09.GPTModel(cfg).eval()


def untrained(subject, draw):
    """The loss on random ids, for vocabularies of several sizes."""
    lines = [f"{'tokens V':>8}{'your loss':>12}{'ln V':>9}{'your perplexity':>18}"]
    for size in SIZES:
        pair = draw.integers(ROWS, TOKENS, high=size), draw.integers(ROWS, TOKENS, high=size)
        loss = subject.calc_loss_loader([pair], new_gpt(subject, size), "cpu")
        lines.append(f"{size:>8,}{loss:>12.2f}{math.log(size):>9.2f}{subject.perplexity(loss):>18,.1f}")
    return {
        "kind": "text",
        "title": "GPTs that have learned nothing: they choose blindly among all tokens",
        "lines": lines,
        "note": "Was your prediction right? Look at the row of 1,000 tokens. The perplexity is about V.",
    }


def confident(subject, story):
    """The loss on the story, with the logits multiplied by more and more."""
    ex01 = import_module(".ex01_text", subject.__package__)
    text = ex01.clean_text(story)
    vocab = ex01.build_vocab(ex01.split_text(text))
    ids = torch.tensor(ex01.SimpleTokenizer(vocab).encode(text))
    window = ids[: ROWS * TOKENS + 1]
    loader = [(window[:-1].view(ROWS, TOKENS), window[1:].view(ROWS, TOKENS))]
    # The specials do not occur in the story, and ln 0 is no logit.
    counts = torch.bincount(ids, minlength=len(vocab)).clamp(min=1)
    gpt = new_gpt(subject, len(vocab))
    losses = [subject.calc_loss_loader(loader, Scaled(gpt, factor), "cpu") for factor in FACTORS]
    known = subject.calc_loss_loader(loader, Frequencies(counts), "cpu")
    blind = math.log(len(vocab))
    return {
        "kind": "curves",
        "title": f"The loss of one of them on the story of exercise 1, with {len(vocab)} tokens",
        "x": list(FACTORS),
        "names": ["untrained GPT", "all tokens alike", "frequencies alone"],
        "values": [losses, [blind] * len(losses), [known] * len(losses)],
        "across": "its logits are multiplied by",
        "note": f"At {CONFIDENT} the loss is {losses[CONFIDENT]:.2f}: confident guesses cost more than ln V = "
        f"{blind:.2f}, the price of not knowing. Knowing only how often each token occurs gives {known:.2f}.",
    }
