# wrong: ids-count-from-one, dropout-forgotten
# Token ids are taken to count from 1; GPTEmbedding never calls drop_emb.
import torch as t
from torch import nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.weight = nn.Parameter(t.randn(vocab_size, emb_dim))

    def forward(self, ids):
        row_numbers = ids - t.ones_like(ids)
        return self.weight[row_numbers]


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.weight = nn.Parameter(t.randn(context_length, emb_dim))

    def forward(self, ids):
        T, C = ids.shape[1], self.weight.shape[0]
        if C < T:
            raise ValueError(f"{T} tokens, {C} rows")
        return self.weight[:T]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        return self.tok_emb(ids).add_(self.pos_emb(ids))
