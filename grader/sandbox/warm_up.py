"""Do once what every job does, before there is one: a first time takes far longer than a second.

A process that was forked shares its memory with others until it writes to it, and copies what it writes to page by
page: that is half of the time of a small job. What torch and Python make when something is first used comes on top.
"""

from __future__ import annotations

from pathlib import Path

from grader.protocol import frames
from grader.protocol.job import Job, Limits, Source
from grader.protocol.runs import CheckRun
from grader.sandbox.runner import run_job

EXERCISE = "ordinary"
SUBJECT = """
import json
import math
import re
from collections import Counter
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Config:
    width: int = 6
    words: int = 9


class Block(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.words, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.layers = nn.ModuleList([nn.Linear(config.width, config.width) for _ in range(2)])
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("mask", torch.triu(torch.ones(5, 5, dtype=torch.bool), diagonal=1))
        self.scale = nn.Parameter(torch.zeros(config.width))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.embedding(ids))
        query, key = (layer(x).view(2, 5, 2, 3).transpose(1, 2) for layer in self.layers)
        scores = (query @ key.transpose(-2, -1) / math.sqrt(3)).masked_fill(self.mask, -torch.inf)
        weights = self.dropout(torch.softmax(scores, dim=-1))
        y = F.gelu((weights @ key).transpose(1, 2).reshape(2, 5, 6))
        return y * self.scale.exp() + x.mean(dim=-1, keepdim=True)


def count(text):
    return dict(Counter(re.findall(r"\\w+", json.loads(json.dumps(text)))))


def step(model, ids):
    loss = F.cross_entropy(model(ids).flatten(0, 1), ids.flatten() % 6)
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
    return loss.item()
"""
PROBES = """
import torch


def test_text(subject, draw, observe):
    observe("counted", subject.count(draw.text(9)))
    observe.outcome("none", subject.count, None)


def test_model(subject, draw, observe):
    model = subject.Block(subject.Config())
    draw.fill(model)
    ids = draw.integers(2, 5, high=9)
    observe("loss", [subject.step(model, ids), subject.step(model.eval(), ids)])
    observe("output", model(ids))
    observe("weights", {name: value for name, value in model.state_dict().items()})
    observe("noise", draw.normal(2, 3).double())
"""


def warm_up(scratch: Path) -> None:
    """Run an ordinary job, and forget what it shows."""
    job = Job(
        EXERCISE,
        {EXERCISE: Source("ordinary.py", SUBJECT)},
        Source("test_ordinary.py", PROBES),
        ("test_text", "test_model"),
        0,
        Limits(60.0),
        forbidden_operations={"test_model": ("scaled_dot_product_attention",)},
    )

    def emit(run: CheckRun) -> None:
        frames.encode(run)

    run_job(job, emit, scratch)
