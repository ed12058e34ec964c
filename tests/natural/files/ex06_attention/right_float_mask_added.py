# right: what is hidden is a float mask that is added, and the buffer of CausalAttention is of numbers.
import torch
import torch.nn as nn
import torch.nn.functional as F


def additive(mask, like):
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, float("-inf"))


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    scores = torch.matmul(query / query.shape[-1] ** 0.25, (key / key.shape[-1] ** 0.25).transpose(-2, -1))
    if mask is not None:
        scores = scores + additive(mask, scores)
    log_weights = F.log_softmax(scores, dim=-1)
    weights = log_weights.exp()
    if dropout is not None:
        weights = dropout(weights)
    return torch.matmul(weights, value)


def causal_mask(length):
    return torch.ones(length, length).cumsum(1) > torch.ones(length, length).cumsum(0)


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x):
        query, key, value = self.W_query(x), self.W_key(x), self.W_value(x)
        weights = self.softmax(torch.bmm(query, key.transpose(1, 2)) / key.shape[-1] ** 0.5)
        return torch.bmm(weights, value)


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", torch.triu(torch.ones(context_length, context_length), diagonal=1))

    def forward(self, x):
        batch, length, width = x.shape
        limit = self.mask.shape[-1]
        if length > limit:
            raise ValueError(f"Sequence length {length} exceeds context length {limit}")
        query, key, value = self.W_query(x), self.W_key(x), self.W_value(x)
        scores = torch.bmm(query, key.transpose(1, 2)) / key.shape[-1] ** 0.5
        scores.masked_fill_(self.mask[:length, :length].bool(), -torch.inf)
        weights = F.dropout(F.softmax(scores, dim=-1), self.dropout.p, training=self.training)
        return torch.bmm(weights, value)
