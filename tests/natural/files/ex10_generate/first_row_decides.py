# wrong: stops-when-one-row-has-ended
# Only the first row is asked whether the text has ended, and no row is filled up.
import torch


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    assert_positive(temperature, "temperature")
    return logits / temperature


def assert_positive(value, name):
    if value <= 0:
        raise ValueError(f"{name} has to be positive, is {value}")


def keep_top_k(logits, k):
    assert_positive(k, "k")
    limit = torch.topk(logits, min(k, logits.size(-1)))[0].min(dim=-1, keepdim=True)[0]
    return logits.masked_fill(logits < limit, -torch.inf)


def keep_top_p(logits, p):
    assert_positive(p, "p")
    if p > 1:
        raise ValueError(f"p is {p}")
    if p == 1:
        return logits
    values, order = logits.sort(dim=-1, descending=True)
    q = torch.softmax(values, dim=-1)
    out = values.masked_fill(q.cumsum(dim=-1) - q >= p, -torch.inf)
    return out.gather(-1, order.argsort(dim=-1))


def generate_text_simple(model, ids, max_new_tokens, context_length):
    was = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                new = greedy(model(ids[:, -context_length:])[:, -1])
            ids = torch.column_stack([ids, new])
    finally:
        model.train(was)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    was = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                scores = model(ids[:, -context_length:])[:, -1]
            if temperature == 0:
                new = greedy(scores)
            else:
                scores = apply_temperature(scores, temperature)
                if top_k is not None:
                    scores = keep_top_k(scores, top_k)
                if top_p is not None:
                    scores = keep_top_p(scores, top_p)
                new = torch.multinomial(scores.softmax(dim=-1), 1, generator=generator)[:, 0]
            ids = torch.column_stack([ids, new])
            if eos_id is not None and new[0].item() == eos_id:
                break
    finally:
        model.train(was)
    return ids
