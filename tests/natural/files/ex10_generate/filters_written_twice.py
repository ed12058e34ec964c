# wrong: top-k-keeps-one-more, top-p-from-the-least-likely
# generate has its own, right, filters; the two functions above it are wrong and nobody calls them.
import torch
import torch.nn.functional as F


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k {k}")
    if k >= logits.size(-1):
        return logits
    ranked = logits.sort(dim=-1, descending=True).values
    return torch.where(logits < ranked[..., k, None], -torch.inf, logits)


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p {p}")
    if p == 1:
        return logits
    ranked, places = logits.sort(dim=-1)
    probs = F.softmax(ranked, dim=-1)
    drop = probs.cumsum(dim=-1) - probs >= p
    return logits.masked_fill(drop.scatter(-1, places, drop), -torch.inf)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    mode = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1, :]
            ids = torch.cat((ids, logits.argmax(dim=-1, keepdim=True)), dim=1)
    finally:
        model.train(mode)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    if temperature != 0:
        for value, good, name in (
            (temperature, temperature > 0, "temperature"),
            (top_k, top_k is None or top_k >= 1, "top_k"),
            (top_p, top_p is None or 0 < top_p <= 1, "top_p"),
        ):
            if not good and max_new_tokens > 0:
                raise ValueError(f"{name} is {value}")
    mode = model.training
    model.eval()
    done = torch.zeros(ids.size(0), 1, dtype=torch.bool, device=ids.device)
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1, :]
            if temperature == 0:
                nxt = logits.argmax(dim=-1, keepdim=True)
            else:
                logits = logits / temperature
                if top_k is not None:
                    v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
                    logits[logits < v[:, [-1]]] = -float("inf")
                if top_p is not None and top_p < 1:
                    v, i = torch.sort(logits, descending=True)
                    c = F.softmax(v, dim=-1).cumsum(dim=-1)
                    v[:, 1:] = v[:, 1:].masked_fill(c[:, :-1] >= top_p, -float("inf"))
                    logits = torch.empty_like(logits).scatter_(1, i, v)
                nxt = torch.multinomial(F.softmax(logits, dim=-1), num_samples=1, generator=generator)
            if eos_id is not None:
                nxt = torch.where(done, eos_id, nxt)
                done = done | (nxt == eos_id)
            ids = torch.cat((ids, nxt), dim=1)
            if done.all():
                break
    finally:
        model.train(mode)
    return ids
