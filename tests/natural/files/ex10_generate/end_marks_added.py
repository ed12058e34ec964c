# wrong: eos-put-at-the-end
# After the last step every text that has not ended gets an end mark, which the model never wrote.
import torch


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"not a temperature: {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"not a k: {k}")
    kept = torch.topk(logits, min(k, logits.shape[-1]), dim=-1).values
    return logits.masked_fill(logits < kept[..., -1, None], -torch.inf)


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"not a p: {p}")
    if p == 1:
        return logits
    order = logits.argsort(dim=-1, descending=True)
    chances = torch.softmax(logits, dim=-1).take_along_dim(order, dim=-1)
    reached_before = chances.cumsum(dim=-1) - chances
    out = torch.zeros(logits.shape, dtype=torch.bool).scatter(-1, order, reached_before >= p)
    return logits.masked_fill(out, -torch.inf)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    return _write(model, ids, max_new_tokens, context_length, greedy, None)


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    def draw(logits):
        if temperature == 0:
            return greedy(logits)
        logits = apply_temperature(logits, temperature)
        if top_k is not None:
            logits = keep_top_k(logits, top_k)
        if top_p is not None:
            logits = keep_top_p(logits, top_p)
        return torch.multinomial(torch.softmax(logits, dim=-1), 1, generator=generator)[:, 0]

    return _write(model, ids, max_new_tokens, context_length, draw, eos_id)


def _write(model, ids, max_new_tokens, context_length, choose, eos_id):
    training = model.training
    model.eval()
    ended = torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])
            new = choose(logits[:, -1])
            if eos_id is not None:
                new = torch.where(ended, torch.full_like(new, eos_id), new)
                ended = ended | (new == eos_id)
            ids = torch.cat([ids, new[:, None]], dim=1)
            if ended.all():
                break
        if eos_id is not None and not ended.all():
            ids = torch.cat([ids, torch.full_like(ids[:, :1], eos_id)], dim=1)
    finally:
        model.train(training)
    return ids
