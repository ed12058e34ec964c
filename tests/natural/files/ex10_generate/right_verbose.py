# right: a class for the settings and one for the sampler, type hints, a buffer of the full length.
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

NEGATIVE_INFINITY: float = float("-inf")


@dataclass
class SamplingSettings:
    temperature: float
    top_k: int | None
    top_p: float | None
    generator: torch.Generator | None

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0


def greedy(logits: Tensor) -> Tensor:
    sorted_indices: Tensor = torch.argsort(logits, dim=-1, descending=True)
    return sorted_indices.select(dim=-1, index=0)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    if temperature <= 0:
        message: str = f"The temperature must be positive, but it is {temperature}."
        raise ValueError(message)
    inverse_scaled: Tensor = logits.clone().div_(temperature)
    return inverse_scaled


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    if k < 1:
        raise ValueError(f"k must be at least one, but it is {k}.")
    vocabulary_size: int = logits.shape[-1]
    descending: Tensor = torch.sort(logits, dim=-1, descending=True).values
    threshold: Tensor = descending[..., min(k, vocabulary_size) - 1].unsqueeze(-1)
    return torch.where(logits >= threshold, logits, torch.full_like(logits, NEGATIVE_INFINITY))


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    if p <= 0 or p > 1:
        raise ValueError(f"p must be in (0, 1], but it is {p}.")
    result: Tensor = logits.clone()
    if p == 1:
        return result
    probabilities: Tensor = torch.softmax(logits, dim=-1)
    order: Tensor = torch.argsort(probabilities, dim=-1, descending=True, stable=True)
    ordered: Tensor = torch.take_along_dim(probabilities, order, dim=-1)
    exclusive_sum: Tensor = torch.cat(
        [torch.zeros_like(ordered[..., :1]), torch.cumsum(ordered, dim=-1)[..., :-1]], dim=-1
    )
    is_dropped: Tensor = exclusive_sum >= p
    return result.scatter(-1, order, torch.take_along_dim(logits, order, dim=-1).masked_fill(is_dropped, NEGATIVE_INFINITY))


class Sampler:
    def __init__(self, settings: SamplingSettings) -> None:
        self.settings = settings

    def next_ids(self, logits: Tensor) -> Tensor:
        if self.settings.is_greedy:
            return greedy(logits)
        filtered: Tensor = apply_temperature(logits, self.settings.temperature)
        if self.settings.top_k is not None:
            filtered = keep_top_k(filtered, self.settings.top_k)
        if self.settings.top_p is not None:
            filtered = keep_top_p(filtered, self.settings.top_p)
        probabilities: Tensor = nn.Softmax(dim=-1)(filtered)
        drawn: Tensor = torch.multinomial(probabilities, num_samples=1, generator=self.settings.generator)
        return drawn.squeeze(dim=1)


def run(model: nn.Module, ids: Tensor, max_new_tokens: int, context_length: int, sampler: Sampler, eos_id: int | None) -> Tensor:
    batch_size, prompt_length = ids.shape
    buffer: Tensor = ids.new_zeros(batch_size, prompt_length + max_new_tokens)
    buffer[:, :prompt_length] = ids
    end: int = prompt_length
    has_ended: Tensor = torch.zeros_like(buffer[:, 0], dtype=torch.bool)
    was_training: bool = model.training
    model.eval()
    try:
        for end in range(prompt_length, prompt_length + max_new_tokens):
            begin: int = max(0, end - context_length)
            with torch.no_grad():
                logits: Tensor = model(buffer[:, begin:end])
            new: Tensor = sampler.next_ids(logits[:, end - begin - 1])
            if eos_id is not None:
                new[has_ended] = eos_id
                has_ended = has_ended | (new == eos_id)
            buffer[:, end] = new
            if has_ended.all().item():
                return buffer[:, : end + 1]
    finally:
        model.train(was_training)
    return buffer


def generate_text_simple(model: nn.Module, ids: Tensor, max_new_tokens: int, context_length: int) -> Tensor:
    return run(model, ids, max_new_tokens, context_length, Sampler(SamplingSettings(0, None, None, None)), None)


def generate(
    model: nn.Module, ids: Tensor, max_new_tokens: int, context_length: int, temperature: float = 0.0,
    top_k: int | None = None, top_p: float | None = None, eos_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    sampler = Sampler(SamplingSettings(temperature, top_k, top_p, generator))
    return run(model, ids, max_new_tokens, context_length, sampler, eos_id)
