"""Learning to tell spam from other messages, with your ex15."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from grader.errors import UsageError
from grader.report.console import Page
from grader.text import shorten
from scripts.inputs.messages import LABELS, MESSAGES, counted, read_messages
from scripts.parts import Parts
from scripts.training.base import Base
from scripts.training.curves import Curve
from scripts.training.finetuning import Job, Kind, Plan, end_id, work
from scripts.training.runs import shown
from scripts.training.settings import CLASSIFY
from scripts.training.view import LOSSES, Column

Message = tuple[str, int]
EXERCISE = "ex15_classify"
# Shares of the messages to learn from and to look at meanwhile; the rest is judged at the end.
SHARES = (0.7, 0.1)
# Of each label, so that no part is empty.
FEWEST = 5
EXAMPLES = 8
COLUMNS = (*LOSSES, Column("right", "train_accuracy", 7, ".1%"), Column("validation", "val_accuracy", 11, ".1%"))
CURVES = (
    # There are as many of each label, so that is all one can know beforehand.
    Curve(
        "loss (nats per message)",
        {"training": "train_loss", "validation": "val_loss"},
        (math.log(len(LABELS)), "guessing"),
    ),
    Curve(
        "share of right verdicts",
        {"training": "train_accuracy", "validation": "val_accuracy"},
        (1 / len(LABELS), "guessing"),
    ),
)


def read(path: Path, encoding: str) -> list[Message]:
    """The messages of a file. Raises `UsageError`, also where a label has too few for all three parts."""
    messages = read_messages(path, LABELS, encoding)
    counts = Counter(label for _, label in messages)
    if any(counts[label] < FEWEST for label in range(len(LABELS))):
        raise UsageError(
            f"{path} has {counted(messages, LABELS)}: of each label there have to be {FEWEST} or more."
        )
    return messages


def plan(parts: Parts, base: Base, messages: list[Message], chosen: Mapping[str, Any]) -> Plan:
    """As many tokens of a message count as the longest one to learn from has, or as the context has room for."""
    train = frames(parts, messages, chosen["seed"])[0]
    longest = parts.module(EXERCISE).SpamDataset(train, base.tokenizer, None, end_id(base.tokenizer)).max_length
    return Plan(min(longest, base.settings.config["context_length"]), len(train), LABELS)


def frames(parts: Parts, messages: list[Message], seed: int) -> tuple[list[Message], ...]:
    """As many of each label, split into those to learn from, to look at meanwhile, and to judge by."""
    classify = parts.module(EXERCISE)
    split: tuple[list[Message], ...] = classify.split_frames(classify.balance(messages, seed), *SHARES, seed)
    return split


def history(parts: Parts, saved: dict[str, Any]) -> Any:
    """A new history, or the one that was saved."""
    classify = parts.module(EXERCISE)
    evaluations = [classify.ClassifierEvaluation(**evaluation) for evaluation in saved.get("evaluations", [])]
    return classify.ClassifierHistory(**{**saved, "evaluations": evaluations})


def train(page: Page, job: Job, messages: list[Message]) -> bool:
    """From the messages to the table of what was learned. Returns whether it came to its end."""
    classify, how, config = job.parts.module(EXERCISE), job.how, job.config
    parts_of = frames(job.parts, messages, config.seed)
    sets = [classify.SpamDataset(frame, job.tokenizer, how.max_length, job.end) for frame in parts_of]
    train_loader = DataLoader(sets[0], how.batch_size, shuffle=True, generator=torch.Generator())
    val_loader, test_loader = (DataLoader(part, how.batch_size) for part in sets[1:])
    held_out = parts_of[2]

    def verdicts() -> list[tuple[int, float]]:
        asked = (job.network, job.tokenizer, how.max_length, job.end, job.device)
        return [classify.classify_review(text, *asked) for text, _ in held_out[:EXAMPLES]]

    def accuracy() -> float:
        found: float = classify.calc_accuracy_loader(test_loader, job.network, job.device)
        return found

    if "before" not in job.extra:
        job.extra.update(before=verdicts(), accuracy=accuracy())
    page.line(f"{shown(Path(how.data))}: {counted(messages, how.labels)}. With as many of each:")
    page.line(
        f"{len(sets[0])} to learn from, {len(sets[1])} to look at meanwhile, {len(sets[2])} to judge by at the end."
        f" Up to {how.max_length} tokens of each count."
    )

    def loop(history: Any, on_step: Any) -> None:
        classify.train_classifier(
            job.network, train_loader, val_loader, job.optimizer, config, job.device, on_step, history
        )

    per_epoch = job.parts.train.steps_per_epoch(len(train_loader), config.accumulate)
    title = f"spam or not, from {shown(Path(how.data))}"
    finished = work(page, job, job.loop(loop, "examples", per_epoch, title, COLUMNS, CURVES))
    if finished:
        _show_table(page, how.labels, held_out, job.extra["before"], verdicts())
        before = job.extra["accuracy"]
        page.line(f"Right on {len(held_out)} messages held out: {before:.1%} before, {accuracy():.1%} after.")
    return finished


def _show_table(
    page: Page,
    labels: list[str],
    messages: list[Message],
    before: list[tuple[int, float]],
    after: list[tuple[int, float]],
) -> None:
    """Messages that were held out, with the verdicts before and after."""
    widest = max(map(len, labels))
    page.line()
    page.line(f"{'messages held out':<46}  {'is':<{widest}}  {'before':<{widest + 5}}  after", "bold")
    for (text, label), *both in zip(messages, before, after, strict=False):
        said = "  ".join(f"{labels[found]:<{widest}} {share:>4.0%}" for found, share in both)
        page.line(f"{shorten(' '.join(text.split()), 46):<46}  {labels[label]:<{widest}}  {said}")
    page.line()


CLASSIFYING = Kind(CLASSIFY, (EXERCISE,), MESSAGES, read, plan, history, train, next=("scripts.classify", '"…"'))
