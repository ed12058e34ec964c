# wrong: positions-from-one, scaled-by-root-d
# arange(1, T + 1) in the positions; √D in the token embedding.
import torch
import torch.nn as nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.scale = emb_dim**0.5
        self.weight = nn.Parameter(torch.randn(vocab_size, emb_dim))

    def forward(self, ids):
        return self.scale * self.weight[ids]


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.context_length = context_length
        self.weight = nn.Parameter(torch.randn(context_length, emb_dim))

    def forward(self, ids):
        T = ids.shape[1]
        if T > self.context_length:
            raise ValueError(f"{T} is longer than {self.context_length}")
        positions = torch.arange(1, T + 1, device=ids.device)
        return self.weight[positions]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        return self.drop_emb(self.tok_emb(ids) + self.pos_emb(ids))
