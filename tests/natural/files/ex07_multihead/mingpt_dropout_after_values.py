# wrong: dropout-on-the-context
# minGPT's layout; the dropout is on y, before the heads are put together.
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def split_heads(x, num_heads):
    B, T, C = x.size()
    if C % num_heads != 0:
        raise ValueError(f"embedding size {C} is no multiple of {num_heads}")
    return x.view(B, T, num_heads, C // num_heads).transpose(1, 2)  # (B, nh, T, hs)


def merge_heads(x):
    B, nh, T, hs = x.size()
    return x.transpose(1, 2).contiguous().view(B, T, nh * hs)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads != 0:
            raise ValueError(f"embedding size {d_out} is no multiple of {num_heads}")
        self.num_heads = self.n_head = num_heads
        self.n_embd = d_out
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        tril = torch.tril(torch.ones(context_length, context_length))
        self.register_buffer("mask", tril == 0, persistent=False)

    def forward(self, x):
        B, T, C = x.size()
        if T > self.mask.size(0):
            raise ValueError(f"Cannot forward sequence of length {T}, block size is only {self.mask.size(0)}")
        hs = self.n_embd // self.n_head
        q = self.W_query(x).view(B, T, self.n_head, hs).transpose(1, 2)
        k = self.W_key(x).view(B, T, self.n_head, hs).transpose(1, 2)
        v = self.W_value(x).view(B, T, self.n_head, hs).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.mask[None, None, :T, :T], float("-inf"))
        att = F.softmax(att, dim=-1)
        y = self.dropout(att @ v)
        y = y.transpose(1, 2).contiguous().view(B, T, self.n_embd)
        return self.out_proj(y)
