"""The scene of ex04: one batch of a story in words, and how many windows a stride gives."""

from importlib import import_module

import torch

NEEDS = ("ex01_text",)

BATCH, LENGTH = 3, 6  # of the batch to look at
WIDTH = 76
WINDOW = 64
STRIDES = (8, 16, 32, 64, 128)


def look(subject, draw, observe, story):
    ex01 = import_module(".ex01_text", subject.__package__)
    train, _ = subject.split_text_train_val(ex01.clean_text(story))
    tokens = ex01.split_text(train)
    tokenizer = ex01.SimpleTokenizer(ex01.build_vocab(tokens))
    ids = tokenizer.encode(train)
    observe("panel", one_batch(subject, tokenizer, ids))
    observe("panel", strides(subject, ids))


def one_batch(subject, tokenizer, ids):
    """Each row of a batch with its target under it, column by column."""
    generator = torch.Generator().manual_seed(4)
    loader = subject.create_dataloader(ids, BATCH, LENGTH, LENGTH, generator=generator)
    inputs, targets = next(iter(loader))
    rows = {}
    for number, pair in enumerate(zip(inputs.tolist(), targets.tolist(), strict=True)):
        for name, row in zip(("input", "target"), pair, strict=True):
            rows[f"{name} {number}"] = [tokenizer.decode([token]) for token in row]
    widths = [max(map(len, column)) for column in zip(*rows.values(), strict=True)]
    lines = []
    for name, row in {"position": map(str, range(LENGTH)), **rows}.items():
        if name.startswith("input"):
            lines.append("")
        cells = (word.ljust(width) for word, width in zip(row, widths, strict=True))
        lines.append(f"{name:<11}{'   '.join(cells)}".rstrip()[:WIDTH])
    return {
        "kind": "text",
        "title": f"One batch of your loader: {BATCH} windows of {LENGTH} tokens, each above its target",
        "lines": lines,
        "note": "Was your prediction right? The answer to a token is at the same position, right below it,"
        " because the target begins one token later.",
    }


def strides(subject, ids):
    """What a stride makes of the same text."""
    lines = [f"{'stride':>6}{'windows':>10}{'tokens shared with the next':>30}{'windows a token is in':>25}"]
    last = len(ids) - 1
    for stride in STRIDES:
        dataset = subject.GPTDataset(torch.arange(len(ids)), WINDOW, stride)
        first, second = (set(dataset[index][0].tolist()) for index in (0, 1))
        # The text as positions: in how many inputs does each one occur?
        times = torch.zeros(last + 1)
        for index in range(len(dataset)):
            times[dataset[index][0]] += 1
        middle = times[last // 2 : last // 2 + 2 * max(STRIDES)].mean().item()
        lines.append(f"{stride:>6}{len(dataset):>10,}{len(first & second):>30}{middle:>25g}")
    return {
        "kind": "text",
        "title": f"The {len(ids):,} training tokens of the story in windows of {WINDOW}",
        "lines": lines,
        "note": f"A token in the middle is in {WINDOW} / stride windows. More windows are more steps in an epoch,"
        f" but not more text. With a stride above {WINDOW}, the model never sees a part of the story.",
    }
