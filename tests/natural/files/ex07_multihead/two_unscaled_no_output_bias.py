# wrong: unscaled-scores, output-without-a-bias
# Own arithmetic without the division, and out_proj follows the habit bias=False.
import torch
from torch import nn
from torch.nn import functional as F

from .ex06_attention import causal_mask


def split_heads(x, num_heads):
    B, T, D = x.shape
    if D % num_heads != 0:
        raise ValueError(f"D = {D} and H = {num_heads}")
    return x.unflatten(2, (num_heads, D // num_heads)).transpose(1, 2)


def merge_heads(x):
    return x.transpose(1, 2).flatten(2, 3)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads != 0:
            raise ValueError(f"D = {d_out} and H = {num_heads}")
        self.num_heads = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x):
        T = x.shape[1]
        if T > self.mask.shape[0]:
            raise ValueError(f"T = {T} and the context is {self.mask.shape[0]}")
        Q = split_heads(self.W_query(x), self.num_heads)
        K = split_heads(self.W_key(x), self.num_heads)
        V = split_heads(self.W_value(x), self.num_heads)
        S = torch.einsum("bhqd,bhkd->bhqk", Q, K)
        P = F.softmax(S.masked_fill(self.mask[:T, :T], -torch.inf), dim=-1)
        return self.out_proj(merge_heads(self.dropout(P) @ V))
