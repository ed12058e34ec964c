# wrong: dropout-inside-the-feed-forward | feed-forward-asks-for-more
# An MLP as nanoGPT has it, with a dropout of its own as the fourth layer, which reads cfg.drop_rate.
import math
import torch
import torch.nn as nn
from .ex07_multihead import MultiHeadAttention


def new_gelu(x):
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


class GELU(nn.Module):
    def forward(self, input):
        return new_gelu(input)


class LayerNorm(nn.Module):
    def __init__(self, emb_dim):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(emb_dim))
        self.shift = nn.Parameter(torch.zeros(emb_dim))
        self.eps = 1e-5

    def forward(self, input):
        xc = input - input.mean(-1, keepdim=True)
        return xc / (xc.pow(2).mean(-1, keepdim=True) + self.eps).sqrt() * self.scale + self.shift


class FeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        n_embd = config.emb_dim
        self.layers = nn.Sequential(
            nn.Linear(n_embd, 4 * n_embd),
            GELU(),
            nn.Linear(4 * n_embd, n_embd),
            nn.Dropout(config.drop_rate),
        )

    def forward(self, x):
        return self.layers(x)


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm1 = LayerNorm(config.emb_dim)
        self.att = MultiHeadAttention(config.emb_dim, config.emb_dim, config.context_length, config.drop_rate,
                                      config.n_heads, config.qkv_bias)
        self.norm2 = LayerNorm(config.emb_dim)
        self.ff = FeedForward(config)
        self.drop_shortcut = nn.Dropout(config.drop_rate)

    def forward(self, x):
        x = x + self.drop_shortcut(self.att(self.norm1(x)))
        x = x + self.drop_shortcut(self.ff(self.norm2(x)))
        return x
