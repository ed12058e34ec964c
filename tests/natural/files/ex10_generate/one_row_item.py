# wrong: only-one-row-continued
# One id is taken from row 0 as a number and appended as a (1, 1): right for one prompt, an error for several.
import torch


def greedy(logits):
    return logits.max(dim=-1)[1]


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k {k}")
    limit = torch.topk(logits, min(k, logits.shape[-1]), sorted=True).values[..., [-1]]
    return torch.where(logits < limit, -torch.inf, logits)


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p {p}")
    if p == 1:
        return logits
    s, i = torch.sort(logits, -1, True)
    q = torch.softmax(s, -1)
    gone = q.cumsum(-1) - q >= p
    return logits.masked_fill(gone.gather(-1, i.argsort(-1)), -torch.inf)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])
            next_id = torch.argmax(logits[0, -1]).item()
            ids = torch.cat([ids, torch.tensor([[next_id]])], dim=1)
    finally:
        model.train(training)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    training = model.training
    model.eval()
    ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1]
            if temperature == 0:
                next_ids = greedy(logits)
            else:
                logits = apply_temperature(logits, temperature)
                if top_k is not None:
                    logits = keep_top_k(logits, top_k)
                if top_p is not None:
                    logits = keep_top_p(logits, top_p)
                next_ids = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
            if eos_id is not None:
                next_ids = next_ids.masked_fill(ended, eos_id)
                ended = ended | (next_ids == eos_id)
            ids = torch.cat([ids, next_ids[:, None]], dim=1)
            if ended.all():
                break
    finally:
        model.train(training)
    return ids
