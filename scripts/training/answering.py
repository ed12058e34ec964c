"""Learning to answer instructions, with your ex16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from grader.report.console import Page
from grader.text import shorten
from scripts.inputs.instructions import INSTRUCTIONS, read_instructions
from scripts.parts import Parts
from scripts.training.base import Base
from scripts.training.curves import LOSS
from scripts.training.finetuning import Job, Kind, Plan, work
from scripts.training.halves import Entry, counted, fitting, loaders, split
from scripts.training.pretraining import entropy, history_from
from scripts.training.runs import shown
from scripts.training.settings import INSTRUCT
from scripts.training.view import LOSSES, Column
from scripts.writing import Sampling, write

EXERCISE = "ex16_instruct"
NEEDS = ("ex15_classify", EXERCISE)
EXAMPLES = 4
ANSWER = Sampling(new_tokens=40, temperature=0.0)
COLUMNS = (Column("tokens", "tokens_seen", 10, ","), *LOSSES)


def read(path: Path, encoding: str) -> list[Entry]:
    """The entries of a file; JSON is always UTF-8. Raises `UsageError`."""
    return read_instructions(path)


def plan(parts: Parts, base: Base, entries: list[Entry], chosen: Mapping[str, Any]) -> Plan:
    """As many tokens count as the context has room for."""
    context_length = base.settings.config["context_length"]
    short = fitting(entries, lengths(parts, base.tokenizer, entries), context_length)
    return Plan(context_length, len(split(short, chosen["seed"])[0]))


def lengths(parts: Parts, tokenizer: Any, entries: list[Entry]) -> list[int]:
    """How many places each entry takes: all its tokens are inputs, and its end of text is a target only."""
    encoded = parts.module(EXERCISE).InstructionDataset(entries, tokenizer)
    return [len(encoded[number][0]) for number in range(len(entries))]


def train(page: Page, job: Job, entries: list[Entry]) -> bool:
    """From the entries to the table of answers. Returns whether it came to its end."""
    instruct, how, config = job.parts.module(EXERCISE), job.how, job.config
    short = fitting(entries, lengths(job.parts, job.tokenizer, entries), how.max_length)
    halves = split(short, config.seed)
    collate = partial(
        instruct.collate, pad_token_id=job.end, max_length=how.max_length, mask_prompt=how.mask_prompt
    )
    train_loader, val_loader = loaders(
        halves, lambda half: instruct.InstructionDataset(half, job.tokenizer), how.batch_size, collate
    )
    held_out = halves[1][:EXAMPLES]
    if "before" not in job.extra:
        job.extra["before"] = [answer(job, entry) for entry in held_out]
    page.line(f"{shown(Path(how.data))}: {counted(entries, short, halves)}")

    def sample(model: Any) -> str:
        return f"{held_out[0]['instruction']} {held_out[0]['input']} → {answer(job, held_out[0])}"

    def loop(history: Any, on_step: Any) -> None:
        instruct.train_instruct(
            job.network, train_loader, val_loader, job.optimizer, config, job.device, sample, on_step, history
        )

    per_epoch = job.parts.train.steps_per_epoch(len(train_loader), config.accumulate)
    title = f"instructions, from {shown(Path(how.data))}"
    guessing = entropy(_counting(train_loader.dataset, how.mask_prompt))
    curve = replace(LOSS, baseline=(guessing, "frequencies alone"))
    finished = work(page, job, job.loop(loop, "tokens", per_epoch, title, COLUMNS, [curve]))
    if finished:
        show_answers(page, held_out, "output", job.extra["before"], [answer(job, entry) for entry in held_out])
    return finished


def _counting(items: Any, mask_prompt: bool) -> list[int]:
    """The tokens of the entries that are learned, but for the ends of the texts."""
    every = (items[number] for number in range(len(items)))
    return [token for ids, prompt_length in every for token in (ids[prompt_length:] if mask_prompt else ids)]


def answer(job: Job, entry: Entry) -> str:
    """What the network answers, taking the likeliest token each time; without what was asked."""
    instruct = job.parts.module(EXERCISE)
    prompt = instruct.format_prompt(entry)
    begun = prompt + instruct.RESPONSE_HEADING
    text = write(job.parts, job.network, job.tokenizer, begun, ANSWER, stop_at_end=True).text
    said: str = instruct.extract_response(text, prompt)
    return said


def show_answers(
    page: Page, entries: Sequence[Entry], wanted: str, before: Sequence[str], after: Sequence[str]
) -> None:
    """What was asked, what was wanted, and what was said before and after."""
    page.line()
    for entry, *both in zip(entries, before, after, strict=True):
        page.line(" ".join(f"{entry['instruction']} {entry['input']}".split()), "bold")
        for name, text in zip(("wanted", "before", "after"), (entry[wanted], *both), strict=True):
            page.line(f"{name:<8}{shorten(' '.join(text.split()), 68)}", indent=2)
    page.line()


ANSWERING = Kind(
    INSTRUCT, NEEDS, INSTRUCTIONS, read, plan, history_from, train, next=("scripts.generate", '--instruction "…"')
)
