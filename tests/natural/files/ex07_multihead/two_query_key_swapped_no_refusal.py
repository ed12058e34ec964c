# wrong: query-and-key-exchanged, too-many-tokens-not-refused
# Both in forward: key @ queryᵀ, and nothing compares T with the context.
import torch
import torch.nn as nn

from .ex06_attention import causal_mask


def split_heads(x, num_heads):
    b, t, d = x.shape
    if d % num_heads:
        raise ValueError(f"{d} % {num_heads} is not 0")
    return x.view(b, t, num_heads, d // num_heads).permute(0, 2, 1, 3) if x.is_contiguous() else split_heads(
        x.contiguous(), num_heads
    )


def merge_heads(x):
    return x.permute(0, 2, 1, 3).flatten(2)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads:
            raise ValueError(f"{d_out} % {num_heads} is not 0")
        self.num_heads = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x):
        t = x.shape[1]
        q = split_heads(self.W_query(x), self.num_heads)
        k = split_heads(self.W_key(x), self.num_heads)
        v = split_heads(self.W_value(x), self.num_heads)
        w = k @ q.transpose(-2, -1) / q.shape[-1] ** 0.5
        w = w.masked_fill(self.mask[:t, :t], -torch.inf)
        w = self.dropout(torch.softmax(w, dim=-1))
        return self.out_proj(merge_heads(w @ v))
