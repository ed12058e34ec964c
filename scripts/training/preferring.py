"""Learning which of two answers is preferred, with your ex18."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from grader.report.console import Page
from grader.text import shorten
from scripts.inputs.instructions import PREFERENCES, read_preferences
from scripts.parts import Parts
from scripts.training.base import Base, load_base
from scripts.training.curves import Curve
from scripts.training.finetuning import Job, Kind, Plan, work
from scripts.training.halves import Entry, counted, fitting, loaders, split
from scripts.training.runs import shown
from scripts.training.settings import PREFER
from scripts.training.view import LOSSES, Column

EXERCISE = "ex18_dpo"
NEEDS = ("ex15_classify", "ex16_instruct", EXERCISE)
EXAMPLES = 4
COLUMNS = (
    Column("pairs", "pairs_seen", 6, ","),
    *LOSSES,
    Column("margin", "val_margin", 7, ".2f"),
    Column("right", "val_accuracy", 7, ".0%"),
)
CURVES = (
    Curve(
        "loss (nats per pair)",
        {"training": "train_loss", "validation": "val_loss"},
        (math.log(2), "no preference"),
    ),
    Curve("margin of the rewards", {"training": "train_margin", "validation": "val_margin"}),
    Curve("share of pairs in order", {"training": "train_accuracy", "validation": "val_accuracy"}),
)


def read(path: Path, encoding: str) -> list[Entry]:
    """The pairs of a file; JSON is always UTF-8. Raises `UsageError`."""
    return read_preferences(path)


def plan(parts: Parts, base: Base, entries: list[Entry], chosen: Mapping[str, Any]) -> Plan:
    """As many tokens count as the context has room for."""
    context_length = base.settings.config["context_length"]
    short = fitting(entries, lengths(parts, base.tokenizer, entries), context_length)
    return Plan(context_length, len(split(short, chosen["seed"])[0]))


def lengths(parts: Parts, tokenizer: Any, entries: list[Entry]) -> list[int]:
    """How many places each pair takes: its prompt, the longer answer, and the end of text."""
    pairs = parts.module(EXERCISE).PreferenceDataset(entries, tokenizer)
    every = (pairs[number] for number in range(len(entries)))
    return [len(prompt) + max(len(chosen), len(rejected)) + 1 for prompt, chosen, rejected in every]


def history(parts: Parts, saved: dict[str, Any]) -> Any:
    """A new history, or the one that was saved."""
    dpo = parts.module(EXERCISE)
    evaluations = [dpo.DPOEvaluation(**evaluation) for evaluation in saved.get("evaluations", [])]
    return dpo.DPOHistory(**{**saved, "evaluations": evaluations})


def train(page: Page, job: Job, entries: list[Entry]) -> bool:
    """From the pairs to the table of what drifted apart. Returns whether it came to its end."""
    dpo, how, config = job.parts.module(EXERCISE), job.how, job.config
    reference = load_base(job.parts, how.base, page, job.device).model.to(job.device).requires_grad_(False)
    short = fitting(entries, lengths(job.parts, job.tokenizer, entries), how.max_length)
    halves = split(short, config.seed)
    collate = partial(dpo.collate_preferences, pad_token_id=job.end, max_length=how.max_length)
    train_loader, val_loader = loaders(
        halves, lambda half: dpo.PreferenceDataset(half, job.tokenizer), how.batch_size, collate
    )
    held_out = halves[1][:EXAMPLES]

    def rewards() -> list[tuple[float, float]]:
        pairs = dpo.PreferenceDataset(held_out, job.tokenizer)
        batch = collate([pairs[number] for number in range(len(held_out))])
        job.network.eval()
        with torch.no_grad():
            result = dpo.dpo_loss_batch(batch, job.network, reference, how.beta, job.device)
        return list(zip(result.chosen_rewards.tolist(), result.rejected_rewards.tolist(), strict=True))

    if "before" not in job.extra:
        job.extra["before"] = rewards()
    page.line(f"{shown(Path(how.data))}: {counted(entries, short, halves)} Beta is {how.beta:g}.")

    def loop(history: Any, on_step: Any) -> None:
        arguments = (job.network, reference, train_loader, val_loader, job.optimizer, config, how.beta, job.device)
        dpo.train_dpo(*arguments, on_step, history)

    per_epoch = job.parts.train.steps_per_epoch(len(train_loader), config.accumulate)
    title = f"preferences, from {shown(Path(how.data))}"
    finished = work(page, job, job.loop(loop, "pairs", per_epoch, title, COLUMNS, CURVES))
    if finished:
        _show_table(page, held_out, job.extra["before"], rewards())
    return finished


def _show_table(
    page: Page, entries: list[Entry], before: list[tuple[float, float]], after: list[tuple[float, float]]
) -> None:
    """Pairs that were held out, with the rewards of both answers before and after."""
    page.line()
    page.line(f"{'reward of an answer':<54}  {'before':>7} {'after':>7}", "bold")
    for entry, old, new in zip(entries, before, after, strict=True):
        page.line(shorten(" ".join(f"{entry['instruction']} {entry['input']}".split()), 70))
        for place, name in enumerate(("chosen", "rejected")):
            text = shorten(" ".join(entry[name].split()), 42)
            page.line(f"{name:<9} {text:<42}  {old[place]:>7.2f} {new[place]:>7.2f}", indent=2)
    page.line()


PREFERRING = Kind(
    PREFER,
    NEEDS,
    PREFERENCES,
    read,
    plan,
    history,
    train,
    next=("scripts.generate", '--instruction "…"'),
    drops=False,
)
