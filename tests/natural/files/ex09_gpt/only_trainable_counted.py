# wrong: frozen-not-counted
# The well-known one-liner, which counts what requires a gradient.
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

    def __post_init__(self):
        if self.vocab_size < 1:
            raise ValueError(f"vocab_size: {self.vocab_size}")
        if self.context_length < 1:
            raise ValueError(f"context_length: {self.context_length}")
        if self.emb_dim < 1:
            raise ValueError(f"emb_dim: {self.emb_dim}")
        if self.n_heads < 1:
            raise ValueError(f"n_heads: {self.n_heads}")
        if self.n_layers < 1:
            raise ValueError(f"n_layers: {self.n_layers}")
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim: {self.emb_dim}, n_heads: {self.n_heads}")
        if self.drop_rate < 0 or self.drop_rate >= 1:
            raise ValueError(f"drop_rate: {self.drop_rate}")


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.Sequential(*[TransformerBlock(cfg) for _ in range(cfg.n_layers)])
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, ids):
        x = self.embedding(ids)
        x = self.trf_blocks(x)
        return self.out_head(self.final_norm(x))


def init_weights(model):
    depth = 2 * model.cfg.n_layers
    for name, p in model.named_parameters():
        is_residual = "att.out_proj.weight" in name or "ff.layers.2.weight" in name
        if name.endswith(".weight") and is_residual:
            nn.init.normal_(p, std=0.02 / depth**0.5)
        elif name.endswith(".weight"):
            nn.init.normal_(p, std=0.02)
        elif name.endswith(".scale"):
            nn.init.ones_(p)
        else:
            nn.init.zeros_(p)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
