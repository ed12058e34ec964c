"""A run on disk: one folder with its settings, its tokenizer, its checkpoint and its loss curve."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from grader.errors import GraderError, UsageError
from grader.learner.replace import write_whole
from scripts.entry import ROOT
from scripts.inputs.corpora import Corpus
from scripts.parts import Parts
from scripts.training.curves import LOSS, Curve, save_png

RUNS = ROOT / "runs"
CLASSIFY, INSTRUCT, PREFER = TASKS = ("classify", "instruct", "prefer")


@dataclass(frozen=True)
class ModelSettings:
    """The model: the fields of its GPTConfig, and whether the head is the token embedding."""

    config: dict[str, Any]
    tie_weights: bool = True


@dataclass(frozen=True)
class TrainingSettings:
    """Everything else that decides how the training goes; with the same settings it goes the same way."""

    corpus: Corpus
    text_sha256: str
    batch_size: int
    weight_decay: float
    threads: int
    loop: dict[str, Any]  # the fields of the TrainConfig
    prompt: str
    sample_tokens: int
    temperature: float
    top_k: int
    steps: int | None = None  # end after so many
    dtype: str | None = None  # in which forward and loss are computed; None: as the weights are


@dataclass(frozen=True)
class Finetuning:
    """What decides how a fine-tuning goes.

    task        one of TASKS
    base        the folder that it began from
    data        the file with the examples; `data_sha256` is what its bytes have to hash to, `encoding` how messages
                are written
    labels      of a classifier, in the order of its outputs
    max_length  how many tokens of an example count
    lora        rank and alpha of the adapters; None: all weights are trained
    beta        of DPO
    loop        the fields of the TrainConfig
    """

    task: str
    base: str
    data: str
    data_sha256: str
    max_length: int
    batch_size: int
    weight_decay: float
    threads: int
    loop: dict[str, Any]
    labels: list[str] = field(default_factory=list)
    encoding: str = "utf-8"
    lora: dict[str, Any] | None = None
    mask_prompt: bool = False
    beta: float = 0.1


@dataclass(frozen=True)
class Settings:
    """What is written to `settings.json`. Weights that were loaded have neither training nor fine-tuning."""

    model: ModelSettings
    training: TrainingSettings | None = None
    finetuning: Finetuning | None = None


@dataclass(frozen=True)
class Run:
    """The folder of one run."""

    folder: Path

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def curve(self) -> Path:
        return self.folder / "loss.png"

    @property
    def tokenizer_file(self) -> Path:
        return self.folder / "tokenizer.json"

    @property
    def settings_file(self) -> Path:
        return self.folder / "settings.json"

    def begin(self, settings: Settings, tokenizer: Any) -> None:
        """Make the folder with what does not change. Raises `GraderError` where it cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tokenizer.save(self.tokenizer_file)
        except OSError as error:
            raise GraderError(f"{self.folder} cannot be written to: {error.strerror}.") from error
        write_whole(self.settings_file, json.dumps(asdict(settings), indent=1) + "\n")

    def save(
        self,
        parts: Parts,
        model: Any,
        optimizer: Any = None,
        history: Any = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the checkpoint, with how far the training is and what else is known. Raises `GraderError`."""
        extra = {**(extra or {}), **({} if history is None else {"history": asdict(history)})}
        try:
            parts.weights.save_checkpoint(self.checkpoint, model, optimizer, extra)
        except OSError as error:
            raise GraderError(f"{self.checkpoint} could not be written: {error}.") from error

    def draw(self, history: Any, title: str, curves: Sequence[Curve] = (LOSS,)) -> None:
        """Write what was measured, as numbers and as a picture."""
        write_whole(self.folder / "history.json", json.dumps(asdict(history), indent=1) + "\n")
        save_png(history.evaluations, self.curve, title, curves)

    def settings(self) -> Settings:
        """Raises `UsageError` where this is no run."""
        try:
            entries = json.loads(self.settings_file.read_text(encoding="utf-8"))
            training = entries["training"]
            if training is not None:
                training = TrainingSettings(**{**training, "corpus": Corpus(**training["corpus"])})
            finetuning = entries.get("finetuning")
            if finetuning is not None:
                finetuning = Finetuning(**finetuning)
            return Settings(ModelSettings(**entries["model"]), training, finetuning)
        except FileNotFoundError as error:
            raise UsageError(f"{self.folder} is not a run: it has no settings.json. {_known_runs()}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.settings_file} cannot be read: {error}.") from error

    def tokenizer(self, parts: Parts) -> Any:
        """Raises `UsageError` where the file is missing or was not written by this tokenizer."""
        try:
            return parts.bpe.BPETokenizer.load(self.tokenizer_file)
        except Exception as error:
            raise UsageError(f"{self.tokenizer_file} cannot be loaded: {_said(error)}.") from error

    def load(self, parts: Parts, model: Any, optimizer: Any = None) -> dict[str, Any]:
        """Put the checkpoint into model and optimizer; returns what was saved beside. Raises `UsageError`."""
        try:
            extra: dict[str, Any] = parts.weights.load_checkpoint(self.checkpoint, model, optimizer)
        except FileNotFoundError as error:
            raise UsageError(f"{self.folder} has no checkpoint: it ended before the first.") from error
        except Exception as error:
            raise UsageError(f"{self.checkpoint} cannot be loaded: {_said(error)}.") from error
        return extra


def loop_settings(chosen: Mapping[str, Any], eval_every: int, eval_batches: int | None = None) -> dict[str, Any]:
    """The fields of a TrainConfig, from a script's options. `eval_every` is for where they do not say."""
    return {
        "num_epochs": chosen["epochs"],
        "max_lr": chosen["lr"],
        "min_lr": chosen["lr"] / 10,
        "warmup_steps": chosen["warmup"],
        "max_norm": chosen["max_norm"],
        "accumulate": chosen["accumulate"],
        "eval_every": chosen["eval_every"] or eval_every,
        "eval_batches": eval_batches,
        "seed": chosen["seed"],
    }


def new_run(name: str) -> Run:
    """A run in `runs/`, named after the time and what it is about; a number follows where that is taken."""
    base = f"{time.strftime('%Y-%m-%d-%H%M%S')}-{name}"
    folder, number = RUNS / base, 1
    while folder.exists():
        number += 1
        folder = RUNS / f"{base}-{number}"
    return Run(folder)


def find_run(path: str) -> Run:
    """The run meant by its folder, its name in `runs/`, or its checkpoint file."""
    given = Path(path)
    if given.name == "checkpoint.pt":
        given = given.parent
    if not given.exists() and (RUNS / path).exists():
        given = RUNS / path
    return Run(given)


def build_model(parts: Parts, settings: ModelSettings) -> Any:
    """A GPT of these settings, freshly initialised. Raises `UsageError` for settings that fit no model."""
    try:
        config = parts.gpt.GPTConfig(**settings.config)
    except (ValueError, TypeError) as error:
        raise UsageError(f"There is no such model: {error}.") from error
    return parts.gpt.GPTModel(config, settings.tie_weights)


def build_network(parts: Parts, settings: Settings, model: Any = None) -> Any:
    """What a run's checkpoint holds the weights of: a GPT, one with adapters, or a classifier.

    It is built around `model`, or around a new GPT. A fine-tuned one wants exercises beyond the first fifteen:
    `needed_by` names them.
    """
    network = build_model(parts, settings.model) if model is None else model
    finetuning = settings.finetuning
    if finetuning and finetuning.task == CLASSIFY:
        network = parts.module("ex15_classify").ClassifierGPT(network, len(finetuning.labels))
    if finetuning and finetuning.lora:
        parts.module("ex17_lora").replace_linear_with_lora(
            network, finetuning.lora["rank"], finetuning.lora["alpha"]
        )
    return network


def load_network(parts: Parts, run: Run, settings: Settings) -> Any:
    """A run's network with its weights, adapters merged. Raises `UsageError`."""
    network = build_network(parts, settings)
    run.load(parts, network)
    if settings.finetuning and settings.finetuning.lora:
        parts.module("ex17_lora").merge_lora(network)
    return network


def needed_by(settings: Settings) -> tuple[str, ...]:
    """The exercises that a run's network needs beyond those of every script."""
    finetuning = settings.finetuning
    needed = ["ex15_classify"] if finetuning and finetuning.task == CLASSIFY else []
    return (*needed, *(["ex17_lora"] if finetuning and finetuning.lora else []))


def shown(path: Path) -> str:
    """A path as short as it can be written from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _known_runs() -> str:
    folders = sorted(path.parent for path in RUNS.glob("*/settings.json"))
    if not folders:
        return "There is none yet: `scripts.train` makes one."
    return f"The latest is {shown(folders[-1])}."


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".")
