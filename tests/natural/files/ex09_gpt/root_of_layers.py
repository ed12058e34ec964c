# wrong: residual-factor-without-the-two
# 0.02 / sqrt(L): the two additions of a block are counted as one.
from dataclasses import dataclass
import math
import torch
import torch.nn as nn
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

    def __post_init__(self):
        for k, v in self.__dict__.items():
            if k in {"drop_rate", "qkv_bias"}:
                continue
            if v < 1:
                raise ValueError(f"{k}={v}")
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim={self.emb_dim}, n_heads={self.n_heads}")
        if not 0.0 <= self.drop_rate < 1.0:
            raise ValueError(f"drop_rate={self.drop_rate}")


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.ModuleList([TransformerBlock(cfg) for _ in range(cfg.n_layers)])
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, idx):
        x = self.embedding(idx)
        for b in self.trf_blocks:
            x = b(x)
        return self.out_head(self.final_norm(x))


def _init(module):
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, LayerNorm):
        nn.init.ones_(module.scale)
        nn.init.zeros_(module.shift)


def init_weights(model):
    model.apply(_init)
    nn.init.normal_(model.embedding.tok_emb.weight, std=0.02)
    nn.init.normal_(model.embedding.pos_emb.weight, std=0.02)
    n_layer = len(model.trf_blocks)
    for pn, p in model.named_parameters():
        if pn.endswith("att.out_proj.weight") or pn.endswith("ff.layers.2.weight"):
            nn.init.normal_(p, std=0.02 / math.sqrt(n_layer))


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
