# wrong: top-k-of-two-axes-only
# top_logits[:, [-1]] as nanoGPT has it: the last value only where the logits are (B, V).
import torch


def greedy(logits):
    return logits.argmax(dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature {temperature} <= 0")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k {k} < 1")
    v, _ = torch.topk(logits, min(k, logits.size(-1)))
    out = logits.clone()
    out[out < v[:, [-1]]] = -float("Inf")
    return out


def keep_top_p(logits, p):
    if not (0 < p <= 1):
        raise ValueError(f"p {p}")
    if p == 1:
        return logits.clone()
    probs = logits.softmax(-1)
    order = probs.argsort(-1, descending=True)
    cum = probs.gather(-1, order).cumsum(-1)
    first = torch.zeros_like(cum[..., :1])
    drop_sorted = torch.cat([first, cum[..., :-1]], -1) >= p
    drop = torch.zeros_like(drop_sorted)
    drop.scatter_(-1, order, drop_sorted)
    return logits.masked_fill(drop, -torch.inf)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    mode = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])
            ids = torch.cat((ids, greedy(logits[:, -1, :])[:, None]), dim=1)
    finally:
        model.train(mode)
    return ids


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    mode = model.training
    model.eval()
    ended = torch.zeros(ids.size(0), 1, dtype=torch.bool, device=ids.device)
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1, :]
            if temperature == 0:
                idx_next = greedy(logits)[:, None]
            else:
                logits = apply_temperature(logits, temperature)
                if top_k is not None:
                    logits = keep_top_k(logits, top_k)
                if top_p is not None:
                    logits = keep_top_p(logits, top_p)
                idx_next = torch.multinomial(torch.softmax(logits, dim=-1), num_samples=1, generator=generator)
            if eos_id is not None:
                idx_next = idx_next.masked_fill(ended, eos_id)
                ended = ended | idx_next.eq(eos_id)
            ids = torch.cat((ids, idx_next), dim=1)
            if ended.all():
                break
    finally:
        model.train(mode)
    return ids
