# wrong: token-lookup-leaves-the-graph
# The rows are collected as lists of numbers, and a new tensor is made of them.
import torch
from torch import nn


def look_up(table, numbers):
    rows = table.tolist()
    return torch.tensor([rows[n] for n in numbers], dtype=table.dtype)


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.emb_dim = emb_dim
        self.weight = nn.Parameter(torch.randn(vocab_size, emb_dim), requires_grad=True)

    def forward(self, ids):
        flat = [int(i) for i in ids.flatten()]
        return look_up(self.weight, flat).reshape(list(ids.shape) + [self.emb_dim])


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.context_length = context_length
        self.weight = nn.Parameter(torch.randn(context_length, emb_dim), requires_grad=True)

    def forward(self, ids):
        T = ids.shape[1]
        if T > self.context_length:
            raise ValueError("%d tokens do not fit into %d" % (T, self.context_length))
        return self.weight[0:T, :]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(p=dropout)

    def forward(self, ids):
        tokens = self.tok_emb(ids)
        positions = self.pos_emb(ids)
        summed = tokens + positions
        return self.drop_emb(summed)
