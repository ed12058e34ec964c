# wrong: head-with-a-bias, embedding-scaled
# The head keeps torch's default bias, and the embedding is multiplied by the root of D, as in the first transformer.
from dataclasses import dataclass
import math
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
        for name in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name}: {value}")
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim: {self.emb_dim}; n_heads: {self.n_heads}")
        if not (self.drop_rate >= 0 and self.drop_rate < 1):
            raise ValueError(f"drop_rate: {self.drop_rate}")


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.Sequential(*[TransformerBlock(cfg) for _ in range(cfg.n_layers)])
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, ids):
        x = self.embedding(ids) * math.sqrt(self.cfg.emb_dim)
        x = self.trf_blocks(x)
        x = self.final_norm(x)
        return self.out_head(x)


def init_weights(model):
    for name, p in model.named_parameters():
        if name.endswith("scale"):
            nn.init.ones_(p)
        elif name.endswith(("bias", "shift")):
            nn.init.zeros_(p)
        else:
            nn.init.normal_(p, mean=0.0, std=0.02)
            if name.endswith(("out_proj.weight", "layers.2.weight")):
                p.data.div_(math.sqrt(2 * model.cfg.n_layers))


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
