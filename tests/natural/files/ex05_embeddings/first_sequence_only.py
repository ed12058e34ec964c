# wrong: only-the-first-sequence
# GPTEmbedding embeds ids[0] and lets broadcasting hide it.
import torch
from torch import nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocab_size, emb_dim))

    def forward(self, ids):
        n_dims = ids.dim()
        out = torch.gather(
            self.weight, 0, ids.reshape(-1).unsqueeze(-1).expand(-1, self.weight.size(1))
        )
        return out.reshape(ids.shape + (-1,)) if n_dims else out[0]


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.n_ctx = context_length
        self.weight = nn.Parameter(torch.randn(context_length, emb_dim))

    def forward(self, ids):
        length = ids.shape[1]
        if length > self.n_ctx:
            raise ValueError(f"{length} tokens for n_ctx={self.n_ctx}")
        return self.weight[:length, :]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        vectors = torch.stack([self.tok_emb(ids[0]) for _ in ids])
        vectors = vectors + self.pos_emb(ids)
        return self.drop_emb(vectors)
