# right: positions are a subclass of tokens; GPTEmbedding asks neither forward but reads the tables.
import torch
from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size: int, emb_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.Tensor(vocab_size, emb_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.weight.copy_(torch.randn(self.weight.shape))

    def forward(self, ids: Tensor) -> Tensor:
        return self.weight[ids]


class PositionalEmbedding(TokenEmbedding):
    def __init__(self, context_length: int, emb_dim: int) -> None:
        super().__init__(context_length, emb_dim)

    def positions(self, ids: Tensor) -> Tensor:
        return torch.cumsum(torch.ones_like(ids[0]), dim=0) - 1

    def check(self, length: int) -> None:
        if length > len(self.weight):
            raise ValueError(f"{length} positions are more than the {len(self.weight)} that there are")

    def forward(self, ids: Tensor) -> Tensor:
        self.check(ids.shape[1])
        return super().forward(self.positions(ids))


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size: int, context_length: int, emb_dim: int, dropout: float) -> None:
        super().__init__()
        self.drop_emb = nn.Dropout(dropout)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)

    def forward(self, ids: Tensor) -> Tensor:
        rows = ids.shape[1]
        self.pos_emb.check(rows)
        return self.drop_emb(self.tok_emb.weight[ids] + self.pos_emb.weight[:rows])
