# right: as short as it goes.
from dataclasses import dataclass
import torch
from torch import nn
from .ex05_embeddings import GPTEmbedding
from .ex08_block import LayerNorm, TransformerBlock

@dataclass(frozen=True)
class GPTConfig:
    vocab_size: int = 50257
    context_length: int = 1024
    emb_dim: int = 768
    n_heads: int = 12
    n_layers: int = 12
    drop_rate: float = 0.1
    qkv_bias: bool = False
    def __post_init__(s):
        if any(v < 1 for v in list(vars(s).values())[:5]) or s.emb_dim % s.n_heads or not 0 <= s.drop_rate < 1: raise ValueError(repr(s))

class GPTModel(nn.Module):
    def __init__(s, cfg, tie_weights=True):
        super().__init__(); s.cfg = c = cfg
        s.embedding = GPTEmbedding(c.vocab_size, c.context_length, c.emb_dim, c.drop_rate)
        s.trf_blocks = nn.Sequential(*[TransformerBlock(c) for _ in [0] * c.n_layers])
        s.final_norm, s.out_head = LayerNorm(c.emb_dim), nn.Linear(c.emb_dim, c.vocab_size, False)
        if tie_weights: s.out_head.weight = s.embedding.tok_emb.weight
        init_weights(s)
    def forward(s, ids): return s.out_head(s.final_norm(s.trf_blocks(s.embedding(ids))))

def init_weights(m):
    for n, p in m.named_parameters():
        f = torch.nn.init
        if "scale" in n: f.ones_(p)
        elif p.dim() < 2: f.zeros_(p)
        else: f.normal_(p, 0, .02 / ((2 * m.cfg.n_layers) ** .5 if "out_proj" in n or ".2.w" in n and "ff" in n else 1))

count_parameters = lambda m: sum(map(torch.numel, m.parameters()))
