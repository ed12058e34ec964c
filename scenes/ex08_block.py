"""The scene of ex08: what reaches the lowest of 24 blocks, with and without shortcuts, and a norm of an outlier."""

import math
from types import SimpleNamespace

import torch
from torch.nn.functional import normalize

BLOCKS, WIDTH, TOKENS = 24, 64, 16
SIZES = SimpleNamespace(emb_dim=WIDTH, context_length=TOKENS, n_heads=4, drop_rate=0.0, qkv_bias=False)
ROW = (1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0)
OUTLIER = 50.0


def without_shortcuts(block, x):
    x = block.att(block.norm1(x))
    return block.ff(block.norm2(x))


def without_both(block, x):
    return block.ff(block.att(x))


WAYS = {
    "your block": lambda block, x: block(x),
    "norms, no shortcuts": without_shortcuts,
    "neither": without_both,
}


def look(subject, draw, observe):
    torch.manual_seed(8)
    blocks = [subject.TransformerBlock(SIZES).double() for _ in range(BLOCKS)]
    tokens, wish = torch.randn(2, 2, TOKENS, WIDTH, dtype=torch.float64)
    curves, lines = [], [f"{'':20}{'gradient at block 1':>22}{'cosine between tokens':>28}"]
    for name, way in WAYS.items():
        sizes, likeness = measure(blocks, way, tokens, wish)
        curves.append(sizes)
        lines.append(f"{name:<20}{sizes[0]:>22.2g}{likeness:>28.3f}")
    observe(
        "panel",
        {
            "kind": "curves",
            "title": f"The gradient at each of {BLOCKS} fresh blocks of yours, that at the last being 1",
            "x": list(range(1, BLOCKS + 1)),
            "names": list(WAYS),
            "values": curves,
            "across": "block",
            "log": True,
            "note": "Was your prediction right? Read it from right to left, as backpropagation goes. Without"
            f" shortcuts and norms the gradient shrinks by a factor of about 10^{-math.log10(curves[-1][0]):.0f}.",
        },
    )
    observe(
        "panel",
        {
            "kind": "text",
            "title": "The same in numbers, and how alike the tokens are after the last block",
            "lines": lines,
            "note": "Norms alone bring the numbers back to size. But every block replaces what a token held, and"
            " in the end all tokens are alike. Shortcuts keep them apart.",
        },
    )
    observe("panel", outlier(subject))


def measure(blocks, way, x, wish):
    """How large the gradient is where it enters each block, and how alike the tokens are at the end."""
    x = x.clone().requires_grad_()
    entered = []
    for block in blocks:
        entered.append(x)
        x = way(block, x)
    gradients = torch.autograd.grad((x * wish).sum(), entered)
    sizes = [gradient.norm().item() for gradient in gradients]
    directions = normalize(x, dim=-1)
    cosines = directions @ directions.transpose(1, 2)
    others = ~torch.eye(TOKENS, dtype=torch.bool)
    return [size / sizes[-1] for size in sizes], cosines[:, others].mean().item()


def outlier(subject):
    norm = subject.LayerNorm(len(ROW))
    lines = []
    for row in (ROW, (*ROW[:-1], OUTLIER)):
        for name, numbers in (("x", row), ("norm(x)", norm(torch.tensor([row]))[0].tolist())):
            lines.append(f"{name:<9}" + "".join(f"{number:8.2f}" for number in numbers))
    return {
        "kind": "text",
        "title": "Your LayerNorm on a row, and on the same row with an outlier",
        "lines": lines,
        "note": "The outlier causes nearly all of the variance, so the others come out almost equal. It stays in"
        f" range itself: of {len(ROW)} numbers none can get beyond √{len(ROW) - 1} = {(len(ROW) - 1) ** 0.5:.2f}.",
    }
