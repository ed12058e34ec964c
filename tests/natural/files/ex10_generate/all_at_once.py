# wrong: only-all-at-once-ends
# The loop ends only when every row gives the end mark in the same step; no row is remembered or filled up.
import torch
from torch.nn.functional import softmax


def greedy(logits):
    return logits.argmax(dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"T = {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k = {k}")
    floor = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < floor, float("-inf"))


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p = {p}")
    if p == 1:
        return logits
    ordered, at = logits.sort(dim=-1, descending=True)
    share = softmax(ordered, dim=-1)
    over = share.cumsum(dim=-1) - share >= p
    return logits.masked_fill(over.scatter(-1, at, over), float("-inf"))


def step(model, ids, context_length):
    with torch.no_grad():
        return model(ids[:, -context_length:])[:, -1]


def generate_text_simple(model, ids, max_new_tokens, context_length):
    flag = model.training
    try:
        model.eval()
        for _ in range(max_new_tokens):
            ids = torch.cat([ids, greedy(step(model, ids, context_length))[:, None]], dim=1)
    finally:
        model.train(flag)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    flag = model.training
    try:
        model.eval()
        for _ in range(max_new_tokens):
            logits = step(model, ids, context_length)
            if temperature == 0:
                idx_next = greedy(logits)[:, None]
            else:
                logits = apply_temperature(logits, temperature)
                logits = logits if top_k is None else keep_top_k(logits, top_k)
                logits = logits if top_p is None else keep_top_p(logits, top_p)
                idx_next = torch.multinomial(softmax(logits, dim=-1), num_samples=1, generator=generator)
            ids = torch.cat([ids, idx_next], dim=1)
            if eos_id is not None and torch.all(idx_next == eos_id):
                break
    finally:
        model.train(flag)
    return ids
