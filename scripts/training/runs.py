"""A run on disk: one folder with its settings, its tokenizer, its checkpoint and its loss curve."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from grader.errors import GraderError, UsageError
from grader.text import shorten
from scripts.entry import ROOT
from scripts.inputs.corpora import Corpus
from scripts.inputs.pieces import Bounded
from scripts.parts import Parts
from scripts.training import processes
from scripts.training.curves import LOSS, Curve, save_png
from scripts.training.storing import move_into_place, write_text, written_whole

RUNS = ROOT / "runs"
# The checkpoint from which a run goes on, and the one whose validation loss was the lowest.
CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
# In what torch says where a file cannot be written to its end.
TORCH_WRITES = ("inline_container", "PytorchStreamWriter")
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
    window: int | None = None  # tokens in a window; None: as many as the model sees


@dataclass(frozen=True)
class Finetuning:
    """What decides how a fine-tuning goes.

    task        one of TASKS
    base        the folder that it began from, or a checkpoint in it
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

    @property
    def how(self) -> TrainingSettings | Finetuning:
        """How it is trained, whichever it is."""
        how = self.training or self.finetuning
        assert how is not None
        return how


@dataclass(frozen=True)
class Run:
    """The folder of one run. `file` is the checkpoint that is read; the one that is written is always the same.

    Every file is written whole or not at all.
    """

    folder: Path
    file: str = CHECKPOINT

    @property
    def checkpoint(self) -> Path:
        return self.folder / self.file

    @property
    def best(self) -> Path:
        return self.folder / BEST

    @property
    def curve(self) -> Path:
        return self.folder / "loss.png"

    @property
    def history_file(self) -> Path:
        return self.folder / "history.json"

    @property
    def tokenizer_file(self) -> Path:
        return self.folder / "tokenizer.json"

    @property
    def settings_file(self) -> Path:
        return self.folder / "settings.json"

    @property
    def origin(self) -> Path:
        """What to name for this run and this checkpoint to be found again."""
        return (self.folder if self.file == CHECKPOINT else self.checkpoint).resolve()

    def files(self) -> list[Path]:
        """Those that a run has, as far as they are there."""
        names = (self.settings_file, self.folder / CHECKPOINT, self.best, self.tokenizer_file, self.history_file)
        return [path for path in (*names, self.curve) if os.path.lexists(path)]

    def begin(self, settings: Settings, tokenizer: Any) -> None:
        """Make the folder with what does not change. Raises `GraderError` where it cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GraderError(f"{self.folder} cannot be written to: {error.strerror}.") from error
        with written_whole(self.tokenizer_file) as beside:
            tokenizer.save(beside)
        self.keep(settings)

    def keep(self, settings: Settings) -> None:
        """Write the settings. Raises `GraderError`."""
        write_text(self.settings_file, json.dumps(asdict(settings), indent=1) + "\n")

    def save(
        self,
        parts: Parts,
        model: Any,
        optimizer: Any = None,
        history: Any = None,
        extra: Mapping[str, Any] | None = None,
        is_best: bool = False,
    ) -> None:
        """Write the checkpoint, with how far the training is and what else is known. Raises `GraderError`.

        `is_best` keeps it as the best one too, which later ones do not replace.
        """
        extra = {**(extra or {}), **({} if history is None else {"history": asdict(history)})}
        path = self.folder / CHECKPOINT
        try:
            with written_whole(path) as beside:
                parts.weights.save_checkpoint(beside, model, optimizer, extra)
                if is_best:  # first, so that a kill in between leaves a run that comes here once more
                    move_into_place(_second_name(beside), self.best)
        except RuntimeError as error:
            if not any(words in str(error) for words in TORCH_WRITES):
                raise
            raise GraderError(f"{path} could not be written: the disk is full, or it fails.") from error

    def note(self, history: Any) -> None:
        """Write what was measured, as numbers. Raises `GraderError`."""
        write_text(self.history_file, json.dumps(asdict(history), indent=1) + "\n")

    def draw(self, history: Any, title: str, curves: Sequence[Curve] = (LOSS,), per_epoch: int = 0) -> None:
        """Draw what was measured, as `save_png` does. Raises `GraderError`."""
        with written_whole(self.curve) as beside:
            save_png(history.evaluations, beside, title, curves, per_epoch)

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
            raise UsageError(f"{self.settings_file} cannot be read: {_said(error)}.") from error

    def tokenizer(self, parts: Parts) -> Any:
        """Raises `UsageError` where the file is missing or was not written by this tokenizer."""
        try:
            return Bounded(parts.bpe.BPETokenizer.load(self.tokenizer_file))
        except FileNotFoundError as error:
            raise UsageError(f"{self.folder} has no {self.tokenizer_file.name}, so it is no whole run.") from error
        except Exception as error:
            raise UsageError(f"{self.tokenizer_file} cannot be loaded: {_said(error)}.") from error

    def load(self, parts: Parts, model: Any, optimizer: Any = None) -> dict[str, Any]:
        """Put the checkpoint into model and optimizer; returns what was saved beside. Raises `UsageError`."""
        try:
            extra: dict[str, Any] = parts.weights.load_checkpoint(self.checkpoint, model, optimizer)
        except FileNotFoundError as error:
            raise UsageError(f"{self.folder} has no {self.file}: the run ended before there was one.") from error
        except Exception as error:
            raise UsageError(
                f"{self.checkpoint} cannot be loaded ({_said(error)}): it is damaged, or none of this run's."
            ) from error
        return extra

    def load_training(
        self, parts: Parts, model: Any, optimizer: Any, history: Callable[[Parts, dict[str, Any]], Any]
    ) -> tuple[Any, dict[str, Any]]:
        """As `load`; returns the history, made by `history` from what was saved, and what else was saved beside."""
        extra = self.load(parts, model, optimizer)
        try:
            return history(parts, extra.pop("history")), extra
        except (AttributeError, KeyError, TypeError) as error:
            raise UsageError(f"{self.checkpoint} says nothing of a training to go on with.") from error


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


def with_epochs(settings: Settings, epochs: int | None) -> Settings:
    """The settings of a training that is to go on to so many epochs; None: to as many as it has.

    Raises `UsageError` for fewer, and where it is the steps that end it.
    """
    how, before = settings.how, settings.how.loop["num_epochs"]
    if epochs is None or epochs == before:
        return settings
    if epochs < before:
        raise UsageError(
            f"This run has {before} epochs; --resume can raise their number, but not lower it to {epochs}."
        )
    if isinstance(how, TrainingSettings) and how.steps is not None:
        raise UsageError(f"This run ends after {how.steps} --steps, so more --epochs would not make it longer.")
    raised: Any = replace(how, loop={**how.loop, "num_epochs": epochs})
    return replace(settings, training=raised) if settings.training else replace(settings, finetuning=raised)


def longer(before: Settings, after: Settings) -> str:
    """What follows from more epochs, in words; nothing where there are no more."""
    if after == before:
        return ""
    old, new = before.how.loop["num_epochs"], after.how.loop["num_epochs"]
    return (
        f"Now {new} epochs instead of {old}. The learning rate falls over all of them, so from here on it is higher"
        f" than planned, and the run will not equal one that had {new} from the beginning."
    )


def chosen_run(out: str | None, name: str) -> Run:
    """The run to begin: the folder that was asked for, or a new one in `runs/` that is named after `name`.

    Raises `UsageError` where the folder holds a run already, or cannot be one.
    """
    if out is None:
        return new_run(name)
    run = Run(Path(out))
    if processes.rank() > 0:  # it is the first process that asks, and then begins
        return run
    if not out.strip():
        raise UsageError("--out names no folder.")
    try:
        there = [path.name for path in run.files()]
        if run.folder.exists() and not run.folder.is_dir():
            raise UsageError(f"{out} is a file. Name a new folder by --out.")
        if there:
            raise UsageError(
                f"{out} holds a run already ({there[0]}). Go on with it by --resume {out}, or take another --out."
            )
        above = next(path for path in (run.folder.absolute(), *run.folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=above):  # the only way to know whether something can be written there
            pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{shorten(out)} cannot be a folder for a run: {why}. Take another --out.") from error
    return run


def new_run(name: str) -> Run:
    """A run in `runs/`, named after the time and what it is about; a number follows where that is taken."""
    base = f"{time.strftime('%Y-%m-%d-%H%M%S')}-{name[:60]}"
    folder, number = RUNS / base, 1
    while folder.exists():
        number += 1
        folder = RUNS / f"{base}-{number}"
    return Run(folder)


def find_run(path: str) -> Run:
    """The run meant by its folder, its name in `runs/`, or one of its checkpoints. Raises `UsageError`."""
    given, file = Path(path), CHECKPOINT
    if given.name in (CHECKPOINT, BEST):
        given, file = given.parent, given.name
    try:
        if not given.exists() and (RUNS / given).exists():
            given = RUNS / given
    except (OSError, ValueError) as error:
        raise UsageError(f"{shorten(path)} is not a run: no folder can have such a name.") from error
    return Run(given, file)


def stopped_run(path: str) -> Run:
    """The run to go on with. Raises `UsageError` for a checkpoint from which none goes on."""
    run = find_run(path)
    if run.file != CHECKPOINT:
        raise UsageError(
            f"{path} is not where the run was stopped: --resume {shown(run.folder)} goes on from there, and"
            f" --from {path} begins a new run."
        )
    return run


def model_config(parts: Parts, settings: ModelSettings) -> Any:
    """The GPTConfig. Raises `UsageError` for settings that fit no model."""
    try:
        return parts.gpt.GPTConfig(**settings.config)
    except (ValueError, TypeError) as error:
        raise UsageError(f"There is no such model: {error}.") from error


def build_model(parts: Parts, settings: ModelSettings) -> Any:
    """A GPT of these settings, freshly initialised. Raises `UsageError` for settings that fit no model."""
    return parts.gpt.GPTModel(model_config(parts, settings), settings.tie_weights)


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


def _second_name(path: Path) -> Path:
    """The same file under another name beside it, so that it takes no room twice where the disk can do that."""
    other = path.with_name(BEST)
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)
    return other


def _said(error: Exception) -> str:
    """An error on one line."""
    return shorten(" ".join(f"{type(error).__name__}: {error}".split()), 160).rstrip(".")
