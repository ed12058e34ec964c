# wrong: counted-by-address
# Shared tensors are told by data_ptr, which is 0 for every tensor on the meta device.
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
        for n in "vocab_size context_length emb_dim n_heads n_layers".split():
            v = getattr(self, n)
            if v <= 0:
                raise ValueError(f"{n} must be at least 1, not {v}")
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim={self.emb_dim} n_heads={self.n_heads}")
        if not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate={self.drop_rate}")


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.Sequential(*(TransformerBlock(cfg) for i in range(cfg.n_layers)))
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, ids):
        return self.out_head(self.final_norm(self.trf_blocks(self.embedding(ids))))


@torch.no_grad()
def init_weights(model):
    for m in model.modules():
        for name, p in m.named_parameters(recurse=False):
            if name == "weight":
                p.normal_(0.0, 0.02)
            else:
                p.fill_(1.0 if name == "scale" else 0.0)
    for b in model.trf_blocks:
        for lin in (b.att.out_proj, b.ff.layers[2]):
            lin.weight.normal_(0.0, 0.02 / (2 * model.cfg.n_layers) ** 0.5)


def count_parameters(model):
    seen = set()
    n = 0
    for p in model.parameters():
        if p.data_ptr() not in seen:
            seen.add(p.data_ptr())
            n += p.numel()
    return n
