# right: a loop over the tokens in the norm, and recursion over the parts.
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

    def one(self, v):
        if v.dim() > 1:
            return torch.stack([self.one(part) for part in v])
        m = v.mean()
        s = ((v - m) ** 2).mean()
        return (v - m) / (s + self.eps).sqrt() * self.scale + self.shift

    def forward(self, x):
        return self.one(x)


class GELU(nn.Module):
    def forward(self, x):
        a = math.sqrt(2 / math.pi) * x + math.sqrt(2 / math.pi) * 0.044715 * x ** 3
        return torch.mul(0.5, x) + 0.5 * x * a.tanh()


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        sizes = [cfg.emb_dim, 4 * cfg.emb_dim, cfg.emb_dim]
        first, second = (nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.layers = nn.Sequential(first, GELU(), second)

    def forward(self, x):
        return self.layers[2](self.layers[1](self.layers[0](x)))


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        nn.Module.__init__(self)
        self.drop_shortcut = nn.Dropout(cfg.drop_rate)
        self.norm1 = LayerNorm(cfg.emb_dim)
        self.norm2 = LayerNorm(cfg.emb_dim)
        self.ff = FeedForward(cfg)
        self.att = MultiHeadAttention(cfg.emb_dim, cfg.emb_dim, cfg.context_length, cfg.drop_rate, cfg.n_heads, cfg.qkv_bias)

    def forward(self, x):
        def go(x, parts):
            if not parts:
                return x
            (norm, part), *rest = parts
            return go(torch.stack([x, self.drop_shortcut(part(norm(x)))]).sum(0), rest)

        return go(x, [(self.norm1, self.att), (self.norm2, self.ff)])
