"""The scene of ex14: a GPT from a folder goes on with a text; without a folder, a training is stopped and goes on.

A folder is one of Hugging Face's with a GPT-2 in it, or a run of `scripts.train`.
"""

import json
import textwrap
from importlib import import_module

import torch

NEEDS = ("ex03_bpe", "ex10_generate", "ex11_loss", "ex12_optim", "ex13_train")
SECONDS = 30

PROMPT, NEW_TOKENS = "The ferry", 25
# The training that is stopped.
LENGTH, BATCH, RATE, STEPS, STOP, FROM, SEED = 24, 8, 1e-2, 220, 180, 165, 14


def look(subject, draw, observe, tmp_path, story, folder, text):
    parts = {name: import_module(f".{name}", subject.__package__) for name in (*NEEDS, "ex09_gpt")}
    if folder is None:
        stop_and_go_on(subject, parts, observe, tmp_path, story)
    else:
        write_on(subject, parts, observe, folder, text)


def stop_and_go_on(subject, parts, observe, tmp_path, story):
    gpt, optim, train = parts["ex09_gpt"], parts["ex12_optim"], parts["ex13_train"]
    ids = torch.tensor(list(story.encode("utf-8")[: LENGTH * BATCH + 1]))
    inputs, targets = ids[:-1].view(BATCH, LENGTH), ids[1:].view(BATCH, LENGTH)
    shown = (inputs, targets)
    batches = [(inputs[half::2], targets[half::2]) for half in (0, 1)] * (STEPS // 2)

    def new(seed):
        torch.default_generator.manual_seed(seed)
        config = gpt.GPTConfig(256, LENGTH, emb_dim=32, n_heads=4, n_layers=2, drop_rate=0.1)
        model = gpt.GPTModel(config)
        return model, optim.AdamW(optim.param_groups(model, 0.1), lr=RATE)

    def steps(model, optimizer, batches):
        """Train, and give the loss on the same batch after each step."""
        losses = []
        for batch in batches:
            train.update(model, [batch], optimizer, RATE, 1.0, "cpu")
            losses.append(parts["ex11_loss"].calc_loss_loader([shown], model.eval(), "cpu"))
        return losses

    whole, bare = tmp_path / "whole.pt", tmp_path / "bare.pt"
    model, optimizer = new(SEED)
    before = steps(model, optimizer, batches[:STOP])
    subject.save_checkpoint(whole, model, optimizer, {"step": STOP})
    subject.save_checkpoint(bare, model)
    straight = before + steps(model, optimizer, batches[STOP:STEPS])

    model, optimizer = new(SEED + 1)
    step = subject.load_checkpoint(whole, model, optimizer)["step"]
    resumed = before + steps(model, optimizer, batches[step:STEPS])

    model, optimizer = new(SEED + 2)
    subject.load_checkpoint(bare, model)
    torch.default_generator.manual_seed(SEED + 2)
    weights_only = before + steps(model, optimizer, batches[STOP:STEPS])

    off = [max(abs(a - b) for a, b in zip(curve, straight, strict=True)) for curve in (resumed, weights_only)]
    first = weights_only[STOP] - weights_only[STOP - 1]
    observe(
        "panel",
        {
            "kind": "curves",
            "title": f"The loss of a small GPT: stopped after step {STOP}, and gone on with from a file",
            "x": list(range(FROM, STEPS + 1)),
            "names": ["not stopped", "weights only", "all of it saved"],
            "values": [curve[FROM - 1 :] for curve in (straight, weights_only, resumed)],
            "across": "step",
            "note": f"Was your prediction right? With the weights only, the loss changes by {first:+.2f} in the "
            "first step. A new AdamW knows no means, so each weight moves by the whole learning rate.",
        },
    )
    sizes = [path.stat().st_size / 1000 for path in (whole, bare)]
    observe(
        "panel",
        {
            "kind": "text",
            "title": "What it costs to save everything, and what it is worth",
            "lines": [
                f"{'':<16}  {'size of the file':>16}  {'largest difference from not stopping':>36}",
                f"{'all of it saved':<16}  {sizes[0]:>13.0f} KB  {off[0]:>36.6f}",
                f"{'weights only':<16}  {sizes[1]:>13.0f} KB  {off[1]:>36.6f}",
            ],
            "note": "AdamW keeps two means for each weight, so its state is twice the size of the model. For "
            "generating text, the weights alone are enough.",
        },
    )


def write_on(subject, parts, observe, folder, text):
    try:
        what, model, tokenizer = loaded(subject, parts, folder)
        prompt, knobs, how = how_to_write(folder)
        ids = torch.tensor([tokenizer.encode(text or prompt)])
        room = model.embedding.pos_emb.weight.shape[0]
        drawn = torch.Generator().manual_seed(SEED)
        found = parts["ex10_generate"].generate(model, ids, NEW_TOKENS, room, **knobs, generator=drawn)
        written = tokenizer.decode(found[0].tolist())
    except NotImplementedError:
        raise
    except Exception as error:
        observe(
            "panel",
            {
                "kind": "text",
                "title": "No model could be loaded from this folder",
                "lines": textwrap.wrap(f"{folder.name}: {type(error).__name__}: {error}", 76)[:8],
                "note": "It should be one of Hugging Face's with a GPT-2 (config.json, model.safetensors, "
                "tokenizer.json), or a run of scripts.train (settings.json, tokenizer.json, checkpoint.pt).",
            },
        )
        return
    observe("written", written)
    count = parts["ex09_gpt"].count_parameters(model)
    observe(
        "panel",
        {
            "kind": "text",
            "title": f"Your GPT with {count:,} parameters from {what}",
            "lines": [part for line in written.splitlines() for part in textwrap.wrap(line, 76) or [""]],
            "note": f"{ids.shape[1]} tokens are yours, {found.shape[1] - ids.shape[1]} are the model's: {how}.",
        },
    )


def how_to_write(folder):
    """The prompt where none was given, the knobs of `generate`, and what they do: those of a run are its own."""
    try:
        training = json.loads((folder / "settings.json").read_text(encoding="utf-8"))["training"]
    except FileNotFoundError:
        training = None
    if not training:
        return PROMPT, {}, "the most likely one each time"
    knobs = {name: training[name] for name in ("temperature", "top_k")}
    return training["prompt"], knobs, f"drawn at temperature {knobs['temperature']:g}, as the run's samples were"


def loaded(subject, parts, folder):
    """What the folder holds in a few words, a model with its weights, and its tokenizer."""
    gpt, bpe = parts["ex09_gpt"], parts["ex03_bpe"]
    if (folder / "settings.json").exists():
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        if settings.get("finetuning"):
            raise ValueError("this run is fine-tuned; scripts.generate can read it")
        sizes, tied = settings["model"]["config"], settings["model"]["tie_weights"]
        model = gpt.GPTModel(gpt.GPTConfig(**sizes), tied)
        history = subject.load_checkpoint(folder / "checkpoint.pt", model).get("history") or {}
        tokenizer = bpe.BPETokenizer.load(folder / "tokenizer.json")
        return f"{folder.name[:30]}, step {history.get('step', 0)}", model, tokenizer
    files = import_module(".gpt2_files", subject.__package__).read_gpt2(folder)  # as scripts.load_gpt2 reads it
    if files.vocabulary is None:
        raise ValueError("this folder has no tokenizer.json; scripts.load_gpt2 can do without")
    model = gpt.GPTModel(gpt.GPTConfig(**files.config), files.tie_weights)
    subject.load_gpt2(model, files.weights)
    tokenizer = bpe.BPETokenizer(files.vocabulary.ranks, files.vocabulary.special_tokens)
    known = {*tokenizer.ranks.values(), *tokenizer.special_tokens.values()}
    unused = torch.tensor([number for number in range(files.config["vocab_size"]) if number not in known]).long()
    # A row without a token must not be chosen: there is no text for it.
    model.register_forward_hook(lambda _, inputs, logits: logits.index_fill(-1, unused, -torch.inf))
    return folder.name[:36], model, tokenizer
