# wrong: unscaled-scores, dropout-ignored
# Both in the function: no √d, and what the dropout returns is thrown away.
import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    sim = query @ key.transpose(-1, -2)
    if mask is not None:
        sim.masked_fill_(mask, -torch.inf)
    sim = torch.softmax(sim, dim=-1)
    if dropout is not None:
        dropout(sim)
    return sim @ value


def causal_mask(length):
    return torch.triu(torch.full((length, length), True), 1)


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        q = self.W_query(x)
        k = self.W_key(x)
        v = self.W_value(x)
        return scaled_dot_product_attention(q, k, v)


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        b, t, _ = x.shape
        if t > len(self.mask):
            raise ValueError(f"can not attend to {t} tokens, only {len(self.mask)}")
        q = self.W_query(x)
        k = self.W_key(x)
        v = self.W_value(x)
        return scaled_dot_product_attention(q, k, v, self.mask[:t, :t], self.dropout)
