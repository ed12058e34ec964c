"""What a training begins from: a run of `scripts.train`, a GPT-2 folder, or a small GPT trained first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from grader.errors import UsageError
from grader.hub.gpt2_files import GPT2_ROWS
from grader.report.console import Page
from scripts.inputs.corpora import Corpus
from scripts.inputs.gpt2_folder import load_folder
from scripts.inputs.pieces import Bounded
from scripts.options import flag
from scripts.parts import Parts
from scripts.train import DEFAULTS
from scripts.training import pretraining
from scripts.training.finite import all_finite
from scripts.training.networks import build_model, load_network, needed_by
from scripts.training.runs import RUNS, Run, find_run, shown
from scripts.training.settings import CLASSIFY, ModelSettings

# Room for an instruction with its answer, and a minute of pretraining.
PRETRAINING = {**DEFAULTS, "context_length": 256, "epochs": 8, "batch_size": 4}
# An empty file in the folder of a pretraining that came to its end.
DONE = "done"


class NotPretrained(Exception):
    """The pretraining was stopped before its end. It is saved."""


@dataclass(frozen=True)
class Base:
    """A GPT to train on from, with its sizes and its tokenizer. `folder` may be a checkpoint in one."""

    folder: Path
    settings: ModelSettings
    model: Any
    tokenizer: Any

    def copied(self, parts: Parts, settings: ModelSettings) -> Any:
        """A GPT with these weights and other settings of the same sizes."""
        model = build_model(parts, settings)
        model.load_state_dict(self.model.state_dict())
        return model


def fitting_options(base: Base, given: Mapping[str, Any]) -> dict[str, Any]:
    """What options of `scripts.train` become where such weights are trained on.

    Arguments
        given  those that were given
    Raises
        UsageError: one contradicts the weights. Windows may be shorter than what the model sees; dropout is free.
    """
    config, tied = base.settings.config, base.settings.tie_weights
    fixed = {
        "vocabulary": "gpt2" if config["vocab_size"] in GPT2_ROWS else "own",
        "merges": config["vocab_size"] - 256 - 1,  # the bytes, and the end of text
        "emb_dim": config["emb_dim"],
        "layers": config["n_layers"],
        "heads": config["n_heads"],
        "untied": not tied,
    }
    for name, value in fixed.items():
        if given.get(name, value) != value:
            there = "has a tied head" if name == "untied" else f"has {value}"
            raise UsageError(f"{flag(name)} contradicts --from: that model {there}.")
    context_length = given.get("context_length", config["context_length"])
    if context_length > config["context_length"]:
        raise UsageError(f"--context-length contradicts --from: that model sees {config['context_length']} tokens.")
    return {"context_length": context_length, "dropout": given.get("dropout", config["drop_rate"])}


def base_needs(given: str | None) -> tuple[str, ...]:
    """The exercises that are needed to load such a base, beyond those of every script."""
    if given is None or _is_hub_folder(Path(given)):
        return ()
    return needed_by(find_run(given).settings())


def load_base(parts: Parts, given: str | None, page: Page, device: torch.device) -> Base:
    """Load what to begin from.

    Arguments
        given  a run, one of its checkpoints, or a folder with `config.json` and `model.safetensors`. None: the run
               that every fine-tuning without a choice begins from. Where it is not there, or not finished, it is
               trained first.
    Raises
        UsageError     the folder is neither, or is damaged, or not all of its numbers are finite
        NotPretrained  Ctrl-C ended the pretraining
    """
    if given is not None and _is_hub_folder(Path(given)):
        settings, model, tokenizer = load_folder(parts, Path(given))
        base = Base(Path(given).resolve(), settings, model, Bounded(tokenizer))
    else:
        run = find_run(given) if given is not None else _pretrained(parts, page, device)
        found = run.settings()
        if found.finetuning and found.finetuning.task == CLASSIFY:
            raise UsageError(f"{run.folder} is a classifier, and no longer a GPT to begin from.")
        base = Base(run.origin, found.model, load_network(parts, run, found), run.tokenizer(parts))
    if not all_finite(base.model.parameters()):
        raise UsageError(f"{base.folder}: not all of its weights are finite numbers, so nothing can begin from it.")
    return base


def _is_hub_folder(folder: Path) -> bool:
    try:
        return (folder / "config.json").exists() and not (folder / "settings.json").exists()
    except (OSError, ValueError):  # no folder can have such a name
        return False


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
