# wrong: keys-transposed-by-capital-t
# The function is right. SelfAttention and CausalAttention have code of their own, from a notebook without a batch.
import math

import torch
import torch.nn as nn
from torch.nn.functional import softmax


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    scores = query.matmul(key.transpose(-1, -2)).div(math.sqrt(query.shape[-1]))
    if mask is not None:
        scores[mask.expand_as(scores)] = float("-inf")
    w = softmax(scores, -1)
    return (w if dropout is None else dropout(w)).matmul(value)


def causal_mask(length):
    idx = torch.arange(length)
    return idx > idx.unsqueeze(1)


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.d_out = d_out
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        queries, keys, values = self.W_query(x), self.W_key(x), self.W_value(x)
        attn_weights = softmax(queries @ keys.T / self.d_out**0.5, dim=-1)
        return attn_weights @ values


class CausalAttention(SelfAttention):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__(d_in, d_out, qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        n = x.shape[1]
        if n > len(self.mask):
            raise ValueError(f"{n} > {len(self.mask)}")
        queries, keys, values = self.W_query(x), self.W_key(x), self.W_value(x)
        scores = queries @ keys.T
        scores = scores.masked_fill(self.mask[:n, :n], -torch.inf)
        attn_weights = self.dropout(softmax(scores / self.d_out**0.5, dim=-1))
        return attn_weights @ values
