# wrong: mask-hides-the-present
# The mask is filled by two loops with >= where > should be.
import torch
import torch.nn as nn


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    scale = 1.0 / (key.size(-1) ** 0.5)
    att = (query @ key.transpose(-2, -1)) * scale
    if mask is not None:
        att = att.masked_fill(mask, float("-inf"))
    att = att.softmax(dim=-1)
    if dropout is not None:
        att = dropout(att)
    return att @ value


def causal_mask(length):
    mask = torch.zeros(length, length, dtype=torch.bool)
    for i in range(length):
        for j in range(length):
            if j >= i:
                mask[i][j] = True
    return mask


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query, self.W_key, self.W_value = (nn.Linear(d_in, d_out, qkv_bias) for _ in range(3))

    def forward(self, x):
        return scaled_dot_product_attention(query=self.W_query(x), key=self.W_key(x), value=self.W_value(x))


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query, self.W_key, self.W_value = (nn.Linear(d_in, d_out, qkv_bias) for _ in range(3))
        self.register_buffer("mask", causal_mask(context_length))
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x):
        _, T, _ = x.shape
        context = self.mask.size(0)
        if T > context:
            raise ValueError("sequence length %d exceeds context %d" % (T, context))
        return scaled_dot_product_attention(
            query=self.W_query(x),
            key=self.W_key(x),
            value=self.W_value(x),
            mask=self.mask[:T, :T],
            dropout=self.dropout,
        )
