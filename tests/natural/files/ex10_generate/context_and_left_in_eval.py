# wrong: context-not-cropped, left-in-evaluation-mode
# The whole text goes to the model in the simple loop, and generate never goes back into training mode.
import torch


def greedy(logits):
    return logits.argmax(dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature = {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k = {k}")
    limit = logits.topk(min(k, logits.shape[-1]))[0][..., -1:]
    return logits.masked_fill(logits < limit, -torch.inf)


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p = {p}")
    if p == 1:
        return logits
    s, i = logits.sort(descending=True)
    q = s.softmax(-1)
    m = q.cumsum(-1) - q >= p
    return logits.masked_fill(m.scatter(-1, i, m), -torch.inf)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for _ in range(max_new_tokens):
                logits = model(ids)
                next_id = greedy(logits[:, -1, :])
                ids = torch.cat([ids, next_id.reshape(-1, 1)], dim=1)
    finally:
        model.train(was_training)
    return ids


@torch.no_grad()
def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    model.eval()
    stopped = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    for _ in range(max_new_tokens):
        logits = model(ids[:, -context_length:])[:, -1, :]
        if temperature == 0:
            next_id = greedy(logits)
        else:
            logits = apply_temperature(logits, temperature)
            if top_k is not None:
                logits = keep_top_k(logits, top_k)
            if top_p is not None:
                logits = keep_top_p(logits, top_p)
            next_id = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).reshape(-1)
        if eos_id is not None:
            next_id[stopped] = eos_id
            stopped |= next_id == eos_id
        ids = torch.cat([ids, next_id.reshape(-1, 1)], dim=1)
        if stopped.all():
            break
    return ids
