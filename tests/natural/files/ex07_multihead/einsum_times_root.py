# wrong: multiplied-by-the-root
# einsum; the scores are multiplied by √h.
import math

import torch
from torch import einsum, nn

from .ex06_attention import causal_mask


def split_heads(x, num_heads):
    *_, d = x.shape
    if d % num_heads > 0:
        raise ValueError(f"width {d}, heads {num_heads}")
    return x.unflatten(-1, (num_heads, d // num_heads)).movedim(2, 1)


def merge_heads(x):
    return x.movedim(1, 2).flatten(-2)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads > 0:
            raise ValueError(f"width {d_out}, heads {num_heads}")
        self.num_heads = num_heads
        self.scale = math.sqrt(d_out // num_heads)
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out, bias=True)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x):
        n = x.shape[1]
        if n > self.mask.shape[1]:
            raise ValueError(f"length {n}, at most {self.mask.shape[1]}")
        q, k, v = (split_heads(w(x), self.num_heads) for w in (self.W_query, self.W_key, self.W_value))
        sim = einsum("b h i d, b h j d -> b h i j", q, k) * self.scale
        sim = sim.masked_fill(self.mask[:n, :n], -torch.inf)
        attn = self.dropout(sim.softmax(dim=-1))
        out = einsum("b h i j, b h j d -> b h i d", attn, v)
        return self.out_proj(merge_heads(out))
