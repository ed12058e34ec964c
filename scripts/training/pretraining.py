"""Pretraining at the terminal: your data, model, optimizer and loop, from the text to the run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from grader.errors import UsageError
from grader.report.console import Page
from scripts.inputs import vocabulary
from scripts.inputs.corpora import Corpus, checksum, prompt_for, read_corpus
from scripts.inputs.pieces import Bounded, cut
from scripts.inputs.vocabulary import END_OF_TEXT
from scripts.parts import Parts
from scripts.training import processes
from scripts.training.curves import LOSS
from scripts.training.loop import Loop, carry_out
from scripts.training.networks import build_model, model_config
from scripts.training.runs import Run, shown
from scripts.training.settings import ModelSettings, Settings, TrainingSettings, longer, loop_settings, with_epochs
from scripts.training.speed import Pace, told
from scripts.training.view import LOSSES, Column
from scripts.writing import Sampling, encoded_prompt, write

if TYPE_CHECKING:
    from scripts.training.base import Base

# How much of a text the merges are learned from, in characters: more takes long, and changes few of them.
LEARNED_FROM = 2_000_000
# What --dtype may name.
DTYPES = {None: None, "float32": None, "bfloat16": torch.bfloat16}
COLUMNS = (Column("tokens", "tokens_seen", 10, ","), *LOSSES)


@dataclass(frozen=True)
class Data:
    """A text in tokens, ready to learn from. `guessing` is the loss of one who only knows how often each occurs."""

    train: Any
    val: Any
    characters: int
    tokens: int
    guessing: float


def load_data(parts: Parts, tokenizer: Any, text: str, context_length: int, batch_size: int) -> Data:
    """Split the text, encode both parts, cut windows: those for training overlap by half.

    An end of text between documents becomes its token, and no other token reaches across it. Raises `UsageError`
    where the text is too short for a batch of training or a window of validation.
    """
    if END_OF_TEXT in text and END_OF_TEXT not in tokenizer.special_tokens:
        raise UsageError(f"The text has {END_OF_TEXT} between documents, which this vocabulary has no token for.")
    train_ids, val_ids = (tokenizer.encode(part, {END_OF_TEXT}) for part in _split(parts, text))
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


def _split(parts: Parts, text: str) -> tuple[str, str]:
    """The part to learn from and the part to be tested on. An end of text on the border goes to the first."""
    train, val = parts.data.split_text_train_val(text)
    for length in range(1, len(END_OF_TEXT)):
        begun, rest = END_OF_TEXT[:length], END_OF_TEXT[length:]
        if train.endswith(begun) and val.startswith(rest):
            return train + rest, val.removeprefix(rest)
    return train, val


def entropy(ids: list[int]) -> float:
    """The mean surprise in nats of one who knows how often each token occurs and nothing else.

    Source: Shannon 1948, section 6.
    """
    counts = Counter(ids).values()
    return -sum(count / len(ids) * math.log(count / len(ids)) for count in counts)


def begin(
    parts: Parts,
    chosen: Mapping[str, Any],
    run: Run,
    corpus: Corpus,
    page: Page,
    device: torch.device,
    base: Base | None = None,
) -> bool:
    """Begin a run.

    Arguments
        chosen  the options of `scripts.train`, under the names of its DEFAULTS
        run     the folder to make
        base    the weights to begin with, which bring sizes and tokenizer along; None: a new GPT
    Returns
        whether it came to its end; otherwise it was stopped, and saved
    """
    text = read_corpus(corpus, parts)
    if base:
        tokenizer, model, window = base.tokenizer, base.settings, chosen["context_length"]
        model = replace(model, config={**model.config, "drop_rate": chosen["dropout"]})
    else:
        model_config(parts, _sizes(chosen, vocab_size=1))  # before minutes go by
        tokenizer, window = _tokenizer(parts, chosen, text, page), None
        model = _sizes(chosen, len(tokenizer.ranks) + len(tokenizer.special_tokens))
    prompt = prompt_for(corpus, text) if chosen["prompt"] is None else chosen["prompt"]
    encoded_prompt(tokenizer, prompt)
    data = _encoded(parts, tokenizer, text, chosen["context_length"], chosen["batch_size"], page)
    an_epoch = parts.train.steps_per_epoch(len(data.train), chosen["accumulate"])
    training = TrainingSettings(
        corpus=corpus,
        text_sha256=checksum(text),
        batch_size=chosen["batch_size"],
        weight_decay=chosen["weight_decay"],
        loop=loop_settings(chosen, min(an_epoch, chosen["steps"] or an_epoch), chosen["eval_batches"]),
        prompt=prompt,
        sample_tokens=chosen["sample_tokens"],
        threads=chosen["threads"],
        temperature=chosen["temperature"],
        top_k=chosen["top_k"],
        steps=chosen["steps"],
        dtype=chosen["dtype"],
        window=window,
    )
    return train(parts, Settings(model, training), data, tokenizer, run, page, device, base=base)


def _sizes(chosen: Mapping[str, Any], vocab_size: int) -> ModelSettings:
    return ModelSettings(
        config={
            "vocab_size": vocab_size,
            "context_length": chosen["context_length"],
            "emb_dim": chosen["emb_dim"],
            "n_heads": chosen["heads"],
            "n_layers": chosen["layers"],
            "drop_rate": chosen["dropout"],
            "qkv_bias": False,
        },
        tie_weights=not chosen["untied"],
    )


def _tokenizer(parts: Parts, chosen: Mapping[str, Any], text: str, page: Page) -> Any:
    """GPT-2's, or one that is learned from the beginning of the text."""
    if chosen["vocabulary"] != "own":
        return Bounded(vocabulary.gpt2(parts))
    source = text[:LEARNED_FROM]
    page.line(f"Learning {chosen['merges']:,} merges from {len(source):,} characters …")
    # What stands on both sides of an end of text is not merged, so one is put where a piece is too long.
    pieces = cut(source, parts.bpe_train.GPT2_PATTERN, [END_OF_TEXT])
    return Bounded(vocabulary.learned(parts, END_OF_TEXT.join(pieces), chosen["merges"]))


