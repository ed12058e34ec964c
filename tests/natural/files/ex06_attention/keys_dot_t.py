# wrong: keys-transposed-by-capital-t
# keys.T reverses all axes, not only the last two; two axes work, three do not.
import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    d_k = key.shape[-1]
    scores = query @ key.T
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    weights = torch.softmax(scores / d_k**0.5, dim=-1)
    if dropout is not None:
        weights = dropout(weights)
    context = weights @ value
    return context


def causal_mask(length):
    ones = torch.ones(length, length)
    return torch.triu(ones, diagonal=1) == 1


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        return scaled_dot_product_attention(self.W_query(x), self.W_key(x), self.W_value(x))


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.context_length = context_length
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        T = x.size(1)
        if T > self.context_length:
            raise ValueError(f"sequence of {T} tokens is longer than {self.context_length}")
        return scaled_dot_product_attention(
            self.W_query(x), self.W_key(x), self.W_value(x), self.mask[:T, :T], self.dropout
        )
