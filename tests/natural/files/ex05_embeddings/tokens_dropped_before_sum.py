# wrong: only-the-tokens-dropped
# Long and typed; the dropout comes before the positions.
from torch import Tensor, nn, randn


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size: int, emb_dim: int) -> None:
        super().__init__()
        self.vocabulary_size: int = vocab_size
        self.embedding_dimension: int = emb_dim
        self.weight: nn.Parameter = nn.Parameter(randn(self.vocabulary_size, self.embedding_dimension))

    def forward(self, ids: Tensor) -> Tensor:
        flattened_ids: Tensor = ids.reshape(-1)
        selected_rows: Tensor = self.weight.index_select(0, flattened_ids)
        return selected_rows.reshape(*ids.shape, self.embedding_dimension)


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length: int, emb_dim: int) -> None:
        super().__init__()
        self.maximum_length: int = context_length
        self.weight: nn.Parameter = nn.Parameter(randn(context_length, emb_dim))

    def forward(self, ids: Tensor) -> Tensor:
        sequence_length: int = ids.shape[1]
        self.checkLength(sequence_length)
        return self.weight[:sequence_length]

    def checkLength(self, length: int) -> None:
        if length > self.maximum_length:
            raise ValueError("Length " + str(length) + " is greater than " + str(self.maximum_length))


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size: int, context_length: int, emb_dim: int, dropout: float) -> None:
        super().__init__()
        self.tok_emb: TokenEmbedding = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb: PositionalEmbedding = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb: nn.Dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        token_vectors: Tensor = self.tok_emb(ids)
        token_vectors = self.drop_emb(token_vectors)
        position_vectors: Tensor = self.pos_emb(ids)
        result: Tensor = token_vectors + position_vectors
        return result