def _encoded(parts: Parts, tokenizer: Any, text: str, context_length: int, batch_size: int, page: Page) -> Data:
    page.line(f"Encoding {len(text):,} characters …")
    return load_data(parts, tokenizer, text, context_length, batch_size)


def go_on(parts: Parts, run: Run, page: Page, device: torch.device, epochs: int | None = None) -> bool:
    """Go on with a run where it was stopped, as if it had not been. Returns whether it came to its end.

    `epochs` is how many there are to be instead. Raises `UsageError` where there is nothing to go on with, or where
    its text has changed.
    """
    settings = run.settings()
    if settings.training is None:
        raise UsageError(f"{run.folder} is no training of `scripts.train` to go on with.")
    raised = with_epochs(settings, epochs)
    text = read_corpus(settings.training.corpus, parts)
    if checksum(text) != settings.training.text_sha256:
        raise UsageError(
            f"{run.folder}: the text has changed since this run began, so it cannot go on as if it had not."
        )
    tokenizer = run.tokenizer(parts)
    window = settings.training.window or settings.model.config["context_length"]
    data = _encoded(parts, tokenizer, text, window, settings.training.batch_size, page)
    return train(parts, raised, data, tokenizer, run, page, device, longer(settings, raised), resumed=True)


def train(
    parts: Parts,
    settings: Settings,
    data: Data,
    tokenizer: Any,
    run: Run,
    page: Page,
    device: torch.device,
    change: str = "",
    resumed: bool = False,
    base: Base | None = None,
) -> bool:
    """Train, showing what happens, until the end or a signal. Returns whether it came to its end.

    `change` says what differs in a resumed run from how it was begun.
    """
    training = settings.training
    assert training is not None
    torch.set_num_threads(training.threads)
    torch.manual_seed(training.loop["seed"])
    model = (base.copied(parts, settings.model) if base else build_model(parts, settings.model)).to(device)
    groups = parts.optim.param_groups(model, training.weight_decay)
    optimizer = parts.optim.AdamW(groups, lr=training.loop["max_lr"])
    config = parts.train.TrainConfig(**training.loop)
    history = parts.train.History()
    first = processes.rank() == 0
    if resumed:
        history, _ = run.load_training(parts, model, optimizer, history_from)
        if change and first:
            run.keep(settings)
            page.line(change)
    elif first:
        run.begin(settings, tokenizer)
    size = parts.gpt.count_parameters(model)
    page.line(f"Training {parts.owner} on {training.corpus.title}: {data.characters:,} characters,")
    page.line(
        f"{data.tokens:,} tokens. {size:,} parameters, on {_place(device, training.dtype)}, seed {config.seed}."
    )
    page.line(f"{shown(run.folder)}/ keeps the run. Ctrl-C saves it.")
    page.line()

    def sample(model: Any) -> str:
        # What is drawn depends on the seed and the epoch only, so a resumed run writes the same.
        seed = config.seed + len(history.samples)
        sampling = Sampling(training.sample_tokens, training.temperature, training.top_k, seed=seed)
        return write(parts, model, tokenizer, training.prompt, sampling, stop_at_end=False).text

    pace = Pace(history)
    dtype = DTYPES[training.dtype]

    def loop(history: Any, on_step: Any) -> None:
        if training.steps is not None and history.step >= training.steps:
            return

        arguments = (model, data.train, data.val, optimizer, config)
        if processes.started() == 1 and training.dtype is None:
            parts.train.train_model(*arguments, device, sample, on_step, history)
            return
        with processes.together(parts, device) as group:
            scale = parts.module("ex21_scale")
            with nullcontext() if first else processes.led(optimizer, training.steps, history.step):
                scale.train_ddp(*arguments, group, device, dtype, sample, on_step, history)

    if not first:
        loop(history, None)
        return True
    per_epoch = parts.train.steps_per_epoch(len(data.train), config.accumulate)
    what = Loop(
        loop,
        model,
        optimizer,
        pace,
        per_epoch,
        per_epoch * config.num_epochs,
        title=f"{training.corpus.title}, {size:,} parameters",
        columns=COLUMNS,
        curves=(replace(LOSS, baseline=(data.guessing, "frequencies alone")),),
        first_line=f"{data.guessing:>45.3f}  from token frequencies alone",
        stop_after=training.steps,
    )

    def save(history: Any, is_best: bool) -> None:
        run.save(parts, model, optimizer, history, is_best=is_best)

    finished = carry_out(page, run, what, history, save)
    if pace.count and parts.has("ex21_scale"):
        page.line(told(parts, model, pace, device, dtype or torch.float32, processes.started()))
    return finished


def _place(device: torch.device, dtype: str | None) -> str:
    """Where and in what it is computed, in words."""
    many = f" in {processes.started()} processes" if processes.started() > 1 else ""
    return device.type + (f" in {dtype}" if dtype else "") + many


def history_from(parts: Parts, saved: dict[str, Any]) -> Any:
    """The History that was saved beside a checkpoint; from {} a new one."""
    evaluations = [parts.train.Evaluation(**evaluation) for evaluation in saved.get("evaluations", [])]
    return parts.train.History(**{**saved, "evaluations": evaluations})
