"""The scene of ex09: where the parameters of a GPT are, and what a new one writes.

Type sizes of your own after `show ex09`, such as "n_layers=24 emb_dim=1024 n_heads=16", to count that model.
"""

import re
from dataclasses import fields, replace
from textwrap import wrap

import torch

SMALL = {"qkv_bias": True}
XL = {"emb_dim": 1600, "n_heads": 25, "n_layers": 48, "qkv_bias": True}
LARGEST = 10_000_000  # of a size that is typed
SEED, WIDTH = 17, 74
BEGINNING = "Ruth"
SIZES = {"context_length": 32, "emb_dim": 128, "n_heads": 4, "n_layers": 2, "drop_rate": 0.0}
LENGTH = 60  # tokens that a new model writes


def look(subject, draw, observe, story, text):
    models = {"GPT-2 small": subject.GPTConfig(**SMALL)}
    try:
        models |= typed(subject, text) or {"GPT-2 XL": subject.GPTConfig(**XL)}
    except ValueError as error:
        observe("panel", refused(text, error))
    found = {name: counted(subject, cfg) for name, cfg in models.items()}
    observe("panel", table(found))
    observe("panel", shares(found))
    observe("panel", noise(subject, story))


def typed(subject, text):
    """The config that was typed, or nothing. Raises `ValueError` for what is no config."""
    # What a terminal cannot read may arrive as half of a surrogate pair.
    parts = re.sub(r"\s*=\s*", "=", text.encode("utf-8", "replace").decode()).replace(",", " ").split()
    kinds = {field.name: type(field.default) for field in fields(subject.GPTConfig)}
    sizes = dict(SMALL)
    for part in parts:
        name, _, value = part.partition("=")
        if name not in kinds:
            raise ValueError(f"{name[:20]!r} is no field of GPTConfig: {', '.join(kinds)}")
        try:
            sizes[name] = {"True": True, "False": False}[value] if kinds[name] is bool else kinds[name](value)
        except (KeyError, ValueError):
            wanted = {bool: "True or False", int: "a whole number", float: "a number"}[kinds[name]]
            raise ValueError(f"{name} should be {wanted}, not {value[:20]!r}") from None
        if sizes[name] > LARGEST:
            raise ValueError(f"{name} should be at most {LARGEST:,} here")
    return {"yours": subject.GPTConfig(**sizes)} if parts else {}


def refused(text, error):
    return {
        "kind": "text",
        "title": f"{text[:40]!r} cannot be counted",
        "lines": wrap(str(error), WIDTH)[:3],
        "note": 'So here is GPT-2 small alone. Sizes are typed like this: "n_layers=24 emb_dim=1024 n_heads=16"',
    }


def counted(subject, cfg):
    """The parameters of each part. All blocks are alike, so one is made, of shapes without numbers."""
    count = subject.count_parameters
    with torch.device("meta"):
        one = subject.GPTModel(replace(cfg, n_layers=1))
    (block,) = one.trf_blocks
    found = {
        "token table": count(one.embedding.tok_emb),
        "positions": count(one.embedding.pos_emb),
        "attention": cfg.n_layers * count(block.att),
        "feed-forward": cfg.n_layers * count(block.ff),
        "norms": cfg.n_layers * (count(block.norm1) + count(block.norm2)) + count(one.final_norm),
    }
    total = count(one) + (cfg.n_layers - 1) * count(block)
    return {**found, "head, tied": total - sum(found.values()), "together": total}


def table(found):
    lines = [f"{'':<14}" + "".join(f"{name:>24}" for name in found)]
    for part in found["GPT-2 small"]:
        lines.append(f"{part:<14}" + "".join(f"{counts[part]:>24,}" for counts in found.values()))
    return {
        "kind": "text",
        "title": "Where the parameters of a GPT are, counted by your code",
        "lines": lines,
        "note": "Attention, feed-forward and norms are those of all blocks. The head is the token table once more.",
    }


def shares(found):
    small = dict(found["GPT-2 small"])
    total = small.pop("together")
    largest = max(small, key=small.get)
    return {
        "kind": "bars",
        "title": "The share of each part, in percent",
        "labels": list(small)[:5],
        "names": list(found),
        "values": [[counts[part] / counts["together"] for counts in found.values()] for part in list(small)[:5]],
        "note": f"Was your prediction right? In GPT-2 small it is {largest}, with {small[largest] / total:.0%}. "
        "The tables grow with the width, the blocks with its square.",
    }


def noise(subject, story):
    letters = [letter for letter in story if letter != "\n"]
    words = re.findall(r"\w+|[.,;?]", story)
    torch.default_generator.manual_seed(SEED)
    lines = []
    for what, parts, between in (("characters", letters, ""), ("words", words, " ")):
        vocabulary = sorted({*parts, *BEGINNING} if between == "" else {*parts, BEGINNING})
        begin = list(BEGINNING) if between == "" else [BEGINNING]
        gpt = subject.GPTModel(subject.GPTConfig(vocab_size=len(vocabulary), **SIZES)).eval()
        for how in ("greedy", "sampled"):
            ids = written(gpt, [vocabulary.index(part) for part in begin], how == "greedy")
            lines.append(f"{what}, {how}")
            lines.append("  " + between.join(vocabulary[number] for number in ids)[: WIDTH - 2])
    return {
        "kind": "text",
        "title": "What a new GPT writes, on the characters and on the words of the story",
        "lines": lines,
        "note": "It has learned nothing, so this is noise. Greedy repeats itself: with tied weights, the row that "
        "is most like the vector of a token is its own.",
    }


def written(gpt, ids, greedy):
    """The ids and those that the model goes on with, one after another: it is autoregressive."""
    ids, dice = list(ids), torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for _ in range(LENGTH):
            logits = gpt(torch.tensor([ids[-gpt.cfg.context_length :]]))[0, -1]
            if greedy:
                ids.append(int(logits.argmax()))
            else:
                ids.append(int(torch.multinomial(logits.softmax(dim=-1), 1, generator=dice)))
    return ids
