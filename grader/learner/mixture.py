"""A whole GPT before the course is done: what has passed is the learner's, the rest is the reference's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.course.outline import follow_imports
from grader.learner.history import Attempt
from grader.learner.submission import Unreadable, read_text
from grader.protocol.job import Source

# What each exercise is in a GPT, in a word or two.
PART_NAMES = {
    "ex00_tensors": "cross-entropy",
    "ex01_text": "text cleaning",
    "ex02_bpe_train": "merges",
    "ex03_bpe": "tokenizer",
    "ex04_data": "data windows",
    "ex05_embeddings": "embeddings",
    "ex06_attention": "attention",
    "ex07_multihead": "heads",
    "ex08_block": "block",
    "ex09_gpt": "model",
    "ex10_generate": "sampling",
    "ex11_loss": "loss",
    "ex12_optim": "optimizer",
    "ex13_train": "training loop",
    "ex14_weights": "checkpoints",
    "ex15_classify": "classifier",
    "ex16_instruct": "instructions",
    "ex17_lora": "LoRA",
    "ex18_dpo": "DPO",
    "ex19_kv_cache": "cache",
    "ex20_llama": "Llama",
    "ex21_scale": "several processes",
}


@dataclass(frozen=True)
class Mixture:
    """Modules of one package, by name. `own` are the exercises that are the learner's, in order; `changed` those
    that passed once, in a text that is no longer there."""

    sources: dict[str, Source]
    own: tuple[str, ...]
    changed: tuple[str, ...]


def mix(root: Path, folder: Path, wanted: Iterable[str], latest: Mapping[str, Attempt]) -> Mixture:
    """These exercises and all that they import.

    Arguments
        root    holds `solutions/`
        folder  holds the learner's files
        latest  the last graded attempt of each exercise: only the very text that passed is taken
    """
    own: set[str] = set()
    changed: set[str] = set()

    def read(name: str) -> Source | None:
        theirs, reference = folder / f"{name}.py", root / "solutions" / f"{name}.py"
        text = _text(theirs)
        if text is not None and not reference.exists():
            return Source(str(theirs), text)  # a module of the learner's own, that one of theirs imports
        attempt = latest.get(name)
        if attempt and attempt.passed:
            if text is not None and attempt.is_of(text):
                own.add(name)
                return Source(str(theirs), text)
            changed.add(name)
        return Source(str(reference), reference.read_text(encoding="utf-8")) if reference.exists() else None

    sources: dict[str, Source] = {}
    for name in wanted:
        if name not in sources:
            sources |= follow_imports(name, read)
    return Mixture(sources, tuple(sorted(own)), tuple(sorted(changed)))


def _text(path: Path) -> str | None:
    try:
        return read_text(path)
    except Unreadable:
        return None
