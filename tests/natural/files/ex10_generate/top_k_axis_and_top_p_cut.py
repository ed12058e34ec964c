# wrong: top-k-limit-without-its-axis, top-p-drops-the-crossing-token-but-the-first
# The limits of top-k have lost their axis; top-p saves the first token by hand and drops the one that crosses.
import torch


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k {k}")
    top_logits, _ = torch.topk(logits, min(k, logits.shape[-1]))
    min_val = top_logits[..., -1]
    return torch.where(logits < min_val, torch.tensor(float("-inf"), dtype=logits.dtype), logits)


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p {p}")
    if p == 1:
        return logits
    sorted_logits, sorted_indices = torch.sort(logits, descending=True, dim=-1)
    cumulative = torch.softmax(sorted_logits, dim=-1).cumsum(dim=-1)
    remove = cumulative >= p
    remove[..., 0] = False  # keep at least one
    return logits.masked_fill(remove.scatter(-1, sorted_indices, remove), float("-inf"))


def generate_text_simple(model, ids, max_new_tokens, context_length):
    mode = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])
            ids = torch.cat([ids, torch.argmax(logits[:, -1, :], dim=-1, keepdim=True)], dim=1)
    finally:
        model.train(mode)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    mode = model.training
    model.eval()
    done = torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1, :]
            if temperature == 0:
                token = greedy(logits)
            else:
                logits = apply_temperature(logits, temperature)
                if top_k is not None:
                    logits = keep_top_k(logits, top_k)
                if top_p is not None:
                    logits = keep_top_p(logits, top_p)
                token = torch.multinomial(torch.softmax(logits, dim=-1), num_samples=1, generator=generator)[:, 0]
            if eos_id is not None:
                token = torch.where(done, eos_id, token)
                done = done | (token == eos_id)
            ids = torch.cat([ids, token[:, None]], dim=1)
            if done.all():
                break
    finally:
        model.train(mode)
    return ids
