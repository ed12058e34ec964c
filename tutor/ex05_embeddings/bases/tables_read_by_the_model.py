import torch
from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size: int, emb_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocab_size, emb_dim))

    def forward(self, ids: Tensor) -> Tensor:
        return self.weight[ids]


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length: int, emb_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(context_length, emb_dim))

    def forward(self, ids: Tensor) -> Tensor:
        length, context_length = ids.shape[-1], self.weight.shape[0]
        if length > context_length:
            raise ValueError(f"{length} tokens do not fit into a context of {context_length}")
        return self.weight[:length]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size: int, context_length: int, emb_dim: int, dropout: float) -> None:
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        (batch, tokens), places = ids.shape, self.pos_emb.weight.shape[0]
        if tokens > places:
            raise ValueError(f"{tokens} tokens are more than the {places} places")
        token_vectors = self.tok_emb.weight[ids]
        position_vectors = self.pos_emb.weight[torch.arange(tokens, device=ids.device)]
        vectors = token_vectors + position_vectors.expand(batch, -1, -1)
        return self.drop_emb(vectors)
