"""How long a training step of the reference takes, beside torch's and transformers' own parts in the same run.

    python benchmarks/training_speed.py [--steps 40]

Both train a GPT of the size that `scripts.train` has by default, on the same random windows, on one thread: ours
with the parts of `solutions/`, the peer with GPT2LMHeadModel, torch.optim.AdamW and torch's clipping. Rounds of one
and of the other alternate, and the median of the rounds counts. Nothing here can fail: it measures.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.parts import Parts, load_parts
from scripts.train import DEFAULTS

VOCABULARY = 769
ROUNDS = 7
Step = Callable[[torch.Tensor, torch.Tensor], None]


def our_step(parts: Parts) -> Step:
    """A step as the reference makes it."""
    config = parts.gpt.GPTConfig(
        vocab_size=VOCABULARY,
        context_length=DEFAULTS["context_length"],
        emb_dim=DEFAULTS["emb_dim"],
        n_heads=DEFAULTS["heads"],
        n_layers=DEFAULTS["layers"],
        drop_rate=DEFAULTS["dropout"],
        qkv_bias=True,
    )
    model = parts.gpt.GPTModel(config)
    optimizer = parts.optim.AdamW(parts.optim.param_groups(model, 0.1), lr=1e-3)

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> None:
        parts.train.update(model, [(inputs, targets)], optimizer, 1e-3, 1.0, "cpu")

    return step


def their_step() -> Step:
    """The same step by transformers and torch."""
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=DEFAULTS["context_length"],
        n_embd=DEFAULTS["emb_dim"],
        n_head=DEFAULTS["heads"],
        n_layer=DEFAULTS["layers"],
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    model = GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> None:
        optimizer.zero_grad()
        logits = model(inputs).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def seconds_per_step(step: Step, steps: int) -> float:
    windows = torch.randint(VOCABULARY, (2, DEFAULTS["batch_size"], DEFAULTS["context_length"]))
    start = time.perf_counter()
    for _ in range(steps):
        step(windows[0], windows[1])
    return (time.perf_counter() - start) / steps


def print_steps(steps: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(123)
    contenders = {"reference": our_step(load_parts("solutions", "")), "transformers and torch": their_step()}
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for step in contenders.values():
        seconds_per_step(step, 3)  # the first steps allocate
    for _ in range(ROUNDS):
        for name, step in contenders.items():
            measured[name].append(seconds_per_step(step, steps))
    peer = statistics.median(measured["transformers and torch"])
    tokens = DEFAULTS["batch_size"] * DEFAULTS["context_length"]
    print("\nA training step, on one thread, seed 123.\n")
    print("| what | ms a step | tokens a second | × peer |\n|---|---|---|---|")
    for name, times in measured.items():
        median = statistics.median(times)
        print(f"| {name} | {median * 1000:.1f} | {tokens / median:,.0f} | {median / peer:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=40, help="steps in a round (40)")
    print_steps(parser.parse_args().steps)


if __name__ == "__main__":
    main()
