# right: einsum everywhere, and a second buffer that holds the scale.
import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    sim = torch.einsum("...id,...jd->...ij", query, key) * key.size(-1) ** -0.5
    if mask is not None:
        sim = sim.masked_fill(mask, -torch.finfo(sim.dtype).max)
    attn = sim.softmax(-1)
    if dropout is not None:
        attn = dropout(attn)
    return torch.einsum("...ij,...jd->...id", attn, value)


def causal_mask(length):
    return torch.ones((length, length), dtype=torch.bool).triu(1)


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.register_buffer("scale", torch.tensor(d_out**-0.5), persistent=False)

    def forward(self, x):
        sim = torch.einsum("bid,bjd->bij", self.W_query(x), self.W_key(x)) * self.scale
        return torch.einsum("bij,bjd->bid", sim.softmax(-1), self.W_value(x))


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.register_buffer("scale", torch.tensor(d_out**-0.5), persistent=False)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        t = x.shape[1]
        if t > self.mask.shape[0]:
            raise ValueError(f"{t} tokens are more than {self.mask.shape[0]}")
        sim = torch.einsum("bid,bjd->bij", self.W_query(x), self.W_key(x)) * self.scale
        sim = sim.masked_fill(self.mask[:t, :t], -torch.inf)
        return torch.einsum("bij,bjd->bid", self.dropout(sim.softmax(-1)), self.W_value(x))
