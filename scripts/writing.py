"""Let a model write: from a prompt to text."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grader.errors import UsageError
from scripts.inputs.pieces import encoded
from scripts.inputs.vocabulary import END_OF_TEXT
from scripts.parts import Parts

NEW_TOKENS = 100
# Below this, dividing by it leaves the range of float32, and the likeliest token has all of the probability.
COLDEST = 1e-30
# Below this, a share is 0 in float32; the likeliest token stays alone long before.
SMALLEST_SHARE = 1e-30
REPLACEMENT = "\ufffd"  # what bytes that are no text, or not yet, are decoded to


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
    show: Callable[[str], None] | None = None,
) -> Written:
    """Go on with a prompt.

    Arguments
        model        a GPTModel, or with a cache a LlamaModel; where its weights are is where it computes
        prompt       an empty one begins after an end of text, which is left out again
        stop_at_end  whether an end of text ends the writing
        cached       by the generate of ex19, which keeps keys and values, or else by that of ex10
        show         is called with the text piece by piece, as it comes: the prompt first, then what is complete
    Raises
        UsageError: the prompt holds something that the tokenizer refuses, or nothing where no token stands for
            nothing; with a cache, it does not fit into the context together with what is to follow. Or the model's
            numbers are no longer finite.
    """
    ids = encoded_prompt(tokenizer, prompt)
    end = tokenizer.special_tokens.get(END_OF_TEXT)
    begun = ids or [end]
    if max(begun) >= model.cfg.vocab_size:
        raise UsageError(
            f"The tokenizer gives the id {max(begun)}, and the model has {model.cfg.vocab_size} tokens."
        )
    temperature = sampling.temperature if sampling.temperature >= COLDEST else 0.0
    top_p = None if sampling.top_p is None else max(sampling.top_p, SMALLEST_SHARE)
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(sampling.seed)
    choosing = (temperature, sampling.top_k, top_p, end if stop_at_end else None, generator)
    tensor = torch.tensor([begun], device=device)
    context_length = model.cfg.context_length
    shown = None if show is None else _Stream(tokenizer, ids, show)
    unused = _without_token(tokenizer, model.cfg.vocab_size)
    started = time.perf_counter()
    if cached:
        new_tokens = _fitting(sampling.new_tokens, context_length - len(begun), context_length)
        cache = parts.module("ex19_kv_cache")
        caching = model if hasattr(model, "new_caches") else cache.CachedGPT(model)
        listening = _Listening(caching, unused, shown)
        written = cache.generate_cached(listening, tensor, new_tokens, *choosing)[0].tolist()
    else:
        new_tokens = sampling.new_tokens or NEW_TOKENS
        listening = _Listening(model, unused, shown)
        written = parts.generate.generate(listening, tensor, new_tokens, context_length, *choosing)[0].tolist()
    seconds = time.perf_counter() - started
    followed = len(written) - len(begun)
    if stop_at_end and end in written[len(begun) :]:
        written = written[: written.index(end, len(begun))]
    text: str = tokenizer.decode(written[len(begun) - len(ids) :])
    if shown is not None:
        shown.finish(text)
    return Written(text, followed, followed / seconds)


def encoded_prompt(tokenizer: Any, prompt: str) -> list[int]:
    """The ids of a prompt. Raises `UsageError` where the tokenizer refuses it, or where nothing could begin."""
    ids = encoded(tokenizer, prompt)
    if not ids and END_OF_TEXT not in tokenizer.special_tokens:
        raise UsageError(
            "Without a prompt, a text begins after an end of text, and this vocabulary has none. Give a --prompt."
        )
    return ids


class _Listening(nn.Module):
    """A model as `generate` calls it, with two things between them.

    It says which token was chosen last, which is the last one that the next call brings. And ids for which there is
    no token, because a table of weights was rounded up, get a score of −∞, so that they are never chosen.

    Arguments
        model   the model, or one with caches
        unused  the ids for which there is no token
        shown   where chosen tokens go, or None
    """

    def __init__(self, model: Any, unused: Sequence[int], shown: _Stream | None) -> None:
        super().__init__()
        self.model = model
        self.cfg = model.cfg
        self.unused = torch.tensor(unused, dtype=torch.int64, device=next(model.parameters()).device)
        self.shown = shown
        self.has_begun = False
        self.train(model.training)

    def new_caches(self) -> Any:
        return self.model.new_caches()

    def forward(self, ids: Tensor, caches: Any = None) -> Tensor:
        if self.has_begun and self.shown is not None:
            self.shown.add(int(ids[0, -1]))
        self.has_begun = True
        logits: Tensor = self.model(ids) if caches is None else self.model(ids, caches)
        if not logits[:, -1].isfinite().all():
            raise UsageError(
                "The model computes NaN or infinite scores, so there is nothing to choose from. Its training went"
                " wrong: train another, with a lower --lr."
            )
        if len(self.unused):
            logits[:, -1, self.unused] = -torch.inf
        return logits


class _Stream:
    """Shows a text while its tokens come, up to the last character that is complete.

    A token may end within a character, whose bytes the next tokens complete. So the tokens since the last one that
    ended with a character are decoded together.
    """

    def __init__(self, tokenizer: Any, ids: Sequence[int], show: Callable[[str], None]) -> None:
        self._decode: Callable[[list[int]], str] = tokenizer.decode
        self._show = show
        self._length = 0  # of what was shown
        self._pending = list(ids)
        self._done = 0  # of the pending tokens' text, how many characters were shown
        self._advance()

    def add(self, number: int) -> None:
        """One more token."""
        self._pending.append(number)
        self._advance()

    def finish(self, text: str) -> None:
        """Show what is left of the whole text."""
        self._tell(text[self._length :])

    def _advance(self) -> None:
        text = self._decode(self._pending)
        complete = text.removesuffix(REPLACEMENT)  # only the last character can still become another
        self._tell(complete[self._done :])
        self._done = len(complete)
        if complete == text:
            self._pending, self._done = [], 0

    def _tell(self, piece: str) -> None:
        if piece:
            self._length += len(piece)
            self._show(piece)


def _without_token(tokenizer: Any, vocab_size: int) -> list[int]:
    """The ids below `vocab_size` for which the tokenizer has nothing to write."""
    known = {*tokenizer.ranks.values(), *tokenizer.special_tokens.values()}
    return [number for number in range(vocab_size) if number not in known]


def _fitting(wanted: int | None, room: int, context_length: int) -> int:
    """How many tokens to write with a cache, which cannot let go of the first ones."""
    if room < (wanted or 1):
        raise UsageError(
            f"With a cache, the prompt and what follows have to fit into the context of {context_length} tokens;"
            f" the prompt leaves room for {max(0, room)}. Ask for fewer --new-tokens, or leave --cache out."
        )
    return min(NEW_TOKENS, room) if wanted is None else wanted
