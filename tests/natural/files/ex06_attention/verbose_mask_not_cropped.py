# wrong: mask-not-cut-to-the-tokens
# In CausalAttention the mask keeps the size of the whole context.
from typing import Callable, Optional

import torch
from torch import Tensor, nn


class AttentionComputer:
    """Computes attention, step by step."""

    def __init__(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        self._query = query
        self._key = key
        self._value = value

    def compute_scores(self) -> Tensor:
        width = self._key.shape[-1]
        return torch.matmul(self._query, torch.swapaxes(self._key, -1, -2)) / torch.sqrt(torch.tensor(float(width)))

    def compute_context(self, weights: Tensor) -> Tensor:
        return torch.matmul(weights, self._value)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Optional[Tensor] = None,
    dropout: Optional[Callable[[Tensor], Tensor]] = None,
) -> Tensor:
    computer = AttentionComputer(query, key, value)
    attention_scores = computer.compute_scores()
    if mask is not None:
        attention_scores = attention_scores.masked_fill(mask, float("-inf"))
    attention_weights = torch.nn.functional.softmax(attention_scores, dim=-1)
    if dropout is not None:
        attention_weights = dropout(attention_weights)
    return computer.compute_context(attention_weights)


def causal_mask(length: int) -> Tensor:
    all_ones = torch.ones((length, length), dtype=torch.int64)
    upper_triangle = torch.triu(all_ones, diagonal=1)
    return upper_triangle.to(torch.bool)


class SelfAttention(nn.Module):
    def __init__(self, d_in: int, d_out: int, qkv_bias: bool = False) -> None:
        super().__init__()
        self.W_query = nn.Linear(in_features=d_in, out_features=d_out, bias=qkv_bias)
        self.W_key = nn.Linear(in_features=d_in, out_features=d_out, bias=qkv_bias)
        self.W_value = nn.Linear(in_features=d_in, out_features=d_out, bias=qkv_bias)

    def forward(self, x: Tensor) -> Tensor:
        computer = AttentionComputer(self.W_query(x), self.W_key(x), self.W_value(x))
        return computer.compute_context(torch.softmax(computer.compute_scores(), dim=-1))


class CausalAttention(nn.Module):
    def __init__(
        self, d_in: int, d_out: int, context_length: int, dropout: float, qkv_bias: bool = False
    ) -> None:
        super().__init__()
        self.context_length = context_length
        self.W_query = nn.Linear(in_features=d_in, out_features=d_out, bias=qkv_bias)
        self.W_key = nn.Linear(in_features=d_in, out_features=d_out, bias=qkv_bias)
        self.W_value = nn.Linear(in_features=d_in, out_features=d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x: Tensor) -> Tensor:
        number_of_tokens = x.shape[1]
        if number_of_tokens > self.context_length:
            raise ValueError(
                "The sequence has " + str(number_of_tokens) + " tokens, allowed are " + str(self.context_length)
            )
        computer = AttentionComputer(self.W_query(x), self.W_key(x), self.W_value(x))
        attention_scores = computer.compute_scores()
        attention_scores = attention_scores.masked_fill(self.mask, float("-inf"))
        attention_weights = torch.softmax(attention_scores, dim=-1)
        attention_weights = self.dropout(attention_weights)
        return computer.compute_context(attention_weights)
