# wrong: position-table-is-a-buffer, too-long-silently-cut
# The position table is a buffer, and a slice of it is all that is done with the length.
import torch
from torch import nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        weight = torch.randn(vocab_size, emb_dim)
        self.register_parameter("weight", nn.Parameter(weight))

    def forward(self, ids):
        return torch.stack([self.weight[i] for i in ids.reshape(-1)]).reshape(*ids.shape, -1)


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        weight = torch.randn(context_length, emb_dim)
        self.register_buffer("weight", weight)

    def forward(self, ids):
        return self.weight[: ids.shape[1]]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        out = self.tok_emb(ids) + self.pos_emb(ids)
        return self.drop_emb(out)
