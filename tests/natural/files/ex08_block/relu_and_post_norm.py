# wrong: feed-forward-with-relu, norm-after-the-sum
# The first transformer: ReLU in the middle, and the norms after the sums.
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
        centred = x - x.mean(-1, keepdim=True)
        return self.shift + self.scale * centred / (centred.square().mean(-1, keepdim=True) + self.eps).sqrt()


class GELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x ** 3)))


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(cfg.emb_dim, 4 * cfg.emb_dim),
            nn.ReLU(),
            nn.Linear(4 * cfg.emb_dim, cfg.emb_dim),
        )

    def forward(self, x):
        return self.layers(x)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.att = MultiHeadAttention(cfg.emb_dim, cfg.emb_dim, cfg.context_length, cfg.drop_rate, cfg.n_heads, cfg.qkv_bias)
        self.norm1 = LayerNorm(cfg.emb_dim)
        self.ff = FeedForward(cfg)
        self.norm2 = LayerNorm(cfg.emb_dim)
        self.drop_shortcut = nn.Dropout(cfg.drop_rate)

    def add_and_norm(self, x, sub, norm):
        return norm(x + self.drop_shortcut(sub(x)))

    def forward(self, x):
        x = self.add_and_norm(x, self.att, self.norm1)
        x = self.add_and_norm(x, self.ff, self.norm2)
        return x
