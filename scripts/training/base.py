"""What a fine-tuning begins from: a run of `scripts.train`, a GPT-2 folder, or a small GPT trained first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from grader.errors import UsageError
from grader.report.console import Page
from scripts.inputs.corpora import Corpus
from scripts.inputs.gpt2_folder import load_folder
from scripts.parts import Parts
from scripts.train import DEFAULTS
from scripts.training import pretraining
from scripts.training.runs import (
    CLASSIFY,
    RUNS,
    ModelSettings,
    Run,
    find_run,
    load_network,
    needed_by,
    shown,
)

# Room for an instruction with its answer, and a minute of pretraining.
PRETRAINING = {**DEFAULTS, "context_length": 256, "epochs": 8, "batch_size": 4}
# An empty file in the folder of a pretraining that came to its end.
DONE = "done"


class NotPretrained(Exception):
    """The pretraining was stopped before its end. It is saved."""


@dataclass(frozen=True)
class Base:
    """A GPT to fine-tune, with its sizes, its tokenizer and the folder that it came from."""

    folder: Path
    settings: ModelSettings
    model: Any
    tokenizer: Any


def base_needs(given: str | None) -> tuple[str, ...]:
    """The exercises that are needed to load such a base, beyond those of every script."""
    if given is None or _is_hub_folder(Path(given)):
        return ()
    return needed_by(find_run(given).settings())


def load_base(parts: Parts, given: str | None, page: Page, device: torch.device) -> Base:
    """Load what to begin from.

    Arguments
        given  a run, or a folder with `config.json` and `model.safetensors`. None: the run that every fine-tuning
               without a choice begins from. Where it is not there, or not finished, it is trained first.
    Raises
        UsageError     the folder is neither, or is damaged
        NotPretrained  Ctrl-C ended the pretraining
    """
    if given is not None and _is_hub_folder(Path(given)):
        settings, model, tokenizer = load_folder(parts, Path(given))
        return Base(Path(given).resolve(), settings, model, tokenizer)
    run = find_run(given) if given is not None else _pretrained(parts, page, device)
    found = run.settings()
    if found.finetuning and found.finetuning.task == CLASSIFY:
        raise UsageError(f"{run.folder} is a classifier, and no longer a GPT to begin from.")
    return Base(run.folder.resolve(), found.model, load_network(parts, run, found), run.tokenizer(parts))


def _is_hub_folder(folder: Path) -> bool:
    return (folder / "config.json").exists() and not (folder / "settings.json").exists()


def _pretrained(parts: Parts, page: Page, device: torch.device) -> Run:
    """The default: a small GPT, trained on the story, once."""
    run = Run(RUNS / f"pretrained-{parts.folder}")
    if (run.folder / DONE).exists():
        return run
    if run.checkpoint.exists():
        page.line(f"The pretraining in {shown(run.folder)}/ was stopped. First it goes on.")
        finished = pretraining.go_on(parts, run, page, device)
    else:
        page.line("There is no pretrained GPT yet, so one is trained first, once: about a minute.")
        finished = pretraining.begin(parts, PRETRAINING, run, Corpus(), page, device)
    page.line()
    if not finished:
        raise NotPretrained(shown(run.folder))
    (run.folder / DONE).touch()
    return run
