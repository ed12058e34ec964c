# right: means by einsum, the two halves folded with functools.reduce, a sigmoid for the tanh.
from functools import reduce

import torch
from torch import nn

from .ex07_multihead import MultiHeadAttention as Attn


def avg(t):
    return torch.einsum("...d->...", t).div(t.size(-1)).unsqueeze(-1)


class LayerNorm(nn.Module):
    def __init__(self, emb_dim):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(emb_dim)), nn.Parameter(torch.zeros(emb_dim))
        self.eps = 0.00001

    def forward(self, x):
        c = x - avg(x)
        return torch.einsum("...d,d->...d", c * (avg(c * c) + self.eps).rsqrt(), self.scale) + self.shift


class GELU(nn.Module):
    C = (8 / torch.pi) ** 0.5

    def forward(self, x):
        return x * torch.sigmoid(self.C * (x + 0.044715 * x.pow(3)))


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d = cfg.emb_dim
        self.layers = nn.Sequential(nn.Linear(d, d * 4), GELU(), nn.Linear(d * 4, d))

    forward = lambda self, x: self.layers(x)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d = cfg.emb_dim
        self.norm1, self.norm2 = LayerNorm(d), LayerNorm(d)
        self.att, self.ff = Attn(d, d, cfg.context_length, cfg.drop_rate, cfg.n_heads, qkv_bias=cfg.qkv_bias), FeedForward(cfg)
        self.drop_shortcut = nn.Dropout(p=cfg.drop_rate)

    def forward(self, x):
        halves = [(self.norm1, self.att), (self.norm2, self.ff)]
        return reduce(lambda stream, half: stream + self.drop_shortcut(half[1](half[0](stream))), halves, x)
