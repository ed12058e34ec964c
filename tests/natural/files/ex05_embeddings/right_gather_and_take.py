# right: gather for the tokens, take_along_dim for the positions, own constants, names of its own.
import torch
from torch import nn

ROWS, COLUMNS = 0, 1


def normal_table(rows, columns):
    generator_state_is_not_touched = torch.empty(rows, columns)
    return nn.Parameter(generator_state_is_not_touched.normal_())


class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, emb_dim):
        super().__init__()
        self.weight = normal_table(vocab_size, emb_dim)

    def forward(self, ids):
        width = self.weight.shape[COLUMNS]
        index = ids.reshape(-1, 1).repeat(1, width)
        return self.weight.gather(ROWS, index).reshape(ids.shape + (width,))


class PositionalEmbedding(nn.Module):
    def __init__(self, context_length, emb_dim):
        super().__init__()
        self.weight = normal_table(context_length, emb_dim)

    def forward(self, ids):
        T = len(ids[0])
        if not T in range(self.weight.shape[ROWS] + 1):
            raise ValueError("T = %s, rows = %s" % (T, self.weight.shape[ROWS]))
        index = torch.arange(T, device=ids.device)[:, None].expand(T, self.weight.shape[COLUMNS])
        return torch.take_along_dim(self.weight, index, dim=ROWS)


class GPTEmbedding(nn.Module):
    def __init__(self, vocab_size, context_length, emb_dim, dropout):
        super().__init__()
        self.tok_emb = TokenEmbedding(vocab_size=vocab_size, emb_dim=emb_dim)
        self.pos_emb = PositionalEmbedding(context_length=context_length, emb_dim=emb_dim)
        self.drop_emb = nn.Dropout(p=dropout)

    def forward(self, ids):
        parts = [self.tok_emb(ids), self.pos_emb(ids)[None].repeat(ids.shape[0], 1, 1)]
        return self.drop_emb(torch.stack(parts).sum(dim=0))
