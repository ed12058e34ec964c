# right: the slice is compared with what was asked for, and dropout works on a flat view.
from typing import Final

import torch
from torch import nn


class _Table(nn.Module):
    def __init__(self, rows, columns):
        super().__init__()
        self.weight = nn.Parameter(torch.distributions.Normal(0.0, 1.0).sample((rows, columns)))


class TokenEmbedding(_Table):
    def forward(self, ids):
        return self.weight.T[:, ids].movedim(0, -1)


class PositionalEmbedding(_Table):
    AXIS: Final = -1

    def forward(self, ids):
        wanted = ids.size(self.AXIS)
        found = self.weight[:wanted]
        if found.size(0) != wanted:
            raise ValueError(f"wanted {wanted} rows of {found.size(0)}")
        return found.clone()


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        batch, length = ids.shape
        tokens = self.tok_emb(ids).flatten(0, 1)
        positions = torch.cat([self.pos_emb(ids)] * batch)
        return self.drop_emb(tokens + positions).unflatten(0, (batch, length))
