# wrong: last-eos-not-appended
# The book's order: ask for the end first, and append only if it has not come.
import torch


def greedy(logits):
    return logits.argmax(-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature: {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k: {k}")
    if k >= logits.size(-1):
        return logits
    kth = torch.topk(logits, k).values[..., -1].unsqueeze(-1)
    return logits.masked_fill(logits < kth, -torch.inf)


def keep_top_p(logits, p):
    if p <= 0 or p > 1:
        raise ValueError(f"p: {p}")
    if p == 1:
        return logits
    desc = torch.argsort(logits, dim=-1, descending=True)
    cum = torch.softmax(logits, -1).gather(-1, desc).cumsum(-1)
    cut = cum >= p
    cut = torch.nn.functional.pad(cut[..., :-1], (1, 0), value=False)
    back = torch.argsort(desc, dim=-1)
    return logits.masked_fill(cut.gather(-1, back), -torch.inf)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            for _ in range(max_new_tokens):
                nxt = greedy(model(ids[:, -context_length:])[:, -1])
                ids = torch.cat([ids, nxt.view(-1, 1)], dim=1)
    finally:
        model.train(was)
    return ids


def sample(logits, temperature, top_k, top_p, generator):
    if temperature == 0:
        return greedy(logits)
    logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator).view(-1)


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    was = model.training
    model.eval()
    finished = torch.zeros_like(ids[:, 0], dtype=torch.bool)
    try:
        with torch.no_grad():
            for _ in range(max_new_tokens):
                idx_next = sample(model(ids[:, -context_length:])[:, -1], temperature, top_k, top_p, generator)
                if eos_id is not None:
                    idx_next = torch.where(finished, torch.full_like(idx_next, eos_id), idx_next)
                    finished = finished | idx_next.eq(eos_id)
                    if finished.all():  # Stop generating early if the end is encountered
                        break
                ids = torch.cat((ids, idx_next.view(-1, 1)), dim=1)
    finally:
        model.train(was)
    return ids
