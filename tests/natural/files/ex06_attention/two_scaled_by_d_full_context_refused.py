# wrong: scaled-by-d, full-context-refused
# The function divides by d; CausalAttention compares with >=.
import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    *_, d = key.shape
    affinity = torch.matmul(query, key.transpose(-1, -2)).true_divide(d)
    if mask is not None:
        affinity = affinity.masked_fill(mask, -torch.inf)
    share = affinity.softmax(dim=-1)
    share = dropout(share) if dropout is not None else share
    return share.matmul(value)


def causal_mask(length):
    return torch.tensor([[s > t for s in range(length)] for t in range(length)])


def projections(module, x):
    return [layer(x) for layer in (module.W_query, module.W_key, module.W_value)]


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        return scaled_dot_product_attention(*projections(self, x))


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
        T = x.shape[1]
        if T >= self.context_length:
            raise ValueError(f"{T} tokens are too many, {self.context_length} is the limit")
        hidden = self.mask[:T, :T]
        return scaled_dot_product_attention(*projections(self, x), mask=hidden, dropout=self.dropout)
