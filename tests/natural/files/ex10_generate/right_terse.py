# right: as short as it goes.
import torch
from torch import cat, no_grad, softmax, topk, where
N = float("-inf")

def greedy(logits): return logits.argmax(-1)

def err(ok, x):
    if not ok: raise ValueError(x)

def apply_temperature(logits, temperature): err(temperature > 0, temperature); return logits / temperature

def keep_top_k(logits, k): err(k > 0, k); return where(logits < topk(logits, min(k, logits.size(-1))).values.amin(-1, True), N, logits)

def keep_top_p(logits, p):
    l = logits
    err(0 < p <= 1, p)
    s = l.sort(-1, True).values; q = softmax(s, -1)
    t = s.masked_fill(q.cumsum(-1) - q >= p, -N).amin(-1, True)
    return where((l < t) & (p < 1), N, l)

def generate_text_simple(model, ids, max_new_tokens, context_length): return generate(model, ids, max_new_tokens, context_length)

def generate(model, ids, max_new_tokens, context_length, temperature=0., top_k=None, top_p=None, eos_id=None, generator=None):
    m = model; t, d = m.training, ids[:, 0] != ids[:, 0]
    m.eval()
    try:
        for _ in range(max_new_tokens):
            with no_grad(): l = m(ids[:, -context_length:])[:, -1]
            if temperature:
                l = apply_temperature(l, temperature)
                if top_k is not None: l = keep_top_k(l, top_k)
                if top_p is not None: l = keep_top_p(l, top_p)
                n = softmax(l, -1).multinomial(1, generator=generator)[:, 0]
            else: n = greedy(l)
            if eos_id is not None: n = where(d, eos_id, n); d = d | (n == eos_id)
            ids = cat((ids, n[:, None]), 1)
            if d.all(): break
    finally: m.train(t)
    return ids
