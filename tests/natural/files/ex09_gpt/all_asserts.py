# wrong: assertion-for-a-value-error
# Every check of the config is an assert.
import math
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
        assert self.vocab_size > 0, f"vocab_size is {self.vocab_size}"
        assert self.context_length > 0, f"context_length is {self.context_length}"
        assert self.emb_dim > 0, f"emb_dim is {self.emb_dim}"
        assert self.n_heads > 0, f"n_heads is {self.n_heads}"
        assert self.n_layers > 0, f"n_layers is {self.n_layers}"
        assert self.emb_dim % self.n_heads == 0, f"emb_dim {self.emb_dim} must be divisible by n_heads {self.n_heads}"
        assert 0 <= self.drop_rate < 1, f"drop_rate is {self.drop_rate}"


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.ModuleList([TransformerBlock(cfg) for _ in range(cfg.n_layers)])
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if tie_weights:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, idx):
        h = self.embedding(idx)
        for block in self.trf_blocks:
            h = block(h)
        h = self.final_norm(h)
        return self.out_head(h)


def init_weights(model):
    for pn, p in model.named_parameters():
        if pn.endswith("scale"):
            torch.nn.init.constant_(p, 1.0)
        elif p.dim() < 2:
            torch.nn.init.constant_(p, 0.0)
        elif pn.endswith("att.out_proj.weight") or pn.endswith("ff.layers.2.weight"):
            torch.nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * model.cfg.n_layers))
        else:
            torch.nn.init.normal_(p, mean=0.0, std=0.02)


def count_parameters(model):
    n_params = sum(p.numel() for p in model.parameters())
    print("number of parameters: %.2fM" % (n_params / 1e6,))
    return n_params
