# wrong: one-hot-of-unknown-width
# one_hot without the number of classes, and zeros put where it is too narrow for nothing.
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    weight: nn.Parameter

    def __init__(self, vocab_size: int, emb_dim: int):
        super().__init__()
        table = torch.randn(vocab_size, emb_dim)
        self.weight = nn.Parameter(table)

    def forward(self, ids: Tensor) -> Tensor:
        selector = F.one_hot(ids.long()).type_as(self.weight)
        return torch.einsum("...v,vd->...d", selector, self.weight)


class PositionalEmbedding(nn.Module):
    weight: nn.Parameter

    def __init__(self, context_length: int, emb_dim: int):
        super().__init__()
        table = torch.randn(context_length, emb_dim)
        self.weight = nn.Parameter(table)

    def forward(self, ids: Tensor) -> Tensor:
        t, limit = ids.size(-1), self.weight.size(0)
        if t > limit:
            raise ValueError(f"t={t} > limit={limit}")
        return self.weight.narrow(0, 0, t)


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size: int, context_length: int, emb_dim: int, dropout: float):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        return self.drop_emb(torch.add(self.tok_emb(ids), self.pos_emb(ids)))
