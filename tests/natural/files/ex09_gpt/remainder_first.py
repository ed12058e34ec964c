# wrong: remainder-before-the-sizes
# emb_dim % n_heads is asked for before n_heads is known to be at least 1.
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
        head_dim, rest = divmod(self.emb_dim, self.n_heads)
        for field in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers"):
            size = getattr(self, field)
            if size < 1:
                raise ValueError(f"{field} should be positive but is {size}")
        if rest:
            raise ValueError(f"emb_dim {self.emb_dim} and n_heads {self.n_heads} leave {rest}")
        if not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate should be a probability below 1 but is {self.drop_rate}")


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
        h = self.embedding(ids)
        h = self.trf_blocks(h)
        h = self.final_norm(h)
        return self.out_head(h)


def init_weights(model):
    std = {"default": 0.02, "residual": 0.02 / (2 * model.cfg.n_layers) ** 0.5}
    for name, p in model.named_parameters():
        leaf = name.split(".")[-1]
        if leaf in ("bias", "shift"):
            p.data.fill_(0.0)
        elif leaf == "scale":
            p.data.fill_(1.0)
        else:
            which = "residual" if name.endswith(("out_proj.weight", "layers.2.weight")) else "default"
            p.data.normal_(0.0, std[which])


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
