# right: helper modules without parameters, a buffer of positions that is not saved, prints behind a switch.
import torch
import torch.nn as nn

VERBOSE = False


class Adder(nn.Module):
    def forward(self, a, b):
        return a + b


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.num_embeddings, self.embedding_dim = vocab_size, emb_dim
        self.weight = nn.Parameter(torch.randn((self.num_embeddings, self.embedding_dim)))

    def forward(self, input):
        if VERBOSE:
            print("tokens", input.shape)
        return self.weight.index_select(0, input.flatten()).unflatten(0, input.shape) if input.dim() else self.weight[input]

    def extra_repr(self):
        return f"{self.num_embeddings}, {self.embedding_dim}"


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn((context_length, emb_dim)))
        self.register_buffer("positions", torch.arange(context_length), persistent=False)

    def forward(self, input):
        length = input.size(-1)
        if length > self.positions.numel():
            raise ValueError(f"Sequence of length {length}, positions for {self.positions.numel()}")
        return self.weight[self.positions[:length]]


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size, emb_dim)
        self.pos_emb = PositionalEmbedding(context_length, emb_dim)
        self.drop_emb = nn.Dropout(dropout)
        self.add = Adder()
        self.after = nn.Sequential(self.drop_emb, nn.Identity())

    def forward(self, input):
        return self.after(self.add(self.tok_emb(input), self.pos_emb(input)))
