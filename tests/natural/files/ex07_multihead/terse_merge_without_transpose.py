# wrong: heads-not-merged
# The class reshapes (B, H, T, h) into (B, T, D) without exchanging H and T.
import torch
from torch import nn
from .ex06_attention import causal_mask, scaled_dot_product_attention as sdpa


def _check(D, H):
    if D % H: raise ValueError(f"{D} / {H} leaves a rest")


def split_heads(x, num_heads):
    _check(x.shape[-1], num_heads)
    return torch.stack(x.chunk(num_heads, -1), 1)


def merge_heads(x): return torch.cat(x.unbind(1), -1)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        _check(d_out, num_heads)
        self.num_heads, self.T = num_heads, context_length
        self.W_query, self.W_key, self.W_value = (nn.Linear(d_in, d_out, bias=qkv_bias) for _ in range(3))
        self.out_proj, self.dropout = nn.Linear(d_out, d_out), nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x):
        B, T, _ = x.shape
        if T > self.T: raise ValueError(f"{T} > {self.T}")
        q, k, v = (split_heads(W(x), self.num_heads) for W in (self.W_query, self.W_key, self.W_value))
        return self.out_proj(sdpa(q, k, v, self.mask[:T, :T], self.dropout).reshape(B, T, -1))
