# right: loops over sequences and positions, stacked, and an in-place dropout.
import torch
from torch import nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        rows = [torch.randn(emb_dim) for _ in range(vocab_size)]
        self.weight = nn.Parameter(torch.stack(rows))

    def forward(self, ids):
        if ids.dim() == 0:
            return self.weight[ids.item()]
        return torch.stack([self.forward(part) for part in ids])


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        rows = [torch.randn(emb_dim) for _ in range(context_length)]
        self.weight = nn.Parameter(torch.stack(rows))

    def forward(self, ids):
        rows = []
        for position, _ in enumerate(ids[0]):
            try:
                rows.append(self.weight[position])
            except IndexError:
                message = f"{ids.shape[1]} tokens in a context of {self.weight.shape[0]}"
                raise ValueError(message) from None
        return torch.stack(rows)


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout, inplace=True)

    def forward(self, ids):
        positions = self.pos_emb(ids)
        sequences = []
        for sequence in ids:
            sequences.append(self.tok_emb(sequence) + positions)
        return self.drop_emb(torch.stack(sequences))
