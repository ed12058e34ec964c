# wrong: scaled-by-root-d
# GPTEmbedding multiplies the tokens by √D, as in "Attention Is All You Need".
import math

import torch
import torch.nn as nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.emb_dim = emb_dim
        self.weight = nn.Parameter(torch.randn(vocab_size, emb_dim))

    def forward(self, ids):
        return self.weight[ids]


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.max_len = context_length
        self.weight = nn.Parameter(torch.randn(context_length, emb_dim))

    def forward(self, ids):
        seq_len = ids.size(1)
        if seq_len > self.max_len:
            raise ValueError(f"sequence length {seq_len} exceeds maximum {self.max_len}")
        return self.weight[:seq_len]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.d_model = emb_dim
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        x = self.tok_emb(ids) * math.sqrt(self.d_model)
        x = x + self.pos_emb(ids)
        return self.drop_emb(x)
