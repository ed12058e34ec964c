# wrong: gelu-without-the-half, no-dropout-after-the-feed-forward
# The 0.5 of the GELU is missing, and only the attention goes through the dropout.
import math
import torch
from torch import nn
from .ex07_multihead import MultiHeadAttention


class LayerNorm(nn.Module):
    def __init__(self, emb_dim):
        super().__init__()
        self.eps = 1e-5
        self.scale = nn.Parameter(torch.ones(emb_dim))
        self.shift = nn.Parameter(torch.zeros(emb_dim))

    def forward(self, x):
        var, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
        return (x - mean).div((var + self.eps).sqrt()).mul(self.scale).add(self.shift)


def tanh_part(x):
    return torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3)))


class GELU(nn.Module):
    def forward(self, x):
        return x + x * tanh_part(x)


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        n = cfg.emb_dim
        self.layers = nn.Sequential(nn.Linear(n, 4 * n), GELU(), nn.Linear(4 * n, n))

    def forward(self, x):
        return self.layers(x)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        n = cfg.emb_dim
        self.norm1 = LayerNorm(n)
        self.norm2 = LayerNorm(n)
        self.att = MultiHeadAttention(n, n, cfg.context_length, cfg.drop_rate, cfg.n_heads, cfg.qkv_bias)
        self.ff = FeedForward(cfg)
        self.drop_shortcut = nn.Dropout(cfg.drop_rate)

    def forward(self, x):
        x = self.drop_shortcut(self.att(self.norm1(x))) + x
        x = self.ff(self.norm2(x)) + x
        return x
