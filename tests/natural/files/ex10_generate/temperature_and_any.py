# wrong: multiplied-by-the-temperature, stops-when-one-row-has-ended
# The logits are multiplied by the temperature, and the loop ends with the first row.
import torch


def greedy(logits):
    return torch.argmax(logits, dim=-1)


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"temperature: {temperature}")
    return temperature * logits


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError(f"k: {k}")
    ranked = logits.sort(dim=-1, descending=True).values
    limit = ranked[..., min(k, ranked.size(-1)) - 1].unsqueeze(-1)
    return logits.masked_fill(logits.lt(limit), -torch.inf)


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p: {p}")
    if p == 1:
        return logits
    ranked, places = logits.sort(dim=-1, descending=True)
    share = ranked.softmax(-1)
    gone = (share.cumsum(-1) - share).ge(p)
    return logits.masked_fill(gone.gather(-1, places.argsort(-1)), -torch.inf)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    text = ids
    before = model.training
    try:
        model.eval()
        for _ in range(max_new_tokens):
            with torch.no_grad():
                out = model(text[:, -context_length:])
            text = torch.cat((text, greedy(out[:, -1]).unsqueeze(-1)), -1)
    finally:
        model.train(before)
    return text


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    text = ids
    before = model.training
    try:
        model.eval()
        for _ in range(max_new_tokens):
            with torch.no_grad():
                out = model(text[:, -context_length:])[:, -1]
            if temperature == 0:
                new = greedy(out)
            else:
                out = apply_temperature(out, temperature)
                if top_k is not None:
                    out = keep_top_k(out, top_k)
                if top_p is not None:
                    out = keep_top_p(out, top_p)
                new = torch.multinomial(out.softmax(-1), 1, generator=generator).squeeze(-1)
            text = torch.cat((text, new.unsqueeze(-1)), -1)
            if eos_id is not None and (new == eos_id).any():
                break
    finally:
        model.train(before)
    return text
