"""What is written to a run's `settings.json`: the model, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from grader.errors import UsageError
from scripts.inputs.corpora import Corpus

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
