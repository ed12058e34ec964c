# right: each head has its rows of the weights, no mask in forward but slices of the past.
import torch
from torch import nn
from torch.nn.functional import linear

from .ex06_attention import causal_mask


def split_heads(x, num_heads):
    width = x.shape[-1]
    if width not in range(0, width + 1, num_heads):
        raise ValueError(f"{num_heads} heads for {width} numbers")
    return torch.stack(torch.tensor_split(x, num_heads, dim=-1), dim=-3)


def merge_heads(x):
    first, *others = x.unbind(-3)
    for other in others:
        first = torch.cat((first, other), dim=-1)
    return first * 1


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        self.size, rest = divmod(d_out, num_heads)
        if rest != 0:
            raise ValueError(f"{num_heads} heads for {d_out} numbers")
        self.num_heads, self.context_length = num_heads, context_length
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def head(self, layer, index, x):
        rows = slice(index * self.size, (index + 1) * self.size)
        return linear(x, layer.weight[rows], None if layer.bias is None else layer.bias[rows])

    def attend(self, index, x):
        query, key, value = (self.head(layer, index, x) for layer in (self.W_query, self.W_key, self.W_value))
        for t in range(x.shape[1]):
            scores = (query[:, t, None] * key[:, : t + 1]).sum(-1) / self.size**0.5
            yield (self.dropout(scores.softmax(-1))[..., None] * value[:, : t + 1]).sum(1)

    def forward(self, x):
        if x.shape[1] > self.context_length:
            raise ValueError(f"{x.shape[1]} tokens for a context of {self.context_length}")
        heads = [torch.stack(list(self.attend(index, x)), dim=1) for index in range(self.num_heads)]
        return self.out_proj(torch.cat(heads, dim=-1))
