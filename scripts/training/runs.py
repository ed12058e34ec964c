"""A run on disk: one folder with its settings, its tokenizer, its checkpoint and its loss curve."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from grader.errors import GraderError, UsageError
from grader.text import shorten
from scripts.entry import ROOT
from scripts.inputs.corpora import Corpus
from scripts.inputs.pieces import Bounded
from scripts.parts import Parts
from scripts.training import processes
from scripts.training.curves import LOSS, Curve, save_png
from scripts.training.settings import Finetuning, ModelSettings, Settings, TrainingSettings
from scripts.training.storing import move_into_place, write_text, written_whole

RUNS = ROOT / "runs"
# The checkpoint from which a run goes on, and the one whose validation loss was the lowest.
CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
# In what torch says where a file cannot be written to its end.
TORCH_WRITES = ("inline_container", "PytorchStreamWriter")


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
            if (self.folder / "config.json").exists():
                raise UsageError(
                    f"{self.folder} is a model as the hub has it: `scripts.load_gpt2` makes a run of it."
                ) from error
            raise UsageError(f"{self.folder} is not a run: it has no settings.json. {_known_runs()}") from error
        except NotADirectoryError as error:
            raise UsageError(f"{self.folder} is a file. Name the folder of a run. {_known_runs()}") from error
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
            with warnings.catch_warnings(action="ignore"):
                extra: dict[str, Any] = parts.weights.load_checkpoint(self.checkpoint, model, optimizer)
        except FileNotFoundError as error:
            raise UsageError(f"{self.folder} has no {self.file}: the run ended before there was one.") from error
        except (UnpicklingError, EOFError) as error:  # whose text advises to run as code what is in the file
            raise UsageError(
                f"{self.checkpoint} is no checkpoint that torch reads: it is damaged, or holds more than tensors"
                " and plain values."
            ) from error
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
    first = " ".join(str(error).split()).split(". ")[0]
    return shorten(f"{type(error).__name__}: {first}", 240).rstrip(".")
