# wrong: position-table-starts-small
# The position table gets GPT-2's start of 0.02 already here.
import torch
from torch import nn

STD = 0.02


def normal(rows, columns, std=1.0):
    return nn.Parameter(torch.normal(0.0, std, size=(rows, columns)))


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.weight = normal(vocab_size, emb_dim)

    def forward(self, ids):
        return self.weight[ids]


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.weight = normal(context_length, emb_dim, STD)

    def forward(self, ids):
        rows = self.weight[: ids.shape[1]]
        if len(rows) < ids.shape[1]:
            raise ValueError(f"only {len(rows)} positions for {ids.shape[1]} tokens")
        return rows


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        return self.drop_emb(self.tok_emb(ids) + self.pos_emb(ids))
