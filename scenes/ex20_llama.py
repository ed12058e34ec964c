"""The scene of ex20: what a score sees of two positions, how fast the pairs turn, and what sharing keys saves."""

import torch

DISTANCES = (6, 3, 1, 0, -1, -3, -6)
NEAR, FAR = 10, 1010
PLACES = (0, 1, 3, 10, 30, 100, 300)
# For h = 8 and base 10000 the speeds are 1, 0.1, 0.01 and 0.001 radians for each token.
TURNS = ("turn in 6", "in 63", "in 628", "in 6283")


def look(subject, draw, observe):
    rope = subject.RoPE(8, FAR + 7, 10000.0)
    # Numbers 0 and 4 are pair 0, which gives 2 · sin of the distance; 1 and 5 are pair 1, its cosine at a tenth.
    query = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    key = torch.tensor([0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0])
    near, far = ([score(rope, query, key, place, place - back) for back in DISTANCES] for place in (NEAR, FAR))
    observe(
        "panel",
        {
            "kind": "text",
            "title": "Scores of one query with one key, near the beginning and 1,000 tokens later",
            "lines": [
                f"the key is      {f'query at {NEAR}':>11}    {f'query at {FAR:,}':>14}",
                *(
                    f"{where(back):<12}    {one:11.3f}    {other:14.3f}"
                    for back, one, other in zip(DISTANCES, near, far, strict=True)
                ),
            ],
            "note": "Was your prediction right? Only the distance counts, and its direction.",
        },
    )
    arrows = torch.zeros(1, 1, 1, 8)
    arrows[..., :4] = 1.0  # all four hands point to twelve
    turned = torch.cat([rope(arrows, start=place)[0, 0, :, :4] for place in PLACES])
    observe(
        "panel",
        {
            "kind": "shades",
            "title": "How far the four pairs have turned: 100 as at position 0, 0 is half a turn away",
            "rows": TURNS,
            "columns": [str(place) for place in PLACES],
            "values": (turned.T + 1) / 2,
            "note": "Columns are positions. Fast hands tell neighbours apart, slow ones far from near.",
        },
    )
    observe(
        "panel",
        {
            "kind": "text",
            "title": "A small Llama with 6 query heads reads 20 tokens, in one piece and in three",
            "lines": [
                "key heads    numbers in the caches    largest difference between the logits",
                *(row(subject, draw, groups) for groups in (6, 3, 1)),
            ],
            "note": "Fewer key heads, a smaller cache. The logits are the same, up to rounding.",
        },
    )


def where(back):
    return "at its place" if back == 0 else f"{abs(back)} {'back' if back > 0 else 'ahead'}"


def score(rope, query, key, query_place, key_place):
    query = rope(query.view(1, 1, 1, -1), start=query_place)
    key = rope(key.view(1, 1, 1, -1), start=key_place)
    return float((query * key).sum()) / query.shape[-1] ** 0.5


class Counting:
    """A cache that can say how many numbers it holds."""

    def __init__(self):
        self.key = self.value = torch.zeros(0)

    @property
    def length(self):
        return self.key.shape[2] if self.key.dim() == 4 else 0

    def append(self, key, value):
        if self.length:
            key, value = torch.cat([self.key, key], dim=2), torch.cat([self.value, value], dim=2)
        self.key, self.value = key, value
        return key, value


def row(subject, draw, groups):
    cfg = subject.LlamaConfig(
        vocab_size=50, context_length=32, emb_dim=48, n_heads=6, n_kv_groups=groups, n_layers=2, hidden_dim=64
    )
    model = subject.LlamaModel(cfg)
    draw.fill(model, 0.2)
    ids, caches = draw.integers(1, 20, high=50), [Counting() for _ in range(cfg.n_layers)]
    with torch.no_grad():
        pieces = torch.cat([model(piece, caches) for piece in ids.split((12, 1, 7), dim=1)], dim=1)
        difference = float((model(ids) - pieces).abs().max())
    kept = sum(cache.key.numel() + cache.value.numel() for cache in caches)
    return f"{groups:>9}    {kept:>21,}    {'below 0.0001' if difference < 1e-4 else f'{difference:.4f}':>37}"
