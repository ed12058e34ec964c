"""The scene of ex19: one text without and with the cache, a sentence in two calls, and the price in memory.

The words of the sentence are those of ex06: how much each has to do with water, with money, and with grammar
alone. Behind these three numbers each word has a 1 at its own place. That is what the values hand over, so the
result shows the weights.
"""

import torch

PROMPT, NEW = 8, 24
WORDS = ("the", "bank", "of", "the", "river")
MEANING = {"the": (0.0, 0.0, 1.0), "of": (0.0, 0.0, 1.0), "bank": (1.0, 1.0, 0.0), "river": (2.0, 0.0, 0.0)}
FIRST = 3  # so many words come in the first call
MIB = 2**20


def look(subject, draw, observe):
    observe("panel", passes(subject, draw))
    observe("panel", sentence(subject))
    observe("panel", memory(subject))


def passes(subject, draw):
    """How many tokens go through the model for each new one."""
    cfg = subject.GPTConfig(
        vocab_size=50, context_length=PROMPT + NEW, emb_dim=32, n_heads=4, n_layers=2, drop_rate=0.0
    )
    gpt = subject.GPTModel(cfg)
    draw.fill(gpt, 0.2)
    gpt.eval()
    counts = []
    gpt.final_norm.register_forward_hook(lambda module, inputs, output: counts.append(inputs[0].shape[1]))
    ids = draw.integers(1, PROMPT, high=50)
    whole = subject.generate(gpt, ids, NEW, cfg.context_length)
    without, counts[:] = list(counts), []
    cached = subject.generate_cached(subject.CachedGPT(gpt), ids, NEW)
    shown = [(number, without[number - 1], counts[number - 1]) for number in (1, 2, 3, 8, 16, 24)]
    same = "yes" if torch.equal(whole, cached) else "no"
    return {
        "kind": "text",
        "title": f"How many tokens go through your GPT: {NEW} new ones after a prompt of {PROMPT}",
        "lines": [
            f"pass    {'without your cache':<37}with it",
            *(f"{number:>4}    {bar(before):<37}{bar(after)}" for number, before, after in shown),
            f" all    {sum(without):<37}{sum(counts)}",
        ],
        "note": f"The same text both times: {same}. Was your prediction right?",
    }


def bar(count):
    return f"{'#' * count} {count}"


def sentence(subject):
    """The weights of five words, of which three come in one call and two in the next."""
    places, width = len(WORDS), 3 + len(WORDS)
    attention = subject.MultiHeadAttention(width, width, places, 0.0, 1)
    meaning, place = torch.zeros(width, width), torch.zeros(width, width)
    meaning[range(3), range(3)] = 1.0
    place[range(places), range(3, width)] = 1.0
    with torch.no_grad():
        attention.W_query.weight.copy_(3 * meaning)
        attention.W_key.weight.copy_(meaning)
        attention.W_value.weight.copy_(place)
        attention.out_proj.weight.copy_(torch.eye(width))
        attention.out_proj.bias.zero_()
    words = torch.cat([torch.tensor([MEANING[word] for word in WORDS]), torch.eye(places)], dim=1)[None]
    cache = subject.KVCache(places)
    calls = [subject.cached_attention(attention, 1, x, cache)[0] for x in (words[:, :FIRST], words[:, FIRST:])]
    return {
        "kind": "shades",
        "title": '"the bank of" in one call, "the river" in the next: who looks at whom in %',
        "rows": WORDS,
        "columns": WORDS,
        "values": torch.cat(calls)[:, :places],
        "note": 'The second call read two words, and "river" still finds "bank": by the key in the cache.',
    }


def memory(subject):
    """What the caches of GPT-2 small would take."""
    cfg = subject.GPTConfig()
    sizes = ((1, 1), (1, 100), (1, 1024), (8, 1024))
    return {
        "kind": "text",
        "title": "What the caches of GPT-2 small need, by your cache_bytes",
        "lines": [
            f"{'texts':>6}{'tokens':>9}{'MiB':>9}",
            *(
                f"{texts:>6}{tokens:>9}{subject.cache_bytes(cfg, texts, tokens) / MIB:>9.2f}"
                for texts, tokens in sizes
            ),
        ],
        "note": "The weights of the model are 474.70 MiB.",
    }
