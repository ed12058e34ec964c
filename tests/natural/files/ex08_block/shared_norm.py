# wrong: one-norm-under-two-names
# One LayerNorm is made and put under both names.
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
        mean = x.mean(-1)[..., None]
        second = ((x - mean) ** 2).mean(-1)[..., None]
        return self.scale * ((x - mean) / (second + self.eps) ** 0.5) + self.shift


class GELU(nn.Module):
    def forward(self, x):
        s = math.sqrt(2 / math.pi)
        return 0.5 * x * (1 + torch.tanh(s * (x + 0.044715 * x ** 3)))


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        up = nn.Linear(cfg.emb_dim, 4 * cfg.emb_dim)
        down = nn.Linear(4 * cfg.emb_dim, cfg.emb_dim)
        self.layers = nn.Sequential(up, GELU(), down)

    def forward(self, x):
        return self.layers(x)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        norm = LayerNorm(cfg.emb_dim)
        self.norm1 = norm
        self.norm2 = norm
        self.att = MultiHeadAttention(d_in=cfg.emb_dim, d_out=cfg.emb_dim, context_length=cfg.context_length,
                                      dropout=cfg.drop_rate, num_heads=cfg.n_heads, qkv_bias=cfg.qkv_bias)
        self.ff = FeedForward(cfg)
        self.drop_shortcut = nn.Dropout(cfg.drop_rate)

    def forward(self, x):
        attended = x + self.drop_shortcut(self.att(self.norm1(x)))
        # print("attended", attended.shape)
        fed = self.drop_shortcut(self.ff(self.norm2(attended)))
        return attended + fed
