# wrong: asks-a-whole-batch-for-eos
# `if idx_next == eos_id` as in the book: right for a batch of one row, an error for several.
import torch


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0.0:
        raise ValueError(f"cannot divide by temperature {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k is {k}")
    values = torch.topk(logits, k=min(k, logits.shape[-1]), dim=-1)[0]
    return torch.where(logits < values[..., -1:], float("-inf"), logits)


def keep_top_p(logits, p):
    if not 0.0 < p <= 1.0:
        raise ValueError(f"p is {p}")
    if p == 1.0:
        return logits
    srt, idx = logits.sort(dim=-1, descending=True)
    pr = srt.softmax(dim=-1)
    drop = (pr.cumsum(dim=-1) - pr) >= p
    return logits.masked_fill(drop.scatter(-1, idx, drop), float("-inf"))


def generate_text_simple(model, ids, max_new_tokens, context_length):
    training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1, :]
            idx_next = greedy(logits)[:, None]
            ids = torch.cat((ids, idx_next), dim=1)
        return ids
    finally:
        model.train(training)


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1, :]
            if temperature != 0.0:
                logits = apply_temperature(logits, temperature)
                if top_k is not None:
                    logits = keep_top_k(logits, top_k)
                if top_p is not None:
                    logits = keep_top_p(logits, top_p)
                probs = torch.softmax(logits, dim=-1)
                idx_next = torch.multinomial(probs, num_samples=1, generator=generator)
            else:
                idx_next = torch.argmax(logits, dim=-1, keepdim=True)
            ids = torch.cat((ids, idx_next), dim=1)
            if eos_id is not None and idx_next == eos_id:
                break
        return ids
    finally:
        model.train(training)
