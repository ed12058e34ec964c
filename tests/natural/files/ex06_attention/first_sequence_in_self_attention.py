# wrong: only-the-first-sequence
# SelfAttention works on x[0], as a notebook without a batch does; the rest is right.
import torch
from torch import nn


def softmax_rows(scores):
    return torch.softmax(scores, dim=scores.dim() - 1)


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    n_axes = key.dim()
    scores = torch.matmul(query, key.transpose(n_axes - 2, n_axes - 1)) / key.size(n_axes - 1) ** 0.5
    if mask is not None:
        scores = torch.where(mask, torch.full_like(scores, -torch.inf), scores)
    weights = softmax_rows(scores)
    if dropout is not None:
        weights = dropout(weights)
    return torch.matmul(weights, value)


def causal_mask(length):
    return torch.ones(length, length, dtype=torch.bool).tril().logical_not()


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        tokens = x[0]
        queries, keys, values = self.W_query(tokens), self.W_key(tokens), self.W_value(tokens)
        omega = queries @ keys.T
        return softmax_rows(omega / keys.shape[1] ** 0.5) @ values


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        n, limit = x.shape[1], self.mask.shape[0]
        if n > limit:
            raise ValueError(f"{n} tokens, the limit is {limit}")
        q, k, v = (w(x) for w in (self.W_query, self.W_key, self.W_value))
        return scaled_dot_product_attention(q, k, v, self.mask[:n, :n], self.dropout)
