# wrong: dropout-also-in-evaluation
# F.dropout with a probability and nothing else.
import torch
from torch import nn
from torch.nn import functional as F


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocab_size, emb_dim))

    def forward(self, ids):
        return self.weight[ids, :]


class PositionalEmbedding(TokenEmbedding):
    def forward(self, ids):
        available = self.weight.shape[0]
        wanted = ids.shape[-1]
        if wanted > available:
            raise ValueError(f"wanted {wanted} positions, available {available}")
        return super().forward(torch.arange(wanted, device=ids.device))


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.p = dropout
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        h = self.tok_emb(ids)
        h = h + self.pos_emb(ids)
        h = F.dropout(h, self.p)
        return h
