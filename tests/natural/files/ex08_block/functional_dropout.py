# wrong: dropout-also-in-evaluation
# F.dropout without its training argument, in both halves.
import math
import torch
import torch.nn.functional as F
from torch import nn
from .ex07_multihead import MultiHeadAttention


class LayerNorm(nn.Module):
    def __init__(self, emb_dim):
        super().__init__()
        self.eps, self.scale, self.shift = 1e-5, nn.Parameter(torch.ones(emb_dim)), nn.Parameter(torch.zeros(emb_dim))

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True)
        return x / (x.var(-1, unbiased=False, keepdim=True) + self.eps).sqrt() * self.scale + self.shift


class GELU(nn.Module):
    def forward(self, x):
        return x * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3))))


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(cfg.emb_dim, 4 * cfg.emb_dim), GELU(),
                                    nn.Linear(4 * cfg.emb_dim, cfg.emb_dim))

    def forward(self, x):
        return self.layers(x)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.p = cfg.drop_rate
        self.drop_shortcut = nn.Dropout(cfg.drop_rate)
        self.norm1 = LayerNorm(cfg.emb_dim)
        self.norm2 = LayerNorm(cfg.emb_dim)
        self.att = MultiHeadAttention(cfg.emb_dim, cfg.emb_dim, cfg.context_length, cfg.drop_rate, cfg.n_heads,
                                      cfg.qkv_bias)
        self.ff = FeedForward(cfg)

    def forward(self, x):
        a = self.att(self.norm1(x))
        x = x + F.dropout(a, p=self.p)
        m = self.ff(self.norm2(x))
        x = x + F.dropout(m, p=self.p)
        return x
