# wrong: one-block-many-times
# A list with one block in it, multiplied.
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
        for name in ("n_heads", "n_layers", "emb_dim", "context_length", "vocab_size"):
            if not getattr(self, name) >= 1:
                raise ValueError(name + "=" + repr(getattr(self, name)))
        if self.emb_dim % self.n_heads:
            raise ValueError(f"{self.n_heads} n_heads for an emb_dim of {self.emb_dim}")
        if not 0 <= self.drop_rate < 1:
            raise ValueError("drop_rate=" + repr(self.drop_rate))


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        block = TransformerBlock(cfg)
        self.trf_blocks = nn.ModuleList(cfg.n_layers * [block])
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, ids):
        stream = self.embedding(ids)
        for blk in self.trf_blocks:
            stream = blk(stream)
        return self.out_head(self.final_norm(stream))


def init_weights(model):
    depth = model.cfg.n_layers
    for name, p in model.named_parameters():
        with torch.no_grad():
            if name.endswith(".scale"):
                p.copy_(torch.ones_like(p))
            elif name.endswith(".shift") or name.endswith(".bias"):
                p.copy_(torch.zeros_like(p))
            else:
                p.copy_(torch.randn_like(p) * 0.02)
                if "att.out_proj" in name or "ff.layers.2" in name:
                    p.div_((2 * depth) ** 0.5)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
