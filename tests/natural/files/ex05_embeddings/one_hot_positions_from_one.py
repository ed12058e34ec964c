# wrong: positions-from-one
# The positions are counted 1 … T, and looked up one by one.
import torch
from torch import nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.vocab_size = vocab_size
        self.weight = nn.Parameter(torch.randn((vocab_size, emb_dim)))

    def forward(self, ids):
        one_hot = nn.functional.one_hot(ids, num_classes=self.vocab_size).to(self.weight)
        return one_hot @ self.weight


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.context_length = context_length
        self.weight = nn.Parameter(torch.randn((context_length, emb_dim)))

    def forward(self, ids):
        number_of_tokens = ids.shape[1]
        if number_of_tokens > self.context_length:
            raise ValueError(f"{number_of_tokens} tokens, but only {self.context_length} positions")
        positions = range(1, number_of_tokens + 1)
        return torch.stack([self.weight[position] for position in positions])


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        token_embeddings = self.tok_emb(ids)
        position_embeddings = self.pos_emb(ids)
        return self.drop_emb(token_embeddings + position_embeddings)
