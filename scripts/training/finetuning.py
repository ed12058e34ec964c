"""Fine-tuning at the terminal, whatever is learned: how it begins, goes on, and ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from grader.errors import UsageError
from grader.report.console import Page
from scripts.entry import INTERRUPTED
from scripts.inputs.rows import digest
from scripts.inputs.vocabulary import END_OF_TEXT
from scripts.parts import Parts, load_parts
from scripts.training.base import Base, NotPretrained, base_needs, load_base
from scripts.training.curves import LOSS, Curve
from scripts.training.devices import choose_device
from scripts.training.loop import Loop, OnStep, carry_out
from scripts.training.networks import build_network
from scripts.training.runs import Run, chosen_run, shown, stopped_run
from scripts.training.settings import Finetuning, Settings, longer, loop_settings, with_epochs
from scripts.training.speed import Pace
from scripts.training.view import Column

Examples = list[Any]


@dataclass(frozen=True)
class Job:
    """One fine-tuning, ready to go on from where it stands.

    network    what is trained, on `device`
    optimizer  over what trains in it
    extra      what the checkpoint keeps beside the history: plain values
    """

    parts: Parts
    run: Run
    settings: Settings
    network: Any
    tokenizer: Any
    optimizer: Any
    history: Any
    extra: dict[str, Any]
    device: torch.device

    @property
    def how(self) -> Finetuning:
        assert self.settings.finetuning is not None
        return self.settings.finetuning

    @property
    def config(self) -> Any:
        """The TrainConfig."""
        return self.parts.train.TrainConfig(**self.how.loop)

    @property
    def end(self) -> int:
        """The id that ends a text, and pads."""
        return end_id(self.tokenizer)

    def loop(
        self,
        train: Callable[[Any, OnStep], Any],
        unit: str,
        per_epoch: int,
        title: str,
        columns: Sequence[Column],
        curves: Sequence[Curve] = (LOSS,),
    ) -> Loop:
        """What `work` carries out. `unit` is what the history counts: tokens, for instance."""
        total = per_epoch * self.config.num_epochs
        pace = Pace(self.history, unit)
        return Loop(train, self.network, self.optimizer, pace, per_epoch, total, title, columns, curves)


@dataclass(frozen=True)
class Plan:
    """What a kind of fine-tuning makes of the examples: how many tokens of one count, how many make an epoch."""

    max_length: int
    examples: int
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Kind:
    """One kind of fine-tuning.

    task      its name in a run's settings
    needs     the exercises that it needs beyond those of every script
    data      the file with its examples where none is named
    read      takes a file and its encoding, returns the examples
    plan      takes parts, base, examples and the options
    history   makes the exercise's history from what a checkpoint holds; from {} a new one
    train     takes page, job and examples; returns whether it came to its end
    next      script and arguments to go on with
    drops     whether dropout is at work
    """

    task: str
    needs: tuple[str, ...]
    data: Path
    read: Callable[[Path, str], Examples]
    plan: Callable[[Parts, Base, Examples, Mapping[str, Any]], Plan]
    history: Callable[[Parts, dict[str, Any]], Any]
    train: Callable[[Page, Job, Examples], bool]
    next: tuple[str, str]
    drops: bool = True


def finetune(script: str, kinds: Mapping[str, Kind], chosen: Mapping[str, Any]) -> int:
    """Begin, or go on with `chosen["resume"]`. Returns the exit code.

    Arguments
        script  what stands after `python -m`
        kinds   those that this script can do, by their tasks
        chosen  its options, and `task`: which of the kinds to begin, and `raised`: to how many epochs to go on
    """
    page = Page()
    device = choose_device(chosen["device"])
    try:
        if chosen["resume"] is not None:
            kind, job, examples = _resumed(script, kinds, chosen, page, device)
        else:
            kind = kinds[chosen["task"]]
            job, examples = _begun(script, kind, chosen, page, device)
    except NotPretrained as stopped:
        page.line(f"Stopped, and saved in {stopped}/. The same command goes on.")
        return INTERRUPTED
    finished = kind.train(page, job, examples)
    folder = shown(job.run.folder)
    if finished:
        page.line("Go on with:")
        print("  " + job.parts.command(kind.next[0], f"--checkpoint {folder} {kind.next[1]}"))
        return 0
    page.line(f"Stopped after step {job.history.step}, and saved. Go on with:")
    print("  " + job.parts.command(script, f"--resume {folder}"))
    return INTERRUPTED


def _begun(
    script: str, kind: Kind, chosen: Mapping[str, Any], page: Page, device: torch.device
) -> tuple[Job, Examples]:
    data = kind.data if chosen["data"] is None else Path(chosen["data"]).resolve()
    run = chosen_run(chosen["out"], f"{kind.task}-{data.stem}")
    lora = {"rank": chosen["lora_rank"], "alpha": chosen["lora_alpha"]} if chosen.get("lora") else None
    needs = {*kind.needs, *base_needs(chosen["base"]), *(["ex17_lora"] if lora else [])}
    parts = load_parts(chosen["using"], script, *sorted(needs))
    examples = kind.read(data, chosen["encoding"])  # what is wrong with it is said before a minute of pretraining
    base = load_base(parts, chosen["base"], page, device)
    page.line(f"Encoding {len(examples):,} examples …")
    plan = kind.plan(parts, base, examples, chosen)
    per_epoch = parts.train.steps_per_epoch(-(-plan.examples // chosen["batch_size"]), chosen["accumulate"])
    how = Finetuning(
        task=kind.task,
        base=str(base.folder),
        data=str(data),
        data_sha256=digest(data),
        encoding=chosen["encoding"],
        max_length=plan.max_length,
        batch_size=chosen["batch_size"],
        weight_decay=chosen["weight_decay"],
        threads=chosen["threads"],
        loop=loop_settings(chosen, per_epoch),
        labels=list(plan.labels),
        lora=lora,
        mask_prompt=chosen.get("mask_prompt", False),
        beta=chosen.get("beta", 0.0),
    )
    sizes = base.settings
    if not kind.drops:
        sizes = replace(sizes, config={**sizes.config, "drop_rate": 0.0})
    settings = Settings(sizes, finetuning=how)
    _seed(how)
    network = build_network(parts, settings, base.copied(parts, sizes)).to(device)
    run.begin(settings, base.tokenizer)
    history = kind.history(parts, {})
    optimizer = _optimizer(parts, network, how)
    return Job(parts, run, settings, network, base.tokenizer, optimizer, history, {}, device), examples


def _resumed(
    script: str, kinds: Mapping[str, Kind], chosen: Mapping[str, Any], page: Page, device: torch.device
) -> tuple[Kind, Job, Examples]:
    """Where a run stands; the random state comes back with its checkpoint."""
    run = stopped_run(chosen["resume"])
    begun = run.settings()
    how = begun.finetuning
    if how is None or how.task not in kinds:
        raise UsageError(f"{run.folder} is no run of this script to go on with.")
    settings = with_epochs(begun, chosen["raised"])
    kind = kinds[how.task]
    parts = load_parts(chosen["using"], script, *kind.needs, *(["ex17_lora"] if how.lora else []))
    data = Path(how.data)
    if digest(data) != how.data_sha256:
        raise UsageError(f"{data} has changed since this run began, so it cannot go on as if it had not.")
    _seed(how)
    network = build_network(parts, settings).to(device)
    optimizer = _optimizer(parts, network, how)
    history, extra = run.load_training(parts, network, optimizer, kind.history)
    if settings != begun:
        run.keep(settings)
        page.line(longer(begun, settings))
    job = Job(parts, run, settings, network, run.tokenizer(parts), optimizer, history, extra, device)
    return kind, job, kind.read(data, how.encoding)


def work(page: Page, job: Job, loop: Loop) -> bool:
    """Train until the end or Ctrl-C, showing what happens. Returns whether it came to its end."""
    total = job.parts.gpt.count_parameters(job.network)
    trained = sum(parameter.numel() for parameter in job.network.parameters() if parameter.requires_grad)
    share = f"{trained:,} of {total:,} parameters are trained ({trained / total:.1%})"
    page.line(f"{share}, on {job.device.type}, seed {job.config.seed}.")
    page.line(f"{shown(job.run.folder)}/ keeps the run. Ctrl-C saves it.")
    page.line()

    def save(history: Any, is_best: bool) -> None:
        job.run.save(job.parts, job.network, job.optimizer, history, job.extra, is_best)

    return carry_out(page, job.run, loop, job.history, save)


def end_id(tokenizer: Any) -> int:
    """The id of the end of a text, which pads as well. Raises `UsageError` where the vocabulary has none."""
    if END_OF_TEXT not in tokenizer.special_tokens:
        raise UsageError(f"The vocabulary has no {END_OF_TEXT}, which ends and pads the examples.")
    found: int = tokenizer.special_tokens[END_OF_TEXT]
    return found


def _seed(how: Finetuning) -> None:
    torch.set_num_threads(how.threads)
    torch.manual_seed(how.loop["seed"])


def _optimizer(parts: Parts, network: Any, how: Finetuning) -> Any:
    groups = parts.optim.param_groups(network, how.weight_decay)
    return parts.optim.AdamW(groups, lr=how.loop["max_lr"])
