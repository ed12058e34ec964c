# wrong: dropout-also-in-evaluation
# F.dropout without training=, in a CausalAttention of its own.
import torch
import torch.nn.functional as F
from torch import nn


def attention_weights(query, key, mask=None):
    scores = query @ key.transpose(-2, -1) / key.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    return F.softmax(scores, dim=-1)


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    weights = attention_weights(query, key, mask)
    if dropout is not None:
        weights = dropout(weights)
    return weights @ value


def causal_mask(length):
    return torch.triu(torch.ones(length, length), diagonal=1).to(torch.bool)


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        return attention_weights(self.W_query(x), self.W_key(x)) @ self.W_value(x)


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        tokens = x.shape[1]
        if tokens > self.mask.shape[1]:
            raise ValueError(f"{tokens} tokens exceed {self.mask.shape[1]}")
        weights = attention_weights(self.W_query(x), self.W_key(x), self.mask[:tokens, :tokens])
        weights = F.dropout(weights, self.dropout.p)
        return weights @ self.W_value(x)
