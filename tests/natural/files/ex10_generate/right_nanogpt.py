# right: nanoGPT's loop, indexing with logits[mask] on a clone, modes of all modules noted and put back.
import torch
import torch.nn.functional as F


def greedy(logits):
    _, idx = torch.topk(logits, 1, dim=-1)
    return idx[..., 0]


def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError("temperature " + str(temperature))
    return logits * (1.0 / temperature)


def keep_top_k(logits, k):
    if k < 1:
        raise ValueError("k " + str(k))
    out = logits.clone()
    v, _ = torch.topk(out, min(k, out.size(-1)))
    out[out < v[..., [-1]]] = -float("Inf")
    return out


def keep_top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError("p " + str(p))
    out = logits.clone()
    if p < 1:
        srt, ix = torch.sort(out, dim=-1, descending=True)
        cum = torch.cumsum(F.softmax(srt, dim=-1), dim=-1)
        n = 1 + (cum < p).sum(-1, keepdim=True)
        rank = torch.argsort(ix, dim=-1)
        out[rank >= n] = -float("Inf")
    return out


def quiet(model, work):
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            return work()
    finally:
        for m, mode in modes:
            m.training = mode


def generate_text_simple(model, ids, max_new_tokens, context_length):
    def work(idx=ids):
        for _ in range(max_new_tokens):
            idx_cond = idx if idx.size(1) <= context_length else idx[:, -context_length:]
            logits = model(idx_cond)
            idx_next = greedy(logits[:, [-1], :])
            idx = torch.cat((idx, idx_next), dim=1)
        return idx
    return quiet(model, work)


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    def pick(logits):
        if not temperature:
            return greedy(logits).unsqueeze(-1)
        logits = apply_temperature(logits, temperature)
        logits = logits if top_k is None else keep_top_k(logits, top_k)
        logits = logits if top_p is None else keep_top_p(logits, top_p)
        return torch.multinomial(F.softmax(logits, dim=-1), num_samples=1, generator=generator)

    def work(idx=ids):
        done = torch.zeros_like(idx[:, :1]).bool()
        for _ in range(max_new_tokens):
            nxt = pick(model(idx[:, -context_length:])[:, -1, :])
            if eos_id is not None:
                nxt = torch.where(done, torch.full_like(nxt, eos_id), nxt)
                done |= nxt == eos_id
            idx = torch.cat((idx, nxt), dim=1)
            if bool(done.all()):
                return idx
        return idx
    return quiet(model, work)
