# right: Box-Muller by hand from torch.rand, index loops, greatest common divisor in the config.
from dataclasses import dataclass
import math
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
        sizes = dict(vocab_size=self.vocab_size, context_length=self.context_length, emb_dim=self.emb_dim,
                     n_heads=self.n_heads, n_layers=self.n_layers)
        bad = {k: v for k, v in sizes.items() if v < 1}
        if bad:
            raise ValueError(str(bad))
        if math.gcd(self.emb_dim, self.n_heads) != self.n_heads:
            raise ValueError("emb_dim %d is no multiple of n_heads %d" % (self.emb_dim, self.n_heads))
        if self.drop_rate < 0:
            raise ValueError(f"drop_rate {self.drop_rate} < 0")
        elif self.drop_rate >= 1:
            raise ValueError(f"drop_rate {self.drop_rate} >= 1")


class GPTModel(nn.Module):
    def __init__(self, cfg, tie_weights=True):
        super().__init__()
        self.cfg = cfg
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        blocks = []
        for i in range(cfg.n_layers):
            blocks.append(TransformerBlock(cfg))
        self.trf_blocks = nn.Sequential(*blocks)
        self.final_norm = LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if tie_weights is True:
            self.out_head.weight = self.embedding.tok_emb.weight
        init_weights(self)

    def forward(self, ids):
        h = self.embedding(ids)
        for i in range(len(self.trf_blocks)):
            h = self.trf_blocks[i](h)
        h = self.final_norm(h)
        return h @ self.out_head.weight.transpose(0, 1)


def gauss(p, std):
    n = p.numel()
    angle = torch.rand(n, dtype=p.dtype, device=p.device) * 2 * math.pi
    radius = torch.sqrt(-2 * torch.log1p(-torch.rand(n, dtype=p.dtype, device=p.device)))
    p.data.copy_((std * radius * torch.cos(angle)).reshape(p.shape))


def init_weights(model):
    L = len(model.trf_blocks)
    for p in model.parameters():
        if p.dim() == 2:
            gauss(p, 0.02)
        else:
            p.data.zero_()
    for m in model.modules():
        if isinstance(m, LayerNorm):
            m.scale.data.add_(1)
    for i in range(L):
        gauss(model.trf_blocks[i].att.out_proj.weight, 0.02 / (2 * L) ** 0.5)
        gauss(model.trf_blocks[i].ff.layers[2].weight, 0.02 / (2 * L) ** 0.5)


def count_parameters(model):
    return int(sum([p.nelement() for p in model.parameters()]))
