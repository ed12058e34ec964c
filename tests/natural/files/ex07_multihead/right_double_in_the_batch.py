# right: heads folded into the batch, float64 in between and cast back, a class of helpers.
import torch
from torch import nn

from . import ex06_attention as ex06


class Fold:
    def __init__(self, num_heads):
        self.num_heads = num_heads

    def into_batch(self, x):
        b, t, d = x.shape
        return split_heads(x, self.num_heads).reshape(b * self.num_heads, t, d // self.num_heads)

    def out_of_batch(self, x):
        return merge_heads(x.reshape(-1, self.num_heads, *x.shape[1:]))


def split_heads(x, num_heads):
    remainder = x.shape[2] % num_heads
    if remainder > 0:
        raise ValueError("{} % {} = {}".format(x.shape[2], num_heads, remainder))
    return x.reshape(*x.shape[:2], num_heads, -1).transpose(2, 1)


def merge_heads(x):
    return x.transpose(2, 1).reshape(x.shape[0], x.shape[2], -1)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads > 0:
            raise ValueError("{} % {} is not 0".format(d_out, num_heads))
        self.num_heads = num_heads
        self.fold = Fold(num_heads)
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", ex06.causal_mask(context_length), persistent=False)

    def forward(self, x):
        n, limit = x.shape[1], self.mask.shape[0]
        if n > limit:
            raise ValueError("{} > {}".format(n, limit))
        q, k, v = (self.fold.into_batch(w(x)).double() for w in (self.W_query, self.W_key, self.W_value))
        context = ex06.scaled_dot_product_attention(q, k, v, self.mask[:n, :n], self.dropout)
        return self.out_proj(self.fold.out_of_batch(context).to(x.dtype))
