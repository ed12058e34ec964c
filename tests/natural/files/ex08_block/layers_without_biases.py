# wrong: linear-layers-without-biases
# The linear layers are made by a helper that leaves out the bias.
import math
from functools import partial
import torch
from torch import nn
from .ex07_multihead import MultiHeadAttention

Linear = partial(nn.Linear, bias=False)


class LayerNorm(nn.Module):
    def __init__(self, emb_dim):
        super().__init__()
        self.eps = 1e-5
        self.scale = nn.Parameter(torch.ones(emb_dim))
        self.shift = nn.Parameter(torch.zeros(emb_dim))

    def forward(self, x):
        x = x - x.mean(dim=-1, keepdim=True)
        power = (x * x).mean(dim=-1, keepdim=True)
        return x * torch.rsqrt(power + self.eps) * self.scale + self.shift


class GELU(nn.Module):
    def forward(self, x):
        c = math.sqrt(2.0 / math.pi)
        return x * (0.5 + 0.5 * torch.tanh(c * x * (1.0 + 0.044715 * x * x)))


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        dim, hidden = cfg.emb_dim, 4 * cfg.emb_dim
        self.layers = nn.Sequential(Linear(dim, hidden), GELU(), Linear(hidden, dim))

    def forward(self, x):
        return self.layers(x)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        dim = cfg.emb_dim
        self.norm1 = LayerNorm(dim)
        self.att = MultiHeadAttention(dim, dim, cfg.context_length, cfg.drop_rate, cfg.n_heads, cfg.qkv_bias)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(cfg)
        self.drop_shortcut = nn.Dropout(cfg.drop_rate)

    def forward(self, x):
        h = x + self.drop_shortcut(self.att(self.norm1(x)))
        out = h + self.drop_shortcut(self.ff(self.norm2(h)))
        return out
