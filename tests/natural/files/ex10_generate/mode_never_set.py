# wrong: stays-in-its-mode
# The caller sets the mode in the book, so neither function does.
import torch


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")
    top_logits, _ = torch.topk(logits, min(k, logits.shape[-1]))
    min_val = top_logits[..., -1:]
    return torch.where(logits < min_val, torch.tensor(float("-inf")).to(logits), logits)


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p must be in (0, 1], got {p}")
    if p == 1:
        return logits.clone()
    sorted_logits, sorted_idx = torch.sort(logits, descending=True, dim=-1)
    probs = torch.softmax(sorted_logits, dim=-1)
    remove = probs.cumsum(dim=-1) - probs >= p
    mask = torch.zeros_like(remove).scatter(-1, sorted_idx, remove)
    return logits.masked_fill(mask, float("-inf"))


def generate_text_simple(model, ids, max_new_tokens, context_length):
    for _ in range(max_new_tokens):
        idx_cond = ids[:, -context_length:]
        with torch.no_grad():
            logits = model(idx_cond)
        logits = logits[:, -1, :]
        probas = torch.softmax(logits, dim=-1)
        idx_next = torch.argmax(probas, dim=-1, keepdim=True)
        ids = torch.cat((ids, idx_next), dim=1)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    ended = torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
    for _ in range(max_new_tokens):
        with torch.no_grad():
            logits = model(ids[:, -context_length:])
        logits = logits[:, -1, :]
        if temperature != 0.0:
            logits = apply_temperature(logits, temperature)
            if top_k is not None:
                logits = keep_top_k(logits, top_k)
            if top_p is not None:
                logits = keep_top_p(logits, top_p)
            idx_next = torch.multinomial(torch.softmax(logits, dim=-1), num_samples=1, generator=generator)
        else:
            idx_next = greedy(logits).unsqueeze(-1)
        if eos_id is not None:
            idx_next = torch.where(ended[:, None], eos_id, idx_next)
            ended = ended | (idx_next[:, 0] == eos_id)
        ids = torch.cat((ids, idx_next), dim=1)
        if ended.all():
            break
    return ids
