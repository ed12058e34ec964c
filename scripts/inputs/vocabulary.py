"""The tokenizer of a run: merges learned from the text itself, or GPT-2's vocabulary. Yours either way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grader.errors import GraderError
from grader.hub.byte_level import END_OF_TEXT, Vocabulary
from scripts.parts import Parts

__all__ = ["END_OF_TEXT", "gpt2", "learned", "tokenizer_of"]


def learned(parts: Parts, text: str, merges: int) -> Any:
    """A tokenizer of 256 bytes, up to `merges` merges learned from the text, and the end of text."""
    ranks, _ = parts.bpe_train.train_bpe(text, 256 + merges + 1, [END_OF_TEXT])
    return parts.bpe.BPETokenizer(ranks, {END_OF_TEXT: len(ranks)})


def gpt2(parts: Parts, instead: str = "`--vocabulary own` needs no network.") -> Any:
    """GPT-2's vocabulary, through tiktoken's cache or the network.

    Raises `GraderError` where neither has it; `instead` is what to do then.
    """
    import tiktoken

    try:
        encoding = tiktoken.get_encoding("gpt2")
    except Exception as error:  # whatever the network raises
        raise GraderError(
            "GPT-2's vocabulary is not in tiktoken's cache and could not be downloaded"
            f" ({type(error).__name__}). {instead}"
        ) from error
    return parts.bpe.BPETokenizer(encoding._mergeable_ranks, {END_OF_TEXT: encoding.eot_token})


def tokenizer_of(parts: Parts, vocabulary: Vocabulary | None, folder: Path) -> Any:
    """Your tokenizer on the vocabulary of a folder, or on tiktoken's where it has none."""
    if vocabulary is None:
        return gpt2(parts, f"The file tokenizer.json, put into {folder}, needs no network.")
    return parts.bpe.BPETokenizer(vocabulary.ranks, vocabulary.special_tokens)
