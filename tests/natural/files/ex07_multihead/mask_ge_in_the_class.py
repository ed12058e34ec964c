# wrong: mask-hides-the-present
# The mask is made here, by a comparison with >=, so no token sees itself.
import torch
from torch import nn


def split_heads(x, num_heads):
    if x.shape[-1] % num_heads != 0:
        raise ValueError(f"{x.shape[-1]} columns, {num_heads} heads")
    return x.reshape(x.shape[0], x.shape[1], num_heads, x.shape[-1] // num_heads).swapaxes(1, 2)


def merge_heads(x):
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads != 0:
            raise ValueError(f"{d_out} columns, {num_heads} heads")
        self.num_heads = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        rows = torch.arange(context_length).unsqueeze(1)
        columns = torch.arange(context_length).unsqueeze(0)
        self.register_buffer("mask", columns >= rows, persistent=False)

    def forward(self, x):
        T, C = x.shape[1], self.mask.shape[0]
        if T > C:
            raise ValueError(f"{T} tokens with a context of {C}")
        q = split_heads(self.W_query(x), self.num_heads)
        k = split_heads(self.W_key(x), self.num_heads)
        v = split_heads(self.W_value(x), self.num_heads)
        s = q @ k.swapaxes(2, 3) / (q.shape[3] ** 0.5)
        s = torch.where(self.mask[:T, :T], float("-inf"), s)
        w = self.dropout(torch.softmax(s, dim=3))
        return self.out_proj(merge_heads(w @ v))
