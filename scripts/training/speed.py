"""How fast training goes, and how fast this machine could go."""

from __future__ import annotations

import time
from typing import Any

import torch

from scripts.parts import Parts

SIZE = 1024
SECONDS = 0.3


class Pace:
    """How much is learned from in a second. Steps that were followed by an evaluation are left out.

    `unit` says what is counted, and with it the attribute of the history: `tokens_seen`, for instance.
    """

    def __init__(self, history: Any, unit: str = "tokens") -> None:
        self.unit = unit
        self.seconds = 0.0
        self.count = 0
        self._noted(history)

    def step(self, history: Any) -> None:
        """To be called after each step, before anything else is done with it."""
        if len(history.evaluations) == self._evaluations and len(getattr(history, "samples", [])) == self._samples:
            self.seconds += time.perf_counter() - self._time
            self.count += self._seen(history) - self._seen_before

    def resume(self, history: Any) -> None:
        """To be called when the next step is about to begin."""
        self._noted(history)

    @property
    def per_second(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        return f"{self.per_second:,.0f} {self.unit} a second" if self.count else ""

    def _seen(self, history: Any) -> int:
        return int(getattr(history, f"{self.unit}_seen"))

    def _noted(self, history: Any) -> None:
        self._evaluations, self._samples = len(history.evaluations), len(getattr(history, "samples", []))
        self._seen_before, self._time = self._seen(history), time.perf_counter()


def told(parts: Parts, model: Any, pace: Pace, device: torch.device, dtype: torch.dtype, processes: int) -> str:
    """One sentence with the operations of a token and the share of what the machine can do, by your ex21."""
    scale, cfg = parts.module("ex21_scale"), model.cfg
    multiplying = parts.gpt.count_parameters(model) - model.embedding.pos_emb.weight.numel()
    if model.out_head.weight is not model.embedding.tok_emb.weight:
        multiplying -= model.embedding.tok_emb.weight.numel()  # looked up, not multiplied with
    flops = scale.flops_per_token(multiplying, cfg.n_layers, cfg.emb_dim, cfg.context_length)
    peak = processes * measured_peak(device, dtype)
    share = scale.share_of_peak(pace.per_second, flops, peak)
    return (
        f"{flops / 1e6:,.1f} million operations a token, {pace.per_second:,.0f} tokens a second: {share:.0%}"
        f" of the {peak / 1e9:,.0f} billion operations a second that matrix products reach here."
    )


def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product: the most that one can hope for."""
    a, b = (torch.full((SIZE, SIZE), value, device=device, dtype=dtype) for value in (0.5, 0.25))
    (a @ b).sum().item()
    done, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < SECONDS:
        (a @ b)[0, 0].item()
        done += 1
    return done * 2 * SIZE**3 / seconds
