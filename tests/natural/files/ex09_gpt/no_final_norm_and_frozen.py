# wrong: no-final-norm, frozen-not-counted
# The final norm is made and never called; only what is trained is counted.
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
            if self.__dict__[n] < 1:
                raise ValueError(f"{n}={self.__dict__[n]}")
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim={self.emb_dim}, n_heads={self.n_heads}")
        if not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate={self.drop_rate}")


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.ModuleList(TransformerBlock(cfg) for _ in range(cfg.n_layers))
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, ids):
        out = self.embedding(ids)
        for block in self.trf_blocks:
            out = block(out)
        return torch.matmul(out, self.out_head.weight.t())


def init_weights(model):
    for name, p in model.named_parameters():
        if p.ndim == 2:
            nn.init.normal_(p, std=0.02)
        elif name.endswith("scale"):
            nn.init.ones_(p)
        else:
            nn.init.zeros_(p)
    scale = (2 * model.cfg.n_layers) ** -0.5
    for block in model.trf_blocks:
        block.att.out_proj.weight.data *= scale
        block.ff.layers[2].weight.data *= scale


def count_parameters(model):
    total = 0
    for p in model.parameters():
        if p.requires_grad:
            total += p.numel()
    return total
