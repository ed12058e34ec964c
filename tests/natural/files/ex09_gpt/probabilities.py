# wrong: probabilities-for-logits
# A softmax at the end of the model, by hand.
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
        sizes = {k: v for k, v in vars(self).items() if k not in ("drop_rate", "qkv_bias")}
        for k, v in sizes.items():
            if v < 1:
                raise ValueError(f"{k} is {v}")
        if self.emb_dim % self.n_heads != 0:
            raise ValueError(f"emb_dim is {self.emb_dim}, n_heads is {self.n_heads}")
        if not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate is {self.drop_rate}")


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
        x = self.embedding(ids)
        x = self.trf_blocks(x)
        x = self.final_norm(x)
        scores = self.out_head(x)
        scores = scores - scores.max(dim=-1, keepdim=True).values
        e = torch.exp(scores)
        return e / e.sum(dim=-1, keepdim=True)


def init_weights(model):
    for name, p in model.named_parameters():
        if name.endswith("weight"):
            small = name.endswith("out_proj.weight") or name.endswith("layers.2.weight")
            std = 0.02 / (2 * model.cfg.n_layers) ** 0.5 if small else 0.02
            torch.nn.init.normal_(p, mean=0, std=std)
        elif name.endswith("scale"):
            torch.nn.init.ones_(p)
        else:
            torch.nn.init.zeros_(p)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
