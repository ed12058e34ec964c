# right: functional, many helpers, recursion through the blocks, the head by einsum.
from dataclasses import dataclass, fields

import torch
from torch import nn

from .ex05_embeddings import GPTEmbedding
from .ex08_block import LayerNorm, TransformerBlock


def refuse(condition, **values):
    if condition:
        raise ValueError(", ".join(f"{k}={v}" for k, v in values.items()))


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
        for field in fields(self)[:5]:
            value = getattr(self, field.name)
            refuse(value <= 0, **{field.name: value})
        refuse(self.emb_dim // self.n_heads * self.n_heads != self.emb_dim, emb_dim=self.emb_dim, n_heads=self.n_heads)
        refuse(not (1 > self.drop_rate >= 0), drop_rate=self.drop_rate)


def build(cfg):
    yield "embedding", GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, dropout=cfg.drop_rate)
    yield "trf_blocks", nn.Sequential(*map(TransformerBlock, [cfg] * cfg.n_layers))
    yield "final_norm", LayerNorm(cfg.emb_dim)
    yield "out_head", nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)


def through(x, blocks):
    return x if not blocks else through(blocks[0](x), blocks[1:])


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        for name, part in build(cfg):
            self.add_module(name, part)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, ids):
        x = through(self.embedding(ids), list(self.trf_blocks))
        return torch.einsum("btd,vd->btv", self.final_norm(x), self.out_head.weight)


def kind(name):
    *_, owner, last = name.split(".")
    if last in ("bias", "shift"):
        return "zero"
    if last == "scale":
        return "one"
    return "residual" if owner == "out_proj" or (owner == "2" and "ff.layers" in name) else "weight"


@torch.no_grad()
def init_weights(model):
    spread = {"weight": 0.02, "residual": 0.02 * (2 * model.cfg.n_layers) ** -0.5}
    for name, p in model.named_parameters():
        what = kind(name)
        p.fill_(what == "one") if what in ("zero", "one") else p.normal_(0, spread[what])


def count_parameters(model):
    total = 0
    for p in model.parameters():
        total += p.numel()
    return total
