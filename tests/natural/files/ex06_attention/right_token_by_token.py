# right: one query after the other, generators, no mask used where a slice will do.
import torch
from torch import nn


def _row(q, key, value, hidden, dropout):
    s = (key * q.unsqueeze(-2)).sum(-1) / q.shape[-1] ** 0.5
    if hidden is not None:
        s = s.masked_fill(hidden, float("-inf"))
    return s.softmax(-1)


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    n = query.shape[-2]
    if mask is not None:
        mask = mask.expand(*query.shape[:-1], key.shape[-2])
    rows = (_row(query[..., t, :], key, value, None if mask is None else mask[..., t, :], dropout) for t in range(n))
    weights = torch.stack(list(rows), dim=-2)
    if dropout is not None:
        weights = dropout(weights)
    return sum(weights[..., s, None] * value[..., None, s, :] for s in range(key.shape[-2]))


def causal_mask(length):
    def build(t):
        if t == length:
            return []
        return [torch.arange(length) > t] + build(t + 1)

    return torch.stack(build(0))


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        return torch.stack(
            [
                scaled_dot_product_attention(self.W_query(one), self.W_key(one), self.W_value(one))
                for one in x.unbind(0)
            ]
        )


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
            raise ValueError(f"{T} tokens, room for {self.mask.shape[0]}")
        q, k, v = self.W_query(x), self.W_key(x), self.W_value(x)
        rows = [
            scaled_dot_product_attention(q[:, t : t + 1], k[:, : t + 1], v[:, : t + 1], dropout=self.dropout)
            for t in range(T)
        ]
        return torch.cat(rows, dim=1)
