# wrong: top-k-larger-than-the-vocabulary-fails
# topk is asked for k values though there may be fewer.
import torch
from torch import nn


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"bad temperature {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"bad k {k}")
    top_logits, top_pos = torch.topk(logits, k)
    threshold = top_logits.min(dim=-1, keepdim=True).values
    new_logits = torch.full_like(logits, -torch.inf)
    return torch.where(logits >= threshold, logits, new_logits)


def keep_top_p(logits, p):
    if p <= 0 or p > 1:
        raise ValueError(f"bad p {p}")
    if p == 1:
        return logits
    s, i = torch.sort(logits, dim=-1, descending=True)
    c = torch.cumsum(nn.functional.softmax(s, dim=-1), dim=-1)
    gone = torch.zeros_like(c, dtype=torch.bool)
    gone[..., 1:] = c[..., :-1] >= p
    return torch.empty_like(logits).scatter_(-1, i, s.masked_fill(gone, -torch.inf))


@torch.no_grad()
def _loop(model, ids, n, context, choose, stop):
    for _ in range(n):
        new = choose(model(ids[:, -context:])[:, -1])
        ids, done = stop(ids, new)
        if done:
            break
    return ids


def _quietly(model, *args):
    mode = model.training
    model.eval()
    try:
        return _loop(model, *args)
    finally:
        model.train(mode)


def _append(ids, new):
    return torch.cat([ids, new[:, None]], dim=1), False


def generate_text_simple(model, ids, max_new_tokens, context_length):
    return _quietly(model, ids, max_new_tokens, context_length, greedy, _append)


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    def choose(logits):
        if temperature == 0:
            return greedy(logits)
        logits = apply_temperature(logits, temperature)
        if top_k is not None:
            logits = keep_top_k(logits, top_k)
        if top_p is not None:
            logits = keep_top_p(logits, top_p)
        return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]

    ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    def stop(ids, new):
        if eos_id is None:
            return _append(ids, new)
        new = new.masked_fill(ended, eos_id)
        ended.logical_or_(new == eos_id)
        return _append(ids, new)[0], bool(ended.all())

    return _quietly(model, ids, max_new_tokens, context_length, choose, stop)
