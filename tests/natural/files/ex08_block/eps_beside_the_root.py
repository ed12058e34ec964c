# wrong: eps-outside-the-root
# The standard deviation first, then eps is added to it.
import numpy as np
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
        mu = x.mean(axis=-1, keepdims=True)
        sd = x.std(axis=-1, keepdims=True, correction=0)
        return self.scale * (x - mu) / (sd + self.eps) + self.shift


class GELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1 + torch.tanh(np.sqrt(2 / np.pi).item() * (x + 0.044715 * x**3)))


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        D = cfg.emb_dim
        H = 4 * D
        self.layers = nn.Sequential(nn.Linear(D, H), GELU(), nn.Linear(H, D))

    def forward(self, x):
        y = self.layers(x)
        return y


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.norm1 = LayerNorm(cfg.emb_dim)
        self.norm2 = LayerNorm(cfg.emb_dim)
        self.drop_shortcut = nn.Dropout(cfg.drop_rate)
        self.ff = FeedForward(cfg)
        self.att = MultiHeadAttention(cfg.emb_dim, cfg.emb_dim, cfg.context_length, cfg.drop_rate, cfg.n_heads,
                                      cfg.qkv_bias)

    def forward(self, x):
        z = self.norm1(x)
        z = self.att(z)
        z = self.drop_shortcut(z)
        y = x + z
        w = self.norm2(y)
        w = self.ff(w)
        w = self.drop_shortcut(w)
        return y + w
