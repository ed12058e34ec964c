# wrong: only-the-first-sequence
# A loop over the sequences whose `return` is indented one step too far.
import torch
from torch import nn

from .ex06_attention import causal_mask


def split_heads(x, num_heads):
    B, T, D = x.shape
    if D % num_heads:
        raise ValueError(f"D={D}, H={num_heads}")
    h = D // num_heads
    heads = [x[:, :, start : start + h] for start in range(0, D, h)]
    return torch.stack(heads, dim=1)


def merge_heads(x):
    return torch.cat([x[:, head] for head in range(x.shape[1])], dim=-1)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads:
            raise ValueError(f"D={d_out}, H={num_heads}")
        self.num_heads = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def attend(self, sequence):
        T = sequence.shape[0]
        q = split_heads(self.W_query(sequence)[None], self.num_heads)[0]
        k = split_heads(self.W_key(sequence)[None], self.num_heads)[0]
        v = split_heads(self.W_value(sequence)[None], self.num_heads)[0]
        s = q @ k.transpose(1, 2) / k.shape[-1] ** 0.5
        w = torch.softmax(s.masked_fill(self.mask[:T, :T], -torch.inf), dim=-1)
        return self.out_proj(merge_heads((self.dropout(w) @ v)[None]))[0]

    def forward(self, x):
        if x.shape[1] > self.mask.shape[0]:
            raise ValueError(f"T={x.shape[1]}, context {self.mask.shape[0]}")
        results = []
        for sequence in x:
            results.append(self.attend(sequence))
            return torch.stack(results)
