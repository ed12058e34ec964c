# wrong: top-p-drops-the-token-that-crosses
# The running sum with the token itself is compared with p, so the one that reaches p is dropped.
import torch
import torch.nn.functional as F


def greedy(logits):
    return torch.argmax(F.softmax(logits, dim=-1), dim=-1) if logits.dtype == torch.int64 else torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature should be > 0, is {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k should be > 0, is {k}")
    v = torch.topk(logits, min(k, logits.size(-1))).values
    return logits.masked_fill(logits < v[..., -1:], float("-inf"))


def keep_top_p(logits, p):
    if p <= 0 or p > 1:
        raise ValueError(f"p should be in (0, 1], is {p}")
    if p == 1:
        return logits
    sorted_logits, sorted_indices = torch.sort(logits, descending=True, dim=-1)
    cumulative_probs = torch.cumsum(F.softmax(sorted_logits, dim=-1), dim=-1)
    sorted_indices_to_remove = cumulative_probs >= p
    indices_to_remove = sorted_indices_to_remove.scatter(-1, sorted_indices, sorted_indices_to_remove)
    return logits.masked_fill(indices_to_remove, float("-inf"))


def generate_text_simple(model, ids, max_new_tokens, context_length):
    training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])
            ids = torch.cat([ids, greedy(logits[:, -1, :]).unsqueeze(1)], dim=1)
    finally:
        model.train(training)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    training = model.training
    model.eval()
    alive = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1, :]
            if temperature == 0:
                new = greedy(logits)
            else:
                logits = apply_temperature(logits, temperature)
                logits = keep_top_k(logits, top_k) if top_k is not None else logits
                logits = keep_top_p(logits, top_p) if top_p is not None else logits
                new = torch.multinomial(F.softmax(logits, dim=-1), 1, generator=generator).squeeze(1)
            if eos_id is not None:
                new = torch.where(alive, new, torch.full_like(new, eos_id))
                alive = alive & (new != eos_id)
            ids = torch.cat([ids, new.unsqueeze(1)], dim=1)
            if not alive.any():
                break
    finally:
        model.train(training)
    return ids
