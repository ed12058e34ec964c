# right: float64 inside and cast back, a helper class with static methods.
from __future__ import annotations

import torch
from torch import Tensor, nn


class Maths:
    @staticmethod
    def scores(query: Tensor, key: Tensor) -> Tensor:
        return torch.matmul(query.to(torch.float64), key.to(torch.float64).transpose(-2, -1)).div(
            torch.tensor(key.shape[-1], dtype=torch.float64).sqrt()
        )

    @staticmethod
    def softmax(scores: Tensor) -> Tensor:
        exponentials = torch.exp(scores - scores.max(dim=-1, keepdim=True)[0])
        return exponentials / exponentials.sum(dim=-1, keepdim=True)


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    scores = Maths.scores(query, key)
    if mask is not None:
        scores = torch.where(mask, torch.tensor(float("-inf"), dtype=scores.dtype), scores)
    weights = Maths.softmax(scores).to(value.dtype)
    if dropout is not None:
        weights = dropout(weights)
    return torch.matmul(weights, value)


def causal_mask(length: int) -> Tensor:
    rows = [[False] * (i + 1) + [True] * (length - i - 1) for i in range(length)]
    return torch.tensor(rows, dtype=torch.bool)


class _Base(nn.Module):
    def __init__(self, d_in: int, d_out: int, qkv_bias: bool) -> None:
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)


class SelfAttention(_Base):
    def __init__(self, d_in: int, d_out: int, qkv_bias: bool = False) -> None:
        super().__init__(d_in, d_out, qkv_bias)

    def forward(self, x: Tensor) -> Tensor:
        return scaled_dot_product_attention(self.W_query(x), self.W_key(x), self.W_value(x))


class CausalAttention(_Base):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False) -> None:
        super().__init__(d_in, d_out, qkv_bias)
        self.maximum = context_length
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if not length <= self.maximum:
            raise ValueError("length " + str(length) + " over maximum " + str(self.maximum))
        return scaled_dot_product_attention(
            self.W_query(x), self.W_key(x), self.W_value(x), self.mask[:length, :length], self.dropout
        )
