# right: new numbers are drawn into a dictionary and copied in; the parts are kept in a local Sequential.
from dataclasses import asdict, dataclass

import torch
from torch import nn
import torch.nn.functional as F

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
        cfg = asdict(self)
        del cfg["qkv_bias"]
        rate = cfg.pop("drop_rate")
        for name in cfg:
            if not cfg[name] >= 1:
                raise ValueError(name + " = " + str(cfg[name]))
        if rate >= 1.0 or rate < 0.0:
            raise ValueError("drop_rate = " + str(rate))
        if cfg["emb_dim"] % cfg["n_heads"] > 0:
            raise ValueError("emb_dim = {emb_dim}, n_heads = {n_heads}".format(**cfg))


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.ModuleList()
        while len(self.trf_blocks) < cfg.n_layers:
            self.trf_blocks.append(TransformerBlock(cfg))
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        init_weights(self)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight

    def forward(self, ids):
        steps = nn.Sequential(self.embedding, *self.trf_blocks, self.final_norm)
        return F.linear(steps(ids), self.out_head.weight)


def init_weights(model):
    small = []
    for block in model.trf_blocks:
        small += [block.att.out_proj.weight, block.ff.layers[-1].weight]
    small = set(map(id, small))
    with torch.no_grad():
        for name, old in model.named_parameters():
            if name.endswith("weight"):
                new = torch.normal(0.0, 0.02, old.shape)
                if id(old) in small:
                    new = new / (len(small) ** 0.5)
            else:
                new = torch.full(old.shape, float(name.endswith("scale")))
            old.copy_(new)


def count_parameters(model):
    return sum(p.numel() for _, p in model.named_parameters())
