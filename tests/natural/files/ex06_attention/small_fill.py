# wrong: hidden-scores-are-not-small-enough
# Hidden scores are replaced by -1e5, which large negative scores undercut.
import torch
from torch import nn

NEG = -1e5


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    s = torch.matmul(query, key.mT) / query.shape[-1] ** 0.5
    if mask is not None:
        s = torch.where(mask, NEG, s)
    p = torch.softmax(s, -1)
    if dropout:
        p = dropout(p)
    return torch.matmul(p, value)


def causal_mask(length):
    r = torch.arange(length)
    return r[None] > r[:, None]


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, qkv_bias)

    def qkv(self, x):
        return self.W_query(x), self.W_key(x), self.W_value(x)

    def forward(self, x):
        return scaled_dot_product_attention(*self.qkv(x))


class CausalAttention(SelfAttention):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__(d_in, d_out, qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x):
        T = x.shape[1]
        if T > self.mask.shape[0]:
            raise ValueError(f"{T} tokens for a context of {self.mask.shape[0]}")
        return scaled_dot_product_attention(*self.qkv(x), self.mask[:T, :T], self.dropout)
