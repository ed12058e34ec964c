# wrong: never-tied
# The head keeps a table of its own, as the book has it; tie_weights is read nowhere.
from dataclasses import dataclass

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
        for key in ["vocab_size", "context_length", "emb_dim", "n_heads", "n_layers"]:
            if getattr(self, key) < 1:
                raise ValueError(f"{key} must be positive, got {getattr(self, key)}")
        if self.emb_dim % self.n_heads != 0:
            raise ValueError(f"emb_dim {self.emb_dim} must be divisible by n_heads {self.n_heads}")
        if not (0 <= self.drop_rate < 1):
            raise ValueError(f"drop_rate must be in [0, 1), got {self.drop_rate}")


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.Sequential(*[TransformerBlock(cfg) for _ in range(cfg.n_layers)])
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        init_weights(self)

    def forward(self, in_idx):
        x = self.embedding(in_idx)
        x = self.trf_blocks(x)
        x = self.final_norm(x)
        logits = self.out_head(x)
        return logits


def init_weights(model):
    std = 0.02
    for name, p in model.named_parameters():
        if p.dim() == 1:
            nn.init.constant_(p, 1.0 if name.endswith("scale") else 0.0)
        elif "out_proj" in name or "layers.2" in name:
            nn.init.normal_(p, 0.0, std / (2 * model.cfg.n_layers) ** 0.5)
        else:
            nn.init.normal_(p, 0.0, std)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
