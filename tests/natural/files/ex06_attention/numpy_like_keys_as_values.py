# wrong: causal-attention-uses-keys-as-values
# The context of CausalAttention is made of the keys.
import torch as np
from torch import nn


def softmax(z):
    z = z - np.amax(z, -1, keepdim=True)
    e = np.exp(z)
    return e / np.sum(e, -1, keepdim=True)


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    z = np.matmul(query, np.swapaxes(key, -1, -2)) / np.sqrt(np.tensor(key.shape[-1], dtype=key.dtype))
    if mask is not None:
        z = np.where(mask, -np.inf, z)
    a = softmax(z)
    if dropout is not None:
        a = dropout(a)
    return np.matmul(a, value)


def causal_mask(length):
    return np.triu(np.ones((length, length)), 1) > 0


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
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        q = self.W_query(x)
        k = self.W_key(x)
        v = self.W_value(x)
        n, m = q.shape[1], self.mask.shape[1]
        if n > m:
            raise ValueError(f"{n} tokens > {m}")
        z = np.matmul(q, k.swapaxes(1, 2)) / v.shape[-1] ** 0.5
        z = np.where(self.mask[:n, :n], -np.inf, z)
        a = self.dropout(softmax(z))
        return np.matmul(a, k)
