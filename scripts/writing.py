"""Let a model write: from a prompt to text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from grader.errors import UsageError
from scripts.inputs.vocabulary import END_OF_TEXT
from scripts.parts import Parts


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Temperature 0 takes the most likely one, and nothing is drawn."""

    new_tokens: int
    temperature: float
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 123


def write(parts: Parts, model: Any, tokenizer: Any, prompt: str, sampling: Sampling, stop_at_end: bool) -> str:
    """The prompt and what follows it.

    Arguments
        model        a GPTModel; where its weights are is where it computes
        prompt       an empty one begins after an end of text, which is left out again
        stop_at_end  whether an end of text ends the writing
    Raises
        UsageError: the prompt holds something that the tokenizer refuses.
    """
    try:
        ids = tokenizer.encode(prompt)
    except ValueError as error:
        raise UsageError(f"This prompt cannot be encoded: {error}.") from error
    end = tokenizer.special_tokens.get(END_OF_TEXT)
    started_by_end = not ids and end is not None
    device = next(model.parameters()).device
    written = parts.generate.generate(
        model,
        torch.tensor([[end] if started_by_end else ids], device=device),
        sampling.new_tokens,
        model.cfg.context_length,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        eos_id=end if stop_at_end else None,
        generator=torch.Generator(device).manual_seed(sampling.seed),
    )[0].tolist()
    if stop_at_end and end in written[1:]:
        written = written[: written.index(end, 1)]
    text: str = tokenizer.decode(written[1:] if started_by_end else written)
    return text
