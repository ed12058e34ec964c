# wrong: top-k-drops-the-k-th
# What is larger than the limit stays, so the limit itself goes.
import torch


def greedy(logits):
    values, indices = logits.max(-1)
    return indices


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"{temperature=}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"{k=}")
    if k >= logits.shape[-1]:
        return logits.clone()
    limit = logits.sort(dim=-1, descending=True)[0][..., k - 1 : k]
    return torch.where(logits > limit, logits, -torch.inf)


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"{p=}")
    if p == 1:
        return logits.clone()
    values, indices = logits.sort(dim=-1, descending=True)
    probabilities = values.softmax(dim=-1)
    stay = probabilities.cumsum(dim=-1) - probabilities < p
    kept = values.where(stay, -torch.inf)
    return torch.zeros_like(logits).scatter(-1, indices, kept)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    mode = model.training
    model.eval()
    try:
        with torch.no_grad():
            for i in range(max_new_tokens):
                logits = model(ids[:, -context_length:])
                ids = torch.cat([ids, greedy(logits[:, -1:])], dim=1)
    finally:
        model.train(mode)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    mode = model.training
    model.eval()
    end = torch.zeros_like(ids[:, 0]).bool()
    try:
        with torch.no_grad():
            for i in range(max_new_tokens):
                logits = model(ids[:, -context_length:])[:, -1]
                if temperature == 0:
                    tok = greedy(logits)
                else:
                    logits = apply_temperature(logits, temperature)
                    if top_k is not None:
                        logits = keep_top_k(logits, top_k)
                    if top_p is not None:
                        logits = keep_top_p(logits, top_p)
                    tok = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
                if eos_id is not None:
                    tok = torch.where(end, eos_id, tok)
                    end = end | (tok == eos_id)
                ids = torch.cat([ids, tok[:, None]], dim=1)
                if end.all():
                    break
    finally:
        model.train(mode)
    return ids
