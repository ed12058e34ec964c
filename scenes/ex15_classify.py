"""The scene of ex15: a small classifier learns to tell spam, and one message is padded to several lengths.

Its vocabulary is a few dozen words, its GPT was never pretrained, and it learns for less than a second. That is
enough to see where a verdict should be read.
"""

import random
import zlib
from importlib import import_module

import torch
from torch.utils.data import DataLoader

SPAM = ("win", "cash", "free", "prize", "claim", "click", "offer", "urgent")
HAM = ("lunch", "home", "train", "mum", "late", "dinner", "tomorrow", "meeting")
BOTH = ("you", "now", "the", "a", "for", "is", "at", "see", "call", "me", "it", "to")
PAD = 0
NUMBERS = 1
WORDS = ("·", *SPAM, *HAM, *BOTH)
MESSAGE = "mum is home now"
LENGTHS = (4, 6, 8, 10, 12, 16)


class Words:
    """A token is a word."""

    def encode(self, text):
        return [WORDS.index(word) for word in text.split()]


class Adam:
    """Without weight decay, for the parameters that train."""

    def __init__(self, parameters):
        self.param_groups = [{"params": parameters, "lr": 0.1}]
        self.means = [(torch.zeros_like(parameter), torch.zeros_like(parameter)) for parameter in parameters]
        self.steps = 0

    @torch.no_grad()
    def step(self):
        self.steps += 1
        for parameter, (mean, square) in zip(self.param_groups[0]["params"], self.means, strict=True):
            mean.lerp_(parameter.grad, 0.1)
            square.lerp_(parameter.grad**2, 0.01)
            size = (square / (1 - 0.99**self.steps)).sqrt() + 1e-8
            parameter.sub_(self.param_groups[0]["lr"] * mean / (1 - 0.9**self.steps) / size)

    def zero_grad(self):
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None


def message(source, label):
    """Two to nine words; one or two of them give the label away."""
    words = source.choices(BOTH, k=source.randrange(1, 8)) + source.sample(
        (HAM, SPAM)[label], source.randrange(1, 3)
    )
    source.shuffle(words)
    return " ".join(words), label


def fill(module):
    """The same random numbers each time, whatever the seed and the order in which the parts were made."""
    for name, parameter in module.named_parameters():
        numbers = torch.Generator().manual_seed(zlib.crc32(name.encode()) + NUMBERS)
        scale = 1.0 if "tok_emb" in name else 0.3 if "pos_emb" in name else 0.1
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=numbers) * scale + name.endswith("scale"))


def look(subject, draw, observe):
    source, ex09 = random.Random(4), import_module(".ex09_gpt", subject.__package__)
    messages = [message(source, int(number % 3 == 0)) for number in range(900)]
    training, validation, _ = subject.split_frames(subject.balance(messages, 4), 0.7, 0.2, 4)
    data = subject.SpamDataset(training, Words(), None, PAD)
    other = subject.SpamDataset(validation, Words(), data.max_length, PAD)
    sizes = {"vocab_size": len(WORDS), "context_length": 16, "emb_dim": 32, "n_heads": 2, "n_layers": 2}
    gpt = ex09.GPTModel(ex09.GPTConfig(**sizes, drop_rate=0.0))
    fill(gpt)
    classifier = subject.ClassifierGPT(gpt, 2)
    trained = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    fill(gpt.out_head)
    config = subject.TrainConfig(3, max_lr=0.01, min_lr=0.001, warmup_steps=5, eval_every=16, eval_batches=6)
    loader = DataLoader(data, 16, shuffle=True, generator=torch.Generator())
    history = subject.train_classifier(classifier, loader, DataLoader(other, 100), Adam(trained), config)

    shown = [text for text, _ in (training[0], training[1], training[2])] + [MESSAGE]
    rows = subject.SpamDataset([(text, 0) for text in shown], Words(), data.max_length, PAD)
    observe(
        "panel",
        {
            "kind": "text",
            "title": "Four messages as rows of one length, and where each is read",
            "lines": [line(*rows[index]) for index in range(len(shown))],
            "note": "A dot is a pad. What is in the last column is hardly ever the last word of a message.",
        },
    )
    observe(
        "panel",
        {
            "kind": "text",
            "title": "What it learned",
            "lines": [
                f"{'step':>5}  {'messages seen':>13}  {'training':>15}  {'validation':>15}",
                *(
                    f"{e.step:>5}  {e.examples_seen:>13}  {e.train_loss:6.3f} {e.train_accuracy:8.0%}"
                    f"  {e.val_loss:6.3f} {e.val_accuracy:8.0%}"
                    for e in history.evaluations
                ),
            ],
            "note": f"Loss and accuracy. {sum(p.numel() for p in trained):,} numbers were trained, of "
            f"{sum(p.numel() for p in classifier.parameters()):,}.",
        },
    )
    observe(
        "panel",
        {
            "kind": "shades",
            "title": f'"{MESSAGE}" in rows of several lengths: how surely is it spam, in percent?',
            "rows": ["last word", "last column"],
            "columns": [str(room) for room in LENGTHS],
            "values": torch.tensor([[spam(classifier, room, end) for room in LENGTHS] for end in (False, True)]),
            "note": "Was your prediction right? The words are the same each time, and only the padding grows. A "
            "verdict that grows with it is not about the message.",
        },
    )


def line(ids, length, label):
    """A row in words, the one that is read in brackets."""
    words = [WORDS[number] for number in ids.tolist()]
    words[length - 1] = f"[{words[length - 1]}]"
    return " ".join(words)


def spam(classifier, room, last_column):
    """The probability of spam for the message in a row of this length."""
    ids = Words().encode(MESSAGE)
    row = torch.tensor([ids + [PAD] * (room - len(ids))])
    with torch.no_grad():
        logits = classifier.gpt(row)[:, -1] if last_column else classifier(row, torch.tensor([len(ids)]))
    return torch.softmax(logits, dim=-1)[0, 1].item()
