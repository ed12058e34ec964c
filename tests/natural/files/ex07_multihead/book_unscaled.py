# wrong: unscaled-scores
# The class does its own arithmetic and forgets to divide.
import torch
import torch.nn as nn


def split_heads(x, num_heads):
    batch, tokens, width = x.size()
    if width % num_heads:
        raise ValueError(f"cannot cut {width} into {num_heads} heads")
    x = x.reshape(batch, tokens, num_heads, -1)
    return x.permute(0, 2, 1, 3)


def merge_heads(x):
    x = x.permute(0, 2, 1, 3)
    return x.reshape(x.shape[0], x.shape[1], -1)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads:
            raise ValueError(f"cannot cut {d_out} into {num_heads} heads")
        self.num_heads = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        mask = torch.triu(torch.ones(context_length, context_length), diagonal=1).bool()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        T = x.size(1)
        if T > self.mask.size(0):
            raise ValueError(f"{T} tokens do not go into {self.mask.size(0)}")
        q = split_heads(self.W_query(x), self.num_heads)
        k = split_heads(self.W_key(x), self.num_heads)
        v = split_heads(self.W_value(x), self.num_heads)
        att = q @ k.transpose(-2, -1)
        att = att.masked_fill(self.mask[:T, :T], float("-inf"))
        att = self.dropout(att.softmax(dim=-1))
        return self.out_proj(merge_heads(att @ v))
