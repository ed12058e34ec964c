"""The tokenizer of a run: merges learned from the text itself, or GPT-2's vocabulary. Yours either way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grader.errors import GraderError, UsageError
from scripts.parts import Parts

END_OF_TEXT = "<|endoftext|>"
GPT2_SIZE = 50257


def learned(parts: Parts, text: str, merges: int) -> Any:
    """A tokenizer of 256 bytes, up to `merges` merges learned from the text, and the end of text."""
    ranks, _ = parts.bpe_train.train_bpe(text, 256 + merges + 1, [END_OF_TEXT])
    return parts.bpe.BPETokenizer(ranks, {END_OF_TEXT: len(ranks)})


def gpt2(parts: Parts) -> Any:
    """GPT-2's vocabulary, through tiktoken's cache or the network. Raises `GraderError` where neither has it."""
    import tiktoken

    try:
        encoding = tiktoken.get_encoding("gpt2")
    except Exception as error:  # whatever the network raises
        raise GraderError(
            "GPT-2's vocabulary is not in tiktoken's cache and could not be downloaded"
            f" ({type(error).__name__}). `--vocabulary own` needs no network."
        ) from error
    return parts.bpe.BPETokenizer(encoding._mergeable_ranks, {END_OF_TEXT: encoding.eot_token})


def from_folder(parts: Parts, folder: Path) -> Any:
    """The tokenizer that lies beside GPT-2's weights as `vocab.json`; without that file, tiktoken's.

    Raises `UsageError` for a file that is not such a vocabulary.
    """
    path = folder / "vocab.json"
    if not path.exists():
        return gpt2(parts)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        alphabet = {character: byte for byte, character in byte_characters().items()}
        ranks = {
            bytes(alphabet[character] for character in token): number
            for token, number in entries.items()
            if token != END_OF_TEXT
        }
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(f"{path} is not a vocabulary as GPT-2 has it.") from error
    specials = {END_OF_TEXT: entries[END_OF_TEXT]} if END_OF_TEXT in entries else {}
    return parts.bpe.BPETokenizer(ranks, specials)


def byte_characters() -> dict[int, str]:
    """The printable character by which GPT-2's files write each byte.

    Bytes that are printable in Latin-1 stand for themselves; the others, in order, are written by the
    characters from U+0100 on. Source: the file format of GPT-2's `vocab.json`, Radford et al. 2019.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
