# right: the way of a large library: warpers, a mask that is moved by one, an unfinished-rows tensor of ints.
import torch
from torch import nn, Tensor


def greedy(logits: Tensor) -> Tensor:
    return torch.max(logits, dim=-1).indices


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    if temperature <= 0.0:
        raise ValueError(f"`temperature` (={temperature}) has to be strictly positive")
    return logits / temperature


def keep_top_k(logits: Tensor, k: int, filter_value: float = -float("inf")) -> Tensor:
    if k <= 0:
        raise ValueError(f"`top_k` (={k}) has to be strictly positive")
    k = min(k, logits.size(-1))
    indices_to_remove = logits < torch.topk(logits, k)[0][..., -1, None]
    return logits.masked_fill(indices_to_remove, filter_value)


def keep_top_p(logits: Tensor, p: float, filter_value: float = -float("inf")) -> Tensor:
    if not (p > 0 and p <= 1.0):
        raise ValueError(f"`top_p` (={p}) has to be above 0 and at most 1")
    if p == 1.0:
        return logits
    sorted_logits, sorted_indices = torch.sort(logits, descending=True)
    cumulative_probs = sorted_logits.softmax(dim=-1).cumsum(dim=-1)
    sorted_indices_to_remove = cumulative_probs >= p
    sorted_indices_to_remove = torch.cat(
        [torch.zeros_like(sorted_indices_to_remove[..., :1]), sorted_indices_to_remove[..., :-1]], dim=-1
    )
    indices_to_remove = torch.empty_like(sorted_indices_to_remove).scatter_(-1, sorted_indices, sorted_indices_to_remove)
    return torch.where(indices_to_remove, filter_value, logits)


@torch.no_grad()
def generate_text_simple(model: nn.Module, ids: Tensor, max_new_tokens: int, context_length: int) -> Tensor:
    training = model.training
    try:
        model.train(False)
        out = [ids]
        for step in range(max_new_tokens):
            so_far = torch.cat(out, dim=-1)
            logits = model(so_far[:, max(0, so_far.shape[1] - context_length):])
            out.append(greedy(logits[:, -1:, :]))
        return torch.cat(out, dim=-1)
    finally:
        model.train(training)


@torch.no_grad()
def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    do_sample = temperature != 0
    processors = []
    if do_sample:
        processors.append(lambda scores: apply_temperature(scores, temperature))
        if top_k is not None:
            processors.append(lambda scores: keep_top_k(scores, top_k))
        if top_p is not None:
            processors.append(lambda scores: keep_top_p(scores, top_p))
    unfinished = ids.new_ones(ids.shape[0])
    training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            scores = model(ids[:, -context_length:])[:, -1, :]
            for processor in processors:
                scores = processor(scores)
            if do_sample:
                probs = nn.functional.softmax(scores, dim=-1)
                next_tokens = torch.multinomial(probs, num_samples=1, generator=generator).squeeze(1)
            else:
                next_tokens = greedy(scores)
            if eos_id is not None:
                next_tokens = next_tokens * unfinished + eos_id * (1 - unfinished)
                unfinished = unfinished.mul((next_tokens != eos_id).long())
            ids = torch.cat([ids, next_tokens[:, None]], dim=-1)
            if unfinished.max() == 0:
                break
    finally:
        model.train(training)
    return ids
