# wrong: never-tied
# The head's weight is a new Parameter with a copy of the table, made before the weights are drawn.
from dataclasses import dataclass
import math
import torch
from torch import Tensor, nn
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

    def __post_init__(self) -> None:
        def need(ok: bool, text: str) -> None:
            if not ok:
                raise ValueError(text)

        need(self.vocab_size > 0, f"vocab_size {self.vocab_size}")
        need(self.context_length > 0, f"context_length {self.context_length}")
        need(self.emb_dim > 0, f"emb_dim {self.emb_dim}")
        need(self.n_heads > 0, f"n_heads {self.n_heads}")
        need(self.n_layers > 0, f"n_layers {self.n_layers}")
        need(self.emb_dim % self.n_heads == 0, f"emb_dim {self.emb_dim} n_heads {self.n_heads}")
        need(0 <= self.drop_rate < 1, f"drop_rate {self.drop_rate}")


class GPTModel(nn.Module):
    def __init__(self, cfg: GPTConfig, tie_weights: bool = True) -> None:
        super().__init__()
        self.cfg = cfg
        V, D = cfg.vocab_size, cfg.emb_dim
        self.embedding = GPTEmbedding(V, cfg.context_length, D, cfg.drop_rate)
        self.trf_blocks = nn.Sequential(*[TransformerBlock(cfg) for _ in range(cfg.n_layers)])
        self.final_norm = LayerNorm(D)
        self.out_head = nn.Linear(D, V, bias=False)
        if tie_weights:
            self.out_head.weight = nn.Parameter(self.embedding.tok_emb.weight.detach().clone())
        init_weights(self)

    def forward(self, ids: Tensor) -> Tensor:
        h = self.trf_blocks(self.embedding(ids))
        return self.out_head(self.final_norm(h))


def init_weights(model: GPTModel) -> None:
    res = 0.02 / math.sqrt(2 * model.cfg.n_layers)
    for n, p in model.named_parameters():
        last = n.rsplit(".", 1)[-1]
        if last == "weight":
            nn.init.normal_(p, 0.0, res if n.endswith(("out_proj.weight", "layers.2.weight")) else 0.02)
        elif last == "scale":
            nn.init.ones_(p)
        else:
            nn.init.zeros_(p)


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
