"""One training run at the terminal: your data, model, optimizer and loop, and what is seen of them."""

from __future__ import annotations

import math
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grader.errors import UsageError
from grader.report.console import Page
from scripts.curves import as_text
from scripts.entry import INTERRUPTED
from scripts.parts import Parts
from scripts.runs import Run, Settings, build_model, shown
from scripts.writing import Sampling, write


@dataclass(frozen=True)
class Data:
    """A text in tokens, ready to learn from. `guessing` is the loss of one who only knows how often each occurs."""

    train: Any
    val: Any
    characters: int
    tokens: int
    guessing: float


class Stopped(Exception):
    """Ctrl-C was pressed, and the checkpoint has been written."""


def load_data(parts: Parts, tokenizer: Any, text: str, context_length: int, batch_size: int) -> Data:
    """Split the text, encode both parts, cut windows: those for training overlap by half.

    Raises `UsageError` where the text is too short for a batch of training or a window of validation.
    """
    train_ids, val_ids = (tokenizer.encode(part) for part in parts.data.split_text_train_val(text))
    stride = max(1, context_length // 2)
    generator = torch.Generator()
    train = parts.data.create_dataloader(train_ids, batch_size, context_length, stride, generator=generator)
    val = parts.data.create_dataloader(val_ids, batch_size, context_length, context_length, False, False)
    if not len(train) or not len(val):
        raise UsageError(
            f"The text has {len(train_ids)} tokens for training and {len(val_ids)} for validation: too few for"
            f" a batch of {batch_size} windows of {context_length}. Take a longer text, or a smaller"
            " --context-length or --batch-size."
        )
    ids = train_ids + val_ids
    return Data(train, val, len(text), len(ids), entropy(ids))


def entropy(ids: list[int]) -> float:
    """The mean surprise in nats of one who knows how often each token occurs and nothing else.

    Source: Shannon 1948, section 6.
    """
    counts = Counter(ids).values()
    return -sum(count / len(ids) * math.log(count / len(ids)) for count in counts)


def train(
    parts: Parts,
    settings: Settings,
    data: Data,
    tokenizer: Any,
    run: Run,
    device: torch.device,
    resumed: bool = False,
) -> int:
    """Train, showing what happens, until the end or Ctrl-C. Returns the exit code."""
    training = settings.training
    assert training is not None
    torch.set_num_threads(training.threads)
    torch.manual_seed(training.loop["seed"])
    model = build_model(parts, settings.model).to(device)
    groups = parts.optim.param_groups(model, training.weight_decay)
    optimizer = parts.optim.AdamW(groups, lr=training.loop["max_lr"])
    config = parts.train.TrainConfig(**training.loop)
    history = parts.train.History()
    if resumed:
        history = _history(parts, run.load(parts, model, optimizer))
    else:
        run.begin(settings, tokenizer)
    page = Page()
    size = parts.gpt.count_parameters(model)
    page.line(f"Training the GPT of {parts.folder}/ on {training.corpus.title}: {data.characters:,} characters,")
    page.line(f"{data.tokens:,} tokens. {size:,} parameters, on {device.type}, seed {config.seed}.")
    page.line(f"{shown(run.folder)}/ keeps the run. Ctrl-C saves it.")
    page.line()
    view = _View(page, data, config, parts)
    title = f"{training.corpus.title}, {size:,} parameters"
    with view.progress, _interrupts() as interrupted:
        view.begin(history)

        def sample(model: Any) -> str:
            # What is drawn depends on the seed and the epoch only, so a resumed run writes the same.
            seed = config.seed + len(history.samples)
            sampling = Sampling(training.sample_tokens, training.temperature, training.top_k, seed=seed)
            return write(parts, model, tokenizer, training.prompt, sampling, stop_at_end=False)

        def on_step(history: Any) -> None:
            new = view.show(history)
            if new or interrupted:
                run.save(parts, model, optimizer, history)
            if interrupted:
                raise Stopped

        try:
            parts.train.train_model(
                model, data.train, data.val, optimizer, config, device, sample, on_step, history
            )
            finished = True
        except Stopped:
            finished = False
    run.draw(history, title)
    return _finish(page, run, parts, history, finished)


def _history(parts: Parts, extra: dict[str, Any]) -> Any:
    """The History that was saved beside a checkpoint."""
    saved = extra["history"]
    evaluations = [parts.train.Evaluation(**evaluation) for evaluation in saved["evaluations"]]
    return parts.train.History(**{**saved, "evaluations": evaluations})


@contextmanager
def _interrupts() -> Iterator[list[bool]]:
    """Within the block the first Ctrl-C only fills the list, so that no step is cut in two; the second ends."""
    pressed: list[bool] = []

    def note(number: int, frame: FrameType | None) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class _View:
    """What is shown while training: a bar, a line for each evaluation, the samples."""

    def __init__(self, page: Page, data: Data, config: Any, parts: Parts) -> None:
        self.page = page
        self.data = data
        self.per_epoch = parts.train.steps_per_epoch(len(data.train), config.accumulate)
        self.total = self.per_epoch * config.num_epochs
        self.evaluations = 0
        self.samples = 0
        self.progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=30),
            TimeRemainingColumn(),
            console=page.console,
            transient=True,
        )

    def begin(self, history: Any) -> None:
        """Head the columns, and note what an earlier part of this run has shown already."""
        self.task = self.progress.add_task("", total=self.total, completed=history.step)
        self.evaluations, self.samples = len(history.evaluations), len(history.samples)
        self.page.line(f"{'epoch':>5} {'step':>6} {'tokens':>10} {'training':>9} {'validation':>11}")
        if history.step:
            self.page.line(f"Going on after step {history.step}.")
        else:
            self.page.line(f"{self.data.guessing:>45.3f}  from token frequencies alone")

    def show(self, history: Any) -> bool:
        """Show what is new. Returns whether anything was."""
        self.progress.update(self.task, completed=history.step)
        new_evaluations = history.evaluations[self.evaluations :]
        new_samples = history.samples[self.samples :]
        for e in new_evaluations:
            epoch = math.ceil(e.step / self.per_epoch)
            losses = f"{e.train_loss:>9.3f} {e.val_loss:>11.3f}"
            self.page.line(f"{epoch:>5} {e.step:>6} {e.tokens_seen:>10,} {losses}", "bold")
        for sample in new_samples:
            self.page.line(" ".join(sample.split()), indent=6)
        self.evaluations, self.samples = len(history.evaluations), len(history.samples)
        return bool(new_evaluations or new_samples)


def _finish(page: Page, run: Run, parts: Parts, history: Any, finished: bool) -> int:
    page.line()
    for line in as_text(history.evaluations, width=min(64, page.console.width - 10)):
        page.line(line)
    page.line()
    folder = shown(run.folder)
    page.line(f"The curve: {shown(run.curve)}")
    if finished:
        page.line("Let it write:")
        print("  " + parts.command("scripts.generate", f'--checkpoint {folder} --prompt "…"'))
        return 0
    page.line(f"Stopped after step {history.step}, and saved. Go on with:")
    print("  " + parts.command("scripts.train", f"--resume {folder}"))
    return INTERRUPTED
