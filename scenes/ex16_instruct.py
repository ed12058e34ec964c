"""The scene of ex16: which targets count in a batch, and what becomes of a model that never learned to stop.

The entries are few and the model is tiny, so that both trainings are over in a second. Its tokens are words.
"""

import re

import torch
from torch import nn
from torch.nn import functional as F

ENTRIES = (
    {"instruction": "Name the capital.", "input": "France", "output": "Paris."},
    {"instruction": "Where is Rome?", "output": "Rome is in Italy, on the Tiber."},
    {"instruction": "Say hello.", "input": "", "output": "Hello, and welcome."},
    {"instruction": "Count to three.", "output": "One, two, three."},
)
STEPS = 60
LONGEST_ANSWER = 14


class Words:
    """Every word or sign with the white space before it is a token; id 0 is end-of-text."""

    def __init__(self, end):
        self.words = [end]

    def encode(self, text):
        found = re.findall(r"\s*\w+|\s*[^\w\s]+|\s+", text)
        self.words += [word for word in dict.fromkeys(found) if word not in self.words]
        return [self.words.index(word) for word in found]

    def decode(self, ids):
        return "".join(self.words[number] for number in ids)


class Small(nn.Module):
    """Predicts from the last two tokens and from the mean of all so far."""

    def __init__(self, vocabulary, width=24):
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        self.hidden = nn.Linear(3 * width, 2 * width)
        self.head = nn.Linear(2 * width, vocabulary)

    def forward(self, ids):
        now = self.table(ids)
        before = F.pad(now, (0, 0, 1, 0))[:, :-1]
        mean = now.cumsum(dim=1) / torch.arange(1, ids.shape[1] + 1)[:, None]
        return self.head(torch.tanh(self.hidden(torch.cat([now, before, 3 * mean], dim=-1))))


class Adam(torch.optim.Optimizer):
    """The optimizer of exercise 12, without what torch would import for it."""

    def __init__(self, model):
        self.parameters, self.steps = list(model.parameters()), 0
        self.param_groups = [{"params": self.parameters, "lr": 0.0}]
        self.means = [(torch.zeros_like(one), torch.zeros_like(one)) for one in self.parameters]

    def zero_grad(self, set_to_none=True):
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, closure=None):
        self.steps += 1
        for parameter, (mean, square) in zip(self.parameters, self.means, strict=True):
            mean.lerp_(parameter.grad, 0.1)
            square.lerp_(parameter.grad**2, 0.01)
            size = (square / (1 - 0.99**self.steps)).sqrt() + 1e-8
            parameter -= self.param_groups[0]["lr"] * mean / (1 - 0.9**self.steps) / size


def look(subject, draw, observe):
    tokenizer = Words(subject.END_OF_TEXT)
    items = subject.InstructionDataset(ENTRIES, tokenizer)
    batch = [items[number] for number in range(len(items))]
    shorter = min(prompt for _, prompt in batch) - 4
    lines = []
    for mask_prompt in (False, True):
        lines += ["", f"mask_prompt={mask_prompt}"]
        _, targets = subject.collate(batch, 0, mask_prompt=mask_prompt)
        for entry, row in zip(ENTRIES, targets.tolist(), strict=True):
            drawn = "".join("·" if target == -100 else "E" if target == 0 else "w" for target in row)
            lines.append(f"  {entry['output']:<32}  …{drawn[shorter:]}")
    observe(
        "panel",
        {
            "kind": "text",
            "title": "Your targets: w a word, E end-of-text, · ignored",
            "lines": lines[1:],
            "note": "One E in each row, wherever it ends. What the model learns from is w and E.",
        },
    )
    told = answers(subject, tokenizer, batch, draw, hide=False)
    never = answers(subject, tokenizer, batch, draw, hide=True)
    lines = []
    for entry, one, other in zip(ENTRIES, told, never, strict=True):
        given = f" ({entry['input']})" if entry.get("input") else ""
        lines += [f"{entry['instruction']}{given}", f"  with E     {one}", f"  without E  {other}", ""]
    observe(
        "panel",
        {
            "kind": "text",
            "title": f"The same small model, {STEPS} of your steps with each E, and with every E hidden",
            "lines": lines[:-1],
            "note": "Both know the answers. The second never saw one end: it goes on as the form does.",
        },
    )


def answers(subject, tokenizer, batch, draw, hide):
    """What a model says to each prompt after training, with the end-of-text among the targets or hidden."""
    inputs, targets = subject.collate(batch, 0)
    if hide:
        targets = targets.masked_fill(targets == 0, -100)
    model = Small(len(tokenizer.words))
    draw.fill(model, 0.2)
    settings = subject.TrainConfig(STEPS, max_lr=0.02, min_lr=0.002, warmup_steps=5, max_norm=5.0, eval_every=10**6)
    subject.train_instruct(model, [(inputs, targets)], [], Adam(model), settings)
    found = []
    for entry in ENTRIES:
        prompt = subject.format_prompt(entry) + subject.RESPONSE_HEADING
        ids = torch.tensor([tokenizer.encode(prompt)])
        with torch.no_grad():
            for _ in range(LONGEST_ANSWER):
                ids = torch.cat([ids, model(ids)[:, -1:].argmax(dim=-1)], dim=1)
                if ids[0, -1] == 0:
                    break
        said = subject.extract_response(tokenizer.decode(ids[0].tolist()), prompt)
        found.append(" ".join(said.split()))
    return found
