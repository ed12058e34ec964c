# right: minGPT's way: apply with isinstance, blocks in an nn.ModuleList, a dictionary of parameters that is walked.
import math
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
        if min(self.vocab_size, self.context_length, self.emb_dim, self.n_heads, self.n_layers) < 1:
            raise ValueError(f"not a size: {self}")
        if self.emb_dim % self.n_heads != 0:
            raise ValueError(f"emb_dim ({self.emb_dim}) % n_heads ({self.n_heads}) != 0")
        if self.drop_rate < 0 or self.drop_rate >= 1:
            raise ValueError(f"bad drop_rate {self.drop_rate}")


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.ModuleList([TransformerBlock(cfg) for _ in range(cfg.n_layers)])
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if tie_weights:
            self.embedding.tok_emb.weight = self.out_head.weight
        init_weights(self)

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
        elif isinstance(module, LayerNorm):
            torch.nn.init.ones_(module.scale)
            torch.nn.init.zeros_(module.shift)
        elif hasattr(module, "tok_emb"):
            torch.nn.init.normal_(module.tok_emb.weight, mean=0.0, std=0.02)
            torch.nn.init.normal_(module.pos_emb.weight, mean=0.0, std=0.02)

    def forward(self, idx):
        x = self.embedding(idx)
        for block in self.trf_blocks:
            x = block(x)
        x = self.final_norm(x)
        logits = self.out_head(x)
        return logits


def init_weights(model):
    model.apply(model._init_weights)
    for pn, p in model.named_parameters():
        if pn.endswith("out_proj.weight") or pn.endswith("layers.2.weight"):
            torch.nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * model.cfg.n_layers))


def count_parameters(model):
    params = {id(p): p for p in model.parameters()}
    return sum(math.prod(p.shape) for p in params.values())
