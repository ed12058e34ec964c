# wrong: self-attention-ignores-qkv-bias, causal-attention-uses-keys-as-values
# SelfAttention never passes qkv_bias on; CausalAttention takes the values from W_key.
import torch
from torch import nn
from torch.nn import functional as F


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    scale = key.shape[-1] ** -0.5
    scores = (query * scale) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores + torch.zeros_like(scores).masked_fill(mask, -torch.inf)
    weights = F.softmax(scores, dim=-1)
    if dropout is not None:
        weights = dropout(weights)
    return weights @ value


def causal_mask(length):
    return torch.ones(length, length).triu(diagonal=1).bool()


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out)
        self.W_key = nn.Linear(d_in, d_out)
        self.W_value = nn.Linear(d_in, d_out)

    def forward(self, x):
        return scaled_dot_product_attention(self.W_query(x), self.W_key(x), self.W_value(x))


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        query = self.W_query(x)
        key = self.W_key(x)
        value = self.W_key(x)
        T = x.shape[1]
        if T > self.mask.shape[0]:
            raise ValueError(f"{T} > {self.mask.shape[0]}")
        return scaled_dot_product_attention(query, key, value, self.mask[:T, :T], self.dropout)
