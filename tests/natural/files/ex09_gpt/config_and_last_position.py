# wrong: drop-rate-of-1-passes, last-position-only
# 1 is let through as a drop rate; only the last position is scored, as nanoGPT does when it generates.
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
        for n in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers"):
            if getattr(self, n) < 1:
                raise ValueError(f"{n} must be >= 1, is {getattr(self, n)}")
        if self.emb_dim % self.n_heads != 0:
            raise ValueError(f"emb_dim {self.emb_dim} / n_heads {self.n_heads}")
        if self.drop_rate < 0.0 or self.drop_rate > 1.0:
            raise ValueError(f"drop_rate must be a probability, is {self.drop_rate}")


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

    def forward(self, idx):
        x = self.embedding(idx)
        x = self.trf_blocks(x)
        x = self.final_norm(x)
        last = x[:, -1, :]
        return self.out_head(last)


def init_weights(model):
    small = 0.02 / (2 * model.cfg.n_layers) ** 0.5
    for module_name, module in model.named_modules():
        for name, p in module.named_parameters(recurse=False):
            if name in ("bias", "shift"):
                nn.init.zeros_(p)
            elif name == "scale":
                nn.init.ones_(p)
            elif module_name.endswith(("att.out_proj", "ff.layers.2")):
                nn.init.normal_(p, 0.0, small)
            else:
                nn.init.normal_(p, 0.0, 0.02)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
