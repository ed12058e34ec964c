# wrong: positions-with-a-leading-one
# The positions are (1, T), as minGPT has them, so the rows are (1, T, D).
import torch
import torch.nn as nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, emb_dim))
        nn.init.normal_(self.weight, mean=0.0, std=1.0)

    def forward(self, idx):
        return self.weight[idx]


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.block_size = context_length
        self.weight = nn.Parameter(torch.empty(context_length, emb_dim))
        nn.init.normal_(self.weight, mean=0.0, std=1.0)

    def forward(self, idx):
        b, t = idx.size()
        if t > self.block_size:
            raise ValueError(f"Cannot forward sequence of length {t}, block size is only {self.block_size}")
        pos = torch.arange(0, t, dtype=torch.long, device=idx.device).unsqueeze(0)  # shape (1, t)
        return self.weight[pos]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, idx):
        return self.drop_emb(self.tok_emb(idx) + self.pos_emb(idx))
