# right: a Python generator yields each column; recursion for the simple text; -inf by adding a penalty.
import torch
from torch import inf


def greedy(logits):
    return (logits == logits.amax(-1, keepdim=True)).int().argmax(-1)


def apply_temperature(logits, temperature):
    if temperature > 0:
        return logits / temperature
    raise ValueError(f"{temperature} is no temperature")


def penalty(mask, like):
    return torch.zeros_like(like).masked_fill(mask, -inf)


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"{k} is no k")
    if k >= logits.shape[-1]:
        return logits.clone()
    limit = logits.kthvalue(logits.shape[-1] - k + 1, dim=-1, keepdim=True).values
    return logits + penalty(logits < limit, logits)


def keep_top_p(logits, p):
    if p <= 0 or 1 < p:
        raise ValueError(f"{p} is no p")
    if p == 1:
        return logits + 0
    chances = logits.softmax(-1)
    ordered = chances.sort(dim=-1, descending=True).values
    before = ordered.cumsum(-1) - ordered
    smallest = ordered.masked_fill(before >= p, inf).amin(-1, keepdim=True)
    return torch.where(chances >= smallest, logits, torch.full_like(logits, -inf))


def columns(model, ids, context_length, choose):
    while True:
        with torch.no_grad():
            logits = model(ids[:, -context_length:])
        new = choose(logits[:, -1])
        ids = torch.cat([ids, new[:, None]], 1)
        yield new


def generate_text_simple(model, ids, max_new_tokens, context_length):
    mode = model.training
    try:
        model.eval()
        return grow(model, ids, max_new_tokens, context_length)
    finally:
        model.train(mode)


def grow(model, ids, n, context_length):
    if n == 0:
        return ids
    new = next(columns(model, ids, context_length, greedy))
    return grow(model, torch.cat([ids, new[:, None]], 1), n - 1, context_length)


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    over = torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

    def choose(logits):
        nonlocal over
        if temperature == 0:
            new = greedy(logits)
        else:
            logits = apply_temperature(logits, temperature)
            if top_k is not None:
                logits = keep_top_k(logits, top_k)
            if top_p is not None:
                logits = keep_top_p(logits, top_p)
            new = torch.multinomial(torch.softmax(logits, -1), 1, generator=generator).flatten()
        if eos_id is not None:
            new = torch.where(over, eos_id, new)
            over = over.logical_or(new.eq(eos_id))
        return new

    mode = model.training
    model.eval()
    try:
        stream = columns(model, ids, context_length, choose)
        found = []
        while len(found) < max_new_tokens and not over.all():
            found.append(next(stream))
        return torch.cat([ids, *(f[:, None] for f in found)], 1)
    finally:
        model.train(mode)
