# wrong: multiplied-by-root-d
# SelfAttention keeps a scale of its own and multiplies by √d.
import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    scores = torch.einsum("...qd,...kd->...qk", query, key) / torch.tensor(key.shape[-1]).sqrt()
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    weights = scores.softmax(-1)
    if dropout is not None:
        weights = dropout(weights)
    return torch.einsum("...qk,...kd->...qd", weights, value)


def causal_mask(length):
    return torch.ones(length, length, dtype=bool).triu(1)


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.scale = d_out**0.5

    def forward(self, x):
        scores = torch.einsum("bqd,bkd->bqk", self.W_query(x), self.W_key(x)) * self.scale
        return torch.einsum("bqk,bkd->bqd", scores.softmax(-1), self.W_value(x))


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        T = x.shape[1]
        if T > self.mask.shape[0]:
            raise ValueError(f"T={T} is more than {self.mask.shape[0]}")
        return scaled_dot_product_attention(
            self.W_query(x), self.W_key(x), self.W_value(x), self.mask[:T, :T], self.dropout
        )
