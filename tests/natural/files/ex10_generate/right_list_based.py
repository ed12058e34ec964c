# right: rows as Python lists of floats for the filters, a class that remembers which rows have ended.
import torch


def greedy(logits):
    return torch.argmax(logits, -1)


def apply_temperature(logits, temperature):
    if not temperature > 0:
        raise ValueError(f"temperature={temperature}")
    return torch.div(logits, temperature)


def per_row(logits, function):
    """Apply a function of one row (V,) to each row."""
    if logits.dim() == 1:
        return function(logits)
    return torch.stack([per_row(part, function) for part in logits])


def keep_top_k(logits, k):
    if k <= 0:
        raise ValueError(f"k={k}")

    def one(row):
        limit = sorted(row.tolist(), reverse=True)[:k][-1]
        return torch.stack([value if value.item() >= limit else torch.full_like(value, float("-inf")) for value in row])

    return per_row(logits, one)


def keep_top_p(logits, p):
    if p <= 0 or p > 1:
        raise ValueError(f"p={p}")

    def one(row):
        chances = torch.softmax(row.double(), 0).tolist()
        order = sorted(range(len(chances)), key=lambda i: -chances[i])
        out = torch.full_like(row, float("-inf"))
        total = 0.0
        for i in order:
            out[i] = row[i]
            total += chances[i]
            if total >= p:
                break
        return out

    return logits + 0 if p == 1 else per_row(logits, one)


class Rows:
    def __init__(self, ids, eos_id):
        self.ids = ids
        self.eos_id = eos_id
        self.open = [True] * ids.size(0)

    def add(self, new):
        if self.eos_id is not None:
            new = torch.stack([n if o else torch.full_like(n, self.eos_id) for n, o in zip(new, self.open)])
            self.open = [o and n.item() != self.eos_id for n, o in zip(new, self.open)]
        self.ids = torch.hstack([self.ids, new.unsqueeze(1)])


class Eval:
    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.before = self.model.training
        self.model.eval()
        self.graph = torch.no_grad()
        self.graph.__enter__()

    def __exit__(self, *error):
        self.graph.__exit__(*error)
        self.model.train(self.before)


def generate_text_simple(model, ids, max_new_tokens, context_length):
    return generate(model, ids, max_new_tokens, context_length)


def generate(model, ids, max_new_tokens, context_length, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None):
    rows = Rows(ids, eos_id)
    with Eval(model):
        while max_new_tokens > 0 and any(rows.open):
            max_new_tokens -= 1
            logits = model(rows.ids[:, -context_length:])[:, -1, :]
            if temperature == 0:
                rows.add(greedy(logits))
                continue
            logits = apply_temperature(logits, temperature)
            if top_k is not None:
                logits = keep_top_k(logits, top_k)
            if top_p is not None:
                logits = keep_top_p(logits, top_p)
            rows.add(torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0])
    return rows.ids
