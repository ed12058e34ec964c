# wrong: split-does-not-check, dropout-on-the-output
# split_heads lets torch complain; the dropout comes after out_proj.
import torch
from torch import nn

from .ex06_attention import causal_mask, scaled_dot_product_attention


def split_heads(x, num_heads):
    batch, length, width = x.shape
    return x.reshape(batch, length, num_heads, width // num_heads).transpose(1, 2)


def merge_heads(x):
    batch, heads, length, size = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * size)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads != 0:
            raise ValueError(f"num_heads={num_heads} is no divisor of d_out={d_out}")
        self.num_heads = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def _heads(self, layer, x):
        return split_heads(layer(x), self.num_heads)

    def forward(self, x):
        length = x.shape[1]
        if length > self.mask.shape[0]:
            raise ValueError(f"{length} tokens, but the mask is only {self.mask.shape[0]} long")
        context = scaled_dot_product_attention(
            self._heads(self.W_query, x),
            self._heads(self.W_key, x),
            self._heads(self.W_value, x),
            self.mask[:length, :length],
        )
        return self.dropout(self.out_proj(merge_heads(context)))
