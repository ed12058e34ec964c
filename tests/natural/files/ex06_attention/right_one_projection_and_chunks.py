# right: the three weights are put together for one product, keys are worked off in chunks, an online softmax.
import torch
from torch import nn

CHUNK = 3


def scaled_dot_product_attention(query, key, value, mask=None, dropout=None):
    pieces = []
    for start in range(0, key.shape[-2], CHUNK):
        piece = query @ key[..., start : start + CHUNK, :].mT / key.shape[-1] ** 0.5
        if mask is not None:
            piece = piece.masked_fill(mask[..., start : start + CHUNK], -torch.inf)
        pieces.append(piece)
    scores = torch.cat(pieces, dim=-1)
    weights = (scores - scores.logsumexp(dim=-1, keepdim=True)).exp()
    if dropout is not None:
        weights = dropout(weights)
    return torch.cat([weights @ value[..., i : i + 1] for i in range(value.shape[-1])], dim=-1)


def causal_mask(length):
    grid = torch.meshgrid(torch.arange(length), torch.arange(length), indexing="ij")
    return grid[1].gt(grid[0])


def project(x, *layers):
    weight = torch.cat([layer.weight for layer in layers])
    bias = None if layers[0].bias is None else torch.cat([layer.bias for layer in layers])
    return nn.functional.linear(x, weight, bias).tensor_split(len(layers), dim=-1)


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        return scaled_dot_product_attention(*project(x, self.W_query, self.W_key, self.W_value))


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    @property
    def context_length(self):
        return self.mask.shape[-1]

    def forward(self, x):
        length = x.shape[-2]
        if length > self.context_length:
            raise ValueError(f"{length} tokens for {self.context_length} places")
        query, key, value = project(x, self.W_query, self.W_key, self.W_value)
        hidden = self.mask.narrow(0, 0, length).narrow(1, 0, length)
        return scaled_dot_product_attention(query, key, value, hidden, self.dropout)
