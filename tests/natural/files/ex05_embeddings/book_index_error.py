# wrong: too-long-fails-by-itself
# As in the book: torch.arange into the table, and torch's own error beyond its end.
import torch
import torch.nn as nn


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
        batch_size, seq_len = ids.shape
        return self.weight[torch.arange(seq_len, device=ids.device)]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids):
        tok_embeds = self.tok_emb(ids)
        pos_embeds = self.pos_emb(ids)
        x = tok_embeds + pos_embeds  # Shape [batch_size, num_tokens, emb_size]
        x = self.drop_emb(x)
        return x
