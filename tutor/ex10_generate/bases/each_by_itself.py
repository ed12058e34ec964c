import torch
from torch import Tensor, nn


def greedy(logits: Tensor) -> Tensor:
    return logits.argmax(dim=-1)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    return logits / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    smallest_kept = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    if not 0 < p <= 1:
        raise ValueError(f"p is {p}; it must be above 0 and at most 1")
    if p == 1:
        return logits.clone()
    ordered, places = logits.sort(dim=-1, descending=True)
    probabilities = torch.softmax(ordered, dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # what is reached without this token
    dropped = torch.zeros_like(places, dtype=torch.bool).scatter(-1, places, before >= p)  # each at its old place
    return logits.masked_fill(dropped, -torch.inf)


def generate_text_simple(model: nn.Module, ids: Tensor, max_new_tokens: int, context_length: int) -> Tensor:
    mode = model.training
    model.eval()
    try:
        with torch.no_grad():
            for _ in range(max_new_tokens):
                scores = model(ids[:, -context_length:])[:, -1, :]
                ids = torch.cat((ids, scores.max(dim=1, keepdim=True).indices), dim=1)
    finally:
        model.train(mode)
    return ids


def generate(
    model: nn.Module,
    ids: Tensor,
    max_new_tokens: int,
    context_length: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    mode = model.training
    model.eval()
    over = torch.zeros_like(ids[:, 0], dtype=torch.bool)
    try:
        with torch.no_grad():
            for _ in range(max_new_tokens):
                scores = model(ids[:, -context_length:])[:, -1, :]
                if temperature == 0:
                    column = scores.max(dim=1).indices
                else:
                    if temperature < 0:
                        raise ValueError(f"temperature {temperature} is not above 0")
                    if top_k is not None and top_k < 1:
                        raise ValueError(f"top_k {top_k} is not at least 1")
                    if top_p is not None and (top_p <= 0 or top_p > 1):
                        raise ValueError(f"top_p {top_p} is not above 0 and at most 1")
                    scores = scores / temperature
                    if top_k is not None:
                        limit = torch.topk(scores, min(top_k, scores.shape[1]), dim=1).values[:, -1:]
                        scores = torch.where(scores < limit, -torch.inf, scores)
                    if top_p is not None and top_p < 1:
                        ranked, order = torch.sort(scores, dim=1, descending=True)
                        shares = torch.softmax(ranked, dim=1)
                        beyond = torch.cumsum(shares, dim=1) - shares >= top_p
                        scores = torch.where(torch.zeros_like(beyond).scatter(1, order, beyond), -torch.inf, scores)
                    column = torch.multinomial(torch.softmax(scores, dim=1), 1, generator=generator).squeeze(1)
                if eos_id is not None:
                    column = torch.where(over, eos_id, column)
                    over = over | (column == eos_id)
                ids = torch.cat((ids, column.unsqueeze(1)), dim=1)
                if over.all():
                    break
    finally:
        model.train(mode)
    return ids
