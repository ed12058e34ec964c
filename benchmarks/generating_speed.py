"""What the cache of ex19 saves: tokens a second of the reference with it and without, in the same run.

    python benchmarks/generating_speed.py [--rounds 5]

Random models write greedily after a prompt of 8 tokens, on one thread. Rounds of one and of the other alternate,
and the median of the rounds counts. Nothing here can fail: it measures.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.parts import load_parts

PROMPT = 8
VOCABULARY = 769
# Width, blocks, heads and new tokens: what `scripts.train` has by default, with a longer context, and a larger one.
SIZES = ((128, 4, 4, 50), (128, 4, 4, 240), (512, 8, 8, 240))


def measure(width: int, blocks: int, heads: int, new_tokens: int, rounds: int) -> tuple[float, float]:
    """Tokens a second without the cache and with it."""
    parts = load_parts("solutions", "", "ex19_kv_cache")
    cache = parts.module("ex19_kv_cache")
    config = parts.gpt.GPTConfig(VOCABULARY, PROMPT + new_tokens, width, heads, blocks, 0.0)
    model = parts.gpt.GPTModel(config).eval()
    cached = cache.CachedGPT(model)
    ids = torch.randint(VOCABULARY, (1, PROMPT))
    ways = (
        lambda: parts.generate.generate(model, ids, new_tokens, config.context_length),
        lambda: cache.generate_cached(cached, ids, new_tokens),
    )
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for way, noted in zip(ways, times, strict=True):
            start = time.perf_counter()
            way()
            noted.append(time.perf_counter() - start)
    without, with_it = (new_tokens / statistics.median(noted) for noted in times)
    return without, with_it


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure writing with and without a cache.")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (5)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(123)
    print(f"{platform.system()} {platform.machine()}, one thread, Python {platform.python_version()}, seed 123\n")
    print("| width, blocks | new tokens | without, a second | with, a second | ratio |\n|---|---|---|---|---|")
    for width, blocks, heads, new_tokens in SIZES:
        without, with_it = measure(width, blocks, heads, new_tokens, rounds)
        print(f"| {width}, {blocks} | {new_tokens} | {without:,.0f} | {with_it:,.0f} | {with_it / without:.1f} |")


if __name__ == "__main__":
    main()
