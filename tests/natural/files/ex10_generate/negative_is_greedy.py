# wrong: negative-temperature-is-greedy
# The book's `if temperature > 0.0 … else argmax`.
import torch


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"The temperature is {temperature}")
    return logits / temperature


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"The k is {k}")
    n = logits.shape[-1]
    if k > n:
        k = n
    smallest = torch.topk(logits, k).values.amin(dim=-1, keepdim=True)
    return torch.where(logits < smallest, torch.full_like(logits, -torch.inf), logits)


def keep_top_p(logits, p):
    if p > 1 or p <= 0:
        raise ValueError(f"The p is {p}")
    if p == 1:
        return logits
    v, i = torch.sort(logits, descending=True)
    pr = torch.softmax(v, dim=-1)
    v = torch.where(torch.cumsum(pr, -1) - pr < p, v, torch.full_like(v, -torch.inf))
    return torch.gather(v, -1, torch.argsort(i))


def generate_text_simple(model, ids, max_new_tokens, context_length):
    return generate(model, ids, max_new_tokens, context_length)


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    was_training = model.training
    model.eval()
    over = torch.zeros_like(ids[:, 0], dtype=torch.bool)
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])
            logits = logits[:, -1, :]
            if temperature > 0.0:
                logits = apply_temperature(logits, temperature)
                if top_k is not None:
                    logits = keep_top_k(logits, top_k)
                if top_p is not None:
                    logits = keep_top_p(logits, top_p)
                probs = torch.softmax(logits, dim=-1)
                idx_next = torch.multinomial(probs, num_samples=1, generator=generator)
            else:
                idx_next = torch.argmax(logits, dim=-1, keepdim=True)
            if eos_id is not None:
                idx_next[over] = eos_id
                over = over | (idx_next.squeeze(-1) == eos_id)
            ids = torch.cat((ids, idx_next), dim=1)
            if over.all():
                break
    finally:
        model.train(was_training)
    return ids
