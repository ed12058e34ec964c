# right: one-hot products for both tables, the dropout by hand.
import torch
import torch.nn.functional as F
from torch import nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.V = vocab_size
        self.weight = nn.Parameter(torch.randn(vocab_size, emb_dim))

    def forward(self, ids):
        return F.linear(F.one_hot(ids, self.V).to(self.weight.dtype), self.weight.T)


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.C = context_length
        self.weight = nn.Parameter(torch.randn(context_length, emb_dim))

    def forward(self, ids):
        T = ids.shape[1]
        if T > self.C:
            raise ValueError(f"{T} > {self.C}")
        positions = torch.arange(T, device=ids.device)
        return F.one_hot(positions, self.C).to(self.weight.dtype) @ self.weight


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        x = self.tok_emb(ids) + self.pos_emb(ids)
        p = self.drop_emb.p
        if not self.training or p == 0:
            return x
        keep = (torch.rand(x.shape, device=x.device) > p).to(x.dtype)
        return x * keep / (1 - p)
