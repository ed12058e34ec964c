# right: many small methods and a helper class, type hints, asserts, a dropout written by hand.
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .ex07_multihead import MultiHeadAttention

DEFAULT_EPSILON: float = 1e-5
EXPANSION_FACTOR: int = 4


class Statistics:
    """Mean and spread of the last axis."""

    def __init__(self, values: Tensor, epsilon: float) -> None:
        self.count = values.shape[-1]
        self.mean = values.sum(dim=-1, keepdim=True) / self.count
        self.centered = values - self.mean
        self.variance = torch.linalg.vector_norm(self.centered, dim=-1, keepdim=True) ** 2 / self.count
        self.spread = (self.variance + epsilon) ** 0.5


class LayerNorm(nn.Module):
    def __init__(self, emb_dim: int) -> None:
        super().__init__()
        self.emb_dim: int = emb_dim
        self.eps: float = DEFAULT_EPSILON
        self.register_parameter("scale", nn.Parameter(torch.ones(self.emb_dim)))
        self.register_parameter("shift", nn.Parameter(torch.zeros(self.emb_dim)))

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] == self.emb_dim
        variance = x.var(dim=-1, keepdim=True, correction=0)
        deviation = (variance + self.eps).sqrt()
        centered = x - x.mean(dim=-1, keepdim=True)
        return torch.addcmul(self.shift, centered / deviation, self.scale)


class GELU(nn.Module):
    def _inner(self, x: Tensor) -> Tensor:
        cubic_term = 0.044715 * torch.pow(x, 3.0)
        return math.sqrt(2.0) / math.sqrt(math.pi) * (x + cubic_term)

    def forward(self, x: Tensor) -> Tensor:
        cumulative = (1.0 + torch.tanh(self._inner(x))) / 2.0
        return x * cumulative


class FeedForward(nn.Module):
    def __init__(self, cfg) -> None:
        super().__init__()
        hidden_size: int = EXPANSION_FACTOR * cfg.emb_dim
        expand = nn.Linear(in_features=cfg.emb_dim, out_features=hidden_size)
        contract = nn.Linear(in_features=hidden_size, out_features=cfg.emb_dim)
        self.layers = nn.Sequential(expand, GELU(), contract)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers.forward(x)
        return result


class TransformerBlock(nn.Module):
    def __init__(self, cfg) -> None:
        super().__init__()
        self.norm1 = LayerNorm(emb_dim=cfg.emb_dim)
        self.att = MultiHeadAttention(
            d_in=cfg.emb_dim, d_out=cfg.emb_dim, context_length=cfg.context_length,
            dropout=cfg.drop_rate, num_heads=cfg.n_heads, qkv_bias=cfg.qkv_bias,
        )
        self.norm2 = LayerNorm(emb_dim=cfg.emb_dim)
        self.ff = FeedForward(cfg=cfg)
        self.drop_shortcut = nn.Dropout(p=cfg.drop_rate)

    def _drop(self, added: Tensor) -> Tensor:
        if not self.drop_shortcut.training or self.drop_shortcut.p == 0:
            return added
        kept = (torch.rand(added.shape, dtype=added.dtype) >= self.drop_shortcut.p).to(added.dtype)
        return added * kept / (1 - self.drop_shortcut.p)

    def _attend(self, stream: Tensor) -> Tensor:
        return self._drop(self.att(self.norm1(stream)))

    def _digest(self, stream: Tensor) -> Tensor:
        return self._drop(self.ff(self.norm2(stream)))

    def forward(self, x: Tensor) -> Tensor:
        after_attention = x + self._attend(x)
        after_feed_forward = after_attention + self._digest(after_attention)
        return after_feed_forward
