# wrong: merge-interleaved, full-context-refused
# merge_heads gathers number 0 of every head first; the class refuses T equal to the context.
import torch
from torch import nn

from .ex06_attention import causal_mask, scaled_dot_product_attention


def split_heads(x, num_heads):
    b, t, d = x.shape
    if d % num_heads:
        raise ValueError(f"{d} into {num_heads} does not go")
    parts = [x[:, :, i : i + d // num_heads] for i in range(0, d, d // num_heads)]
    return torch.stack(parts).transpose(0, 1)


def merge_heads(x):
    b, h, t, s = x.shape
    columns = [x[:, i, :, j] for j in range(s) for i in range(h)]
    return torch.stack(columns, dim=-1)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads:
            raise ValueError(f"{d_out} into {num_heads} does not go")
        self.num_heads = num_heads
        self.context_length = context_length
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x):
        t = x.shape[1]
        if not t < self.context_length:
            raise ValueError(f"{t} does not fit into {self.context_length}")
        heads = [split_heads(layer(x), self.num_heads) for layer in (self.W_query, self.W_key, self.W_value)]
        return self.out_proj(merge_heads(scaled_dot_product_attention(*heads, self.mask[:t, :t], self.dropout)))
