# wrong: unscaled-scores, mask-hides-the-present
# SelfAttention does not divide by √d, and causal_mask hides the diagonal.
import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    scores = query @ key.transpose(-2, -1) / key.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask, float("-inf"))
    weights = torch.softmax(scores, dim=-1)
    if dropout is not None:
        weights = dropout(weights)
    return weights @ value


def causal_mask(length):
    positions = torch.arange(length)
    return positions[None, :] >= positions[:, None]


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        omega = self.W_query(x) @ self.W_key(x).transpose(1, 2)
        alpha = torch.softmax(omega, dim=-1)
        return alpha @ self.W_value(x)


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        T, longest = x.shape[1], self.mask.shape[0]
        if longest < T:
            raise ValueError(f"at most {longest} tokens, not {T}")
        return scaled_dot_product_attention(
            self.W_query(x), self.W_key(x), self.W_value(x), self.mask[:T, :T], self.dropout
        )
