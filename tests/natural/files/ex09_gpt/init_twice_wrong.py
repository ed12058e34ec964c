# wrong: residual-factor-without-the-two, biases-left-as-they-were
# Within init_weights: the root of L for that of 2L, and the biases are not touched.
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
        for name in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} {value}")
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim {self.emb_dim} n_heads {self.n_heads}")
        if not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate {self.drop_rate}")


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
        return self.out_head(self.final_norm(self.trf_blocks(self.embedding(ids))))


def init_weights(model):
    for module in model.modules():
        if isinstance(module, LayerNorm):
            module.scale.data[:] = 1
            module.shift.data[:] = 0
        elif hasattr(module, "weight"):
            module.weight.data.normal_(std=0.02)
    for block in model.trf_blocks:
        block.att.out_proj.weight.data.normal_(std=0.02 / model.cfg.n_layers**0.5)
        block.ff.layers[2].weight.data.normal_(std=0.02 / model.cfg.n_layers**0.5)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
