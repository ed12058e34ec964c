# wrong: position-added-twice, dropout-also-in-evaluation
# Both in GPTEmbedding.forward: positions come in twice, and F.dropout does not know the mode.
import torch
from torch import nn
from torch.nn.functional import dropout as drop


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocab_size, emb_dim))

    def forward(self, ids):
        return self.weight[ids]


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(context_length, emb_dim))

    def forward(self, ids):
        n = ids.shape[1]
        if n > self.weight.shape[0]:
            raise ValueError(f"{n} tokens > {self.weight.shape[0]} positions")
        return self.weight[:n]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def embed(self, ids):
        vectors = self.tok_emb(ids)
        for position in range(ids.shape[1]):
            vectors[:, position] += self.pos_emb(ids)[position]
        return vectors

    def forward(self, ids):
        return drop(self.embed(ids) + self.pos_emb(ids), p=self.drop_emb.p)
