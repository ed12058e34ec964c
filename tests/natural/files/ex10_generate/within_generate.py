# wrong: temperature-after-the-filters, eos-of-0-taken-for-none
# Within generate: the filters come before the temperature, and `if eos_id` cannot see an id of 0.
import torch
from torch.nn.functional import softmax


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature: {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k: {k}")
    return logits.where(logits >= logits.topk(min(k, logits.shape[-1])).values[..., -1:], -torch.inf)


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p: {p}")
    if p == 1:
        return logits
    sorted_, where_ = logits.sort(dim=-1, descending=True)
    chance = softmax(sorted_, dim=-1)
    lost = chance.cumsum(dim=-1) - chance >= p
    return logits.masked_fill(torch.zeros_like(lost).scatter(-1, where_, lost), -torch.inf)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    old = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])
            ids = torch.cat((ids, greedy(logits[:, -1])[:, None]), 1)
    finally:
        model.train(old)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    old = model.training
    model.eval()
    ended = torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1]
            if temperature != 0:
                if top_k is not None:
                    logits = keep_top_k(logits, top_k)
                if top_p is not None:
                    logits = keep_top_p(logits, top_p)
                logits = apply_temperature(logits, temperature)
                new = torch.multinomial(softmax(logits, dim=-1), 1, generator=generator)
            else:
                new = greedy(logits)[:, None]
            if eos_id:
                new = torch.where(ended[:, None], eos_id, new)
                ended = ended | (new[:, 0] == eos_id)
            ids = torch.cat((ids, new), 1)
            if ended.all():
                break
    finally:
        model.train(old)
    return ids
