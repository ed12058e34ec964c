"""Let a model write: from a prompt to text."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from grader.errors import UsageError
from scripts.inputs.vocabulary import END_OF_TEXT
from scripts.parts import Parts

NEW_TOKENS = 100


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Temperature 0 takes the most likely one, and nothing is drawn.

    `new_tokens` is how many there are at most. None means 100, or with a cache as many as fit into the context.
    """

    new_tokens: int | None
    temperature: float
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 123


@dataclass(frozen=True)
class Written:
    """A prompt and what followed it, how many tokens followed, and how many of them a second."""

    text: str
    new_tokens: int
    speed: float


def write(
    parts: Parts,
    model: Any,
    tokenizer: Any,
    prompt: str,
    sampling: Sampling,
    stop_at_end: bool,
    cached: bool = False,
) -> Written:
    """Go on with a prompt.

    Arguments
        model        a GPTModel, or with a cache a LlamaModel; where its weights are is where it computes
        prompt       an empty one begins after an end of text, which is left out again
        stop_at_end  whether an end of text ends the writing
        cached       by the generate of ex19, which keeps keys and values, or else by that of ex10
    Raises
        UsageError: the prompt holds something that the tokenizer refuses, or does not fit into the context together
            with what is to follow, where a cache is used.
    """
    try:
        ids = tokenizer.encode(prompt)
    except ValueError as error:
        raise UsageError(f"This prompt cannot be encoded: {error}.") from error
    end = tokenizer.special_tokens.get(END_OF_TEXT)
    started_by_end = not ids and end is not None
    begun = [end] if started_by_end else ids
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(sampling.seed)
    choosing = (sampling.temperature, sampling.top_k, sampling.top_p, end if stop_at_end else None, generator)
    tensor = torch.tensor([begun], device=device)
    context_length = model.cfg.context_length
    started = time.perf_counter()
    if cached:
        new_tokens = _fitting(sampling.new_tokens, context_length - len(begun), context_length)
        cache = parts.module("ex19_kv_cache")
        caching = model if hasattr(model, "new_caches") else cache.CachedGPT(model)
        written = cache.generate_cached(caching, tensor, new_tokens, *choosing)[0].tolist()
    else:
        new_tokens = sampling.new_tokens or NEW_TOKENS
        written = parts.generate.generate(model, tensor, new_tokens, context_length, *choosing)[0].tolist()
    seconds = time.perf_counter() - started
    followed = len(written) - len(begun)
    if stop_at_end and end in written[len(begun) :]:
        written = written[: written.index(end, len(begun))]
    text: str = tokenizer.decode(written[1:] if started_by_end else written)
    return Written(text, followed, followed / seconds)


def _fitting(wanted: int | None, room: int, context_length: int) -> int:
    """How many tokens to write with a cache, which cannot let go of the first ones."""
    if room < (wanted or 1):
        raise UsageError(
            f"With a cache, the prompt and what follows have to fit into the context of {context_length} tokens;"
            f" the prompt leaves room for {max(0, room)}. Ask for fewer --new-tokens, or leave --cache out."
        )
    return min(NEW_TOKENS, room) if wanted is None else wanted
