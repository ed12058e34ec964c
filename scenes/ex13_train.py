"""The scene of ex13: a small GPT learns a third of a short story, all of it with the learner's own parts.

The number of steps is fixed, and so is the seed: how fast the machine is decides only how long it takes.
"""

import textwrap
from importlib import import_module

import torch

NEEDS = ("ex02_bpe_train", "ex03_bpe", "ex04_data", "ex09_gpt", "ex10_generate", "ex12_optim")
SECONDS = 120

CHARACTERS, SHARE, VOCABULARY = 14000, 0.8, 400
LENGTH, BATCH, EPOCHS, RATE, SEED = 64, 8, 50, 3e-3, 13
# With the prompt, the tokens of one window: the model has seen it in this very position.
PROMPT_TOKENS, NEW_TOKENS = 26, 38


def copied(text, story):
    """The length of the longest piece of a text that is in the story, word for word."""
    longest = 0
    for start in range(len(text)):
        while start + longest < len(text) and text[start : start + longest + 1] in story:
            longest += 1
    return longest


def look(subject, draw, observe, story):
    bpe_train, bpe, data, gpt, generate, optim = (import_module(f".{name}", subject.__package__) for name in NEEDS)
    train_text, val_text = data.split_text_train_val(story[:CHARACTERS], SHARE)
    ranks, _ = bpe_train.train_bpe(train_text, VOCABULARY)
    tokenizer = bpe.BPETokenizer(ranks, {})
    train_ids, val_ids = (torch.tensor(tokenizer.encode(text)) for text in (train_text, val_text))
    batches = torch.Generator().manual_seed(SEED)
    train_loader = data.create_dataloader(train_ids, BATCH, LENGTH, LENGTH, generator=batches)
    val_loader = data.create_dataloader(val_ids, BATCH, LENGTH, LENGTH, shuffle=False, drop_last=False)
    torch.default_generator.manual_seed(SEED)
    model = gpt.GPTModel(gpt.GPTConfig(VOCABULARY, LENGTH, emb_dim=64, n_heads=4, n_layers=2, drop_rate=0.0))
    prompt = train_ids[None, :PROMPT_TOKENS]

    def sample(model):
        ids = generate.generate(model, prompt, NEW_TOKENS, LENGTH)
        return tokenizer.decode(ids[0, prompt.shape[1] :].tolist())

    steps = subject.steps_per_epoch(len(train_loader), 1)
    config = subject.TrainConfig(
        EPOCHS, RATE, RATE / 10, warmup_steps=2 * steps, eval_every=steps, eval_batches=4, seed=SEED
    )
    optimizer = optim.AdamW(optim.param_groups(model, 0.1), lr=RATE)
    history = subject.train_model(model, train_loader, val_loader, optimizer, config, sample=sample)
    training = [point.train_loss for point in history.evaluations]
    validation = [point.val_loss for point in history.evaluations]
    best = min(range(EPOCHS), key=lambda epoch: validation[epoch])
    observe(
        "panel",
        {
            "kind": "curves",
            "title": f"The loss of a GPT with {gpt.count_parameters(model):,} numbers on {len(train_ids):,} tokens",
            "x": list(range(1, EPOCHS + 1)),
            "names": ["training", "validation"],
            "values": [training, validation],
            "across": "epoch",
            "note": f"Was your prediction right? The validation loss is lowest after epoch {best + 1}, at "
            f"{validation[best]:.1f}. It ends at {validation[-1]:.1f}, the training loss at {training[-1]:.1f}.",
        },
    )
    given = " / ".join(line for line in tokenizer.decode(prompt[0].tolist()).splitlines() if line)
    lines = [f"given      {given}", ""]
    for epoch in sorted({0, best, EPOCHS - 1}):
        text = history.samples[epoch]
        lines += [
            f"epoch {epoch + 1:<3}  characters copied from the story in one piece: {copied(text, train_text)}",
            *("  " + line for line in textwrap.wrap(" ".join(text.split()), 74)),
            "",
        ]
    observe(
        "panel",
        {
            "kind": "text",
            "title": "How it goes on after the first words of the story",
            "lines": lines[:-1],
            "note": "Where the validation loss rises, the model overfits: it recites what it has read, and gets "
            "worse at what it has not. A longer text, fewer epochs or dropout help.",
        },
    )
