# right: as short as it goes, nn.Sequential for each half, var_mean.
import math, torch
from torch import nn
from .ex07_multihead import MultiHeadAttention

class LayerNorm(nn.Module):
    eps = 1e-5
    def __init__(s, emb_dim):
        super().__init__()
        s.scale = nn.Parameter(torch.ones(emb_dim)); s.shift = nn.Parameter(torch.zeros(emb_dim))
    def forward(s, x):
        v, m = torch.var_mean(x, -1, correction=0, keepdim=True)
        return (x - m) / (v + s.eps) ** .5 * s.scale + s.shift

class GELU(nn.Module):
    def forward(s, x): return x / 2 * (1 + ((2 / math.pi) ** .5 * x * (1 + .044715 * x * x)).tanh())

class FeedForward(nn.Module):
    def __init__(s, c):
        super().__init__(); d = c.emb_dim
        s.layers = nn.Sequential(*[nn.Linear(d, 4 * d), GELU(), nn.Linear(4 * d, d)])
    def forward(s, x): return s.layers(x)

class TransformerBlock(nn.Module):
    def __init__(s, c):
        super().__init__(); d = c.emb_dim
        s.norm1, s.norm2, s.ff, s.drop_shortcut = LayerNorm(d), LayerNorm(d), FeedForward(c), nn.Dropout(c.drop_rate)
        s.att = MultiHeadAttention(d, d, c.context_length, c.drop_rate, c.n_heads, c.qkv_bias)
    def forward(s, x):
        x = x + nn.Sequential(s.norm1, s.att, s.drop_shortcut)(x)
        return x + nn.Sequential(s.norm2, s.ff, s.drop_shortcut)(x)
