# wrong: variance-divided-by-d-minus-1
# The squares are added up by einsum and divided by D - 1.
import math
import torch
from torch import nn
from .ex07_multihead import MultiHeadAttention


class LayerNorm(nn.Module):
    def __init__(self, emb_dim):
        super().__init__()
        self.emb_dim = emb_dim
        self.eps = 1e-5
        self.scale = nn.Parameter(torch.ones(emb_dim))
        self.shift = nn.Parameter(torch.zeros(emb_dim))

    def forward(self, x):
        n = x.shape[-1]
        mu = x.sum(-1, keepdim=True) / n
        dev = x - mu
        sigma2 = torch.einsum("...i,...i->...", dev, dev)[..., None] / (n - 1)
        return self.scale * dev * torch.rsqrt(sigma2 + self.eps) + self.shift


class GELU(nn.Module):
    def forward(self, x):
        u = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * (x + x * torch.tanh(u))


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d = cfg.emb_dim
        self.layers = nn.Sequential(nn.Linear(d, 4 * d), GELU(), nn.Linear(4 * d, d))

    def forward(self, h):
        return self.layers(h)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d = cfg.emb_dim
        self.norm1 = LayerNorm(d)
        self.att = MultiHeadAttention(d, d, cfg.context_length, cfg.drop_rate, cfg.n_heads, cfg.qkv_bias)
        self.norm2 = LayerNorm(d)
        self.ff = FeedForward(cfg)
        self.drop_shortcut = nn.Dropout(cfg.drop_rate)

    def forward(self, h):
        h = h + self.drop_shortcut(self.att(self.norm1(h)))
        h = h + self.drop_shortcut(self.ff(self.norm2(h)))
        return h
