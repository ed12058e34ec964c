# wrong: model-config-taken-for-a-dictionary
# The book's cfg["vocab_size"] in the model; the config is a dataclass here.
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
        sizes = (self.vocab_size, self.context_length, self.emb_dim, self.n_heads, self.n_layers)
        names = ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers")
        for size, name in zip(sizes, names):
            if size < 1:
                raise ValueError(f"{name}: {size}")
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim: {self.emb_dim}, n_heads: {self.n_heads}")
        if self.drop_rate < 0 or self.drop_rate >= 1:
            raise ValueError(f"drop_rate: {self.drop_rate}")


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg["vocab_size"], cfg["context_length"], cfg["emb_dim"], cfg["drop_rate"])

        self.trf_blocks = nn.Sequential(
            *[TransformerBlock(cfg) for _ in range(cfg["n_layers"])])

        self.final_norm = LayerNorm(cfg["emb_dim"])
        self.out_head = nn.Linear(cfg["emb_dim"], cfg["vocab_size"], bias=False)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, in_idx):
        x = self.embedding(in_idx)
        x = self.trf_blocks(x)
        x = self.final_norm(x)
        return self.out_head(x)


def init_weights(model):
    n = model.cfg["n_layers"]
    for name, p in model.named_parameters():
        if name.endswith("scale"):
            nn.init.ones_(p)
        elif name.endswith("bias") or name.endswith("shift"):
            nn.init.zeros_(p)
        elif name.endswith("out_proj.weight") or name.endswith("layers.2.weight"):
            nn.init.normal_(p, std=0.02 / (2 * n) ** 0.5)
        else:
            nn.init.normal_(p, std=0.02)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
