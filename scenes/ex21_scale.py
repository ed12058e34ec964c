"""The scene of ex21: two processes that share a batch out, and where the work goes.

The two processes are played one after the other in a single one. First each makes its step on a copy of its model,
and what it hands to `all_reduce` is kept. Then each makes the step in earnest, and gets the sums of what both sent.
"""

import copy

import torch
from torch import nn

TEXTS = ("the cat sat on the mat and sang", "two dogs ran up a hill, and down")
ROWS, LENGTH, STEPS = 8, 7, 10
SHOWN = (0, 1, 2, 5, 10)
CONTEXTS = (1024, 4096, 16_384, 65_536)


class Pairs(nn.Module):
    """Predicts each next letter from the one before it alone."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(128, 128)
        nn.init.zeros_(self.table.weight)

    def forward(self, ids):
        return self.table(ids)


class Played:
    """One of two processes. It keeps what it hands over, and gets `sums` where there are any."""

    def __init__(self, rank, world_size, sums=None):
        self.rank, self.world_size, self.sums, self.sent = rank, world_size, sums, []

    def all_reduce(self, tensor):
        if self.sums is not None:
            tensor.detach().copy_(self.sums[len(self.sent)])
        self.sent.append(tensor.detach().clone())

    def broadcast(self, tensor, source):
        """Nothing to do: both start from the same weights."""


def rows_of(text):
    """Half of the batch: four rows of one text, each a little later than the one before."""
    ids = torch.tensor(list(text.encode()))
    starts = range(0, 6 * ROWS // 2, 6)
    return torch.stack([ids[start : start + LENGTH + 1] for start in starts])


def step(subject, model, batch, group):
    """One step of plain gradient descent."""
    subject.update_distributed(model, [batch], torch.optim.SGD(model.parameters()), 5.0, 1e6, "cpu", group)
    return group.sent


def step_together(subject, models, batch):
    sent = [step(subject, copy.deepcopy(model), batch, Played(rank, 2)) for rank, model in enumerate(models)]
    sums = [sum(tensors) for tensors in zip(*sent, strict=True)]
    for rank, model in enumerate(models):
        step(subject, model, batch, Played(rank, 2, sums))


def look(subject, draw, observe):
    texts = torch.cat([rows_of(text) for text in TEXTS])
    batch = texts[:, :-1], texts[:, 1:]
    alone, together, apart = Pairs(), [Pairs(), Pairs()], [Pairs(), Pairs()]

    def loss(model):
        return subject.mixed_precision_loss(*batch, model, "cpu", None).item()

    def distance(models):
        one, other = (model.table.weight.detach() for model in models)
        return (one - other).norm().item()

    lines = [
        "         loss on all 8 rows                 distance of the weights",
        "         one       two that   one of two    two that   two that",
        "step     process   average    that do not   average    do not",
    ]
    for number in range(STEPS + 1):
        if number in SHOWN:
            losses = f"{loss(alone):7.3f}   {loss(together[0]):8.3f}   {loss(apart[0]):11.3f}"
            lines.append(f"{number:4d}   {losses}    {distance(together):8.3f}   {distance(apart):8.3f}")
        step(subject, alone, batch, Played(0, 1))
        step_together(subject, together, batch)
        for rank, model in enumerate(apart):
            step(subject, model, batch, Played(rank, 2))
    observe(
        "panel",
        {
            "kind": "text",
            "title": "One process on 8 rows, or two on 4 each",
            "lines": lines,
            "note": "Was your prediction right? Two that average stay equal, and learn what one would have learned."
            " Two that do not each know one of the two texts.",
        },
    )
    small = 123_653_376, 12, 768
    lines = ["context    operations per token    share of attention"]
    for length in CONTEXTS:
        all_of_it, without = subject.flops_per_token(*small, length), subject.flops_per_token(*small, 0)
        share = 1 - without / all_of_it
        lines.append(f"{length:7,d}    {all_of_it:20,d}    {share:6.0%}  {'█' * round(20 * share)}")
    observe(
        "panel",
        {
            "kind": "text",
            "title": "Where the work of GPT-2 small would go, with longer contexts",
            "lines": lines,
            "note": "At 1,024 tokens most of the work is in the weights. With a long context it is in attention.",
        },
    )
