# wrong: tie-undone-by-init
# init_weights puts new Parameters in the place of the old ones, so what was tied is no longer.
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
        for name in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers"):
            number = getattr(self, name)
            if number < 1:
                raise ValueError("%s: %d" % (name, number))
        if self.emb_dim % self.n_heads != 0:
            raise ValueError("emb_dim: %d, n_heads: %d" % (self.emb_dim, self.n_heads))
        if not (0 <= self.drop_rate < 1):
            raise ValueError("drop_rate: %s" % self.drop_rate)


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
        return self.out_head(self.final_norm(x))


def draw(old, std):
    return nn.Parameter(torch.randn_like(old) * std)


def init_weights(model):
    L = model.cfg.n_layers
    for name, module in model.named_modules():
        if isinstance(module, LayerNorm):
            module.scale = nn.Parameter(torch.ones_like(module.scale))
            module.shift = nn.Parameter(torch.zeros_like(module.shift))
            continue
        if getattr(module, "bias", None) is not None:
            module.bias = nn.Parameter(torch.zeros_like(module.bias))
        if getattr(module, "weight", None) is not None:
            residual = name.endswith(("att.out_proj", "ff.layers.2"))
            module.weight = draw(module.weight, 0.02 / (2 * L) ** 0.5 if residual else 0.02)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())
