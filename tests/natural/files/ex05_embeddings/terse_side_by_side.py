# wrong: concatenated
# Tokens and positions are put side by side.
import torch
from torch import nn, randn, cat


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim): super().__init__(); self.weight = nn.Parameter(randn(vocab_size, emb_dim))
    def forward(self, ids): return self.weight[ids]


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__(); self.weight = nn.Parameter(randn(context_length, emb_dim))

    def forward(self, ids):
        if (n := ids.shape[-1]) > (m := len(self.weight)): raise ValueError(f"{n} > {m}")
        return self.weight[:n]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb, self.pos_emb = TokenEmbedding(vocab_size, emb_dim), PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        t, p = self.tok_emb(ids), self.pos_emb(ids)
        return self.drop_emb(cat((t, p.repeat(len(ids), 1, 1)), 2))
