# wrong: silu-on-the-other-branch
# silu acts on fc2.
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from .ex06_attention import scaled_dot_product_attention
from .ex07_multihead import merge_heads, split_heads
from .ex19_kv_cache import KVCache


@dataclass(frozen=True)
class LlamaConfig:
    vocab_size: int
    context_length: int
    emb_dim: int
    n_heads: int
    n_kv_groups: int
    n_layers: int
    hidden_dim: int
    rope_base: float = 10000.0
    norm_eps: float = 1e-5
    tie_weights: bool = False


linear = partial(nn.Linear, bias=False)


def mean_square(x):
    return (x**2).mean(dim=-1, keepdim=True)


class RMSNorm(nn.Module):
    def __init__(self, emb_dim, eps):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(emb_dim))

    def forward(self, x):
        y = x.to(torch.float32, copy=True)
        y = y.div(mean_square(y).add(self.eps).sqrt())
        return y.to(x.dtype).mul(self.weight)


class RoPE(nn.Module):
    def __init__(self, head_dim, context_length, base):
        if head_dim % 2:
            raise ValueError(f"{head_dim} numbers make no pairs")
        super().__init__()
        self.context_length = context_length
        angle = torch.arange(context_length).outer(base ** (torch.arange(0, -head_dim, -2) / head_dim))
        rows = torch.stack([angle.cos(), -angle.sin()], -1), torch.stack([angle.sin(), angle.cos()], -1)
        self.register_buffer("turns", torch.stack(rows, dim=-2), persistent=False)

    def forward(self, x, start=0):
        stop = start + x.size(-2)
        if stop > self.context_length:
            raise ValueError(f"position {stop} of {self.context_length}")
        pairs = torch.stack(x.chunk(2, dim=-1), dim=-1).unsqueeze(-1)
        turned = (self.turns[start:stop].to(x.dtype) @ pairs).squeeze(-1)
        return torch.cat(turned.unbind(-1), dim=-1)


class SwiGLU(nn.Module):
    def __init__(self, emb_dim, hidden_dim):
        super().__init__()
        self.fc1, self.fc2 = linear(emb_dim, hidden_dim), linear(emb_dim, hidden_dim)
        self.fc3 = linear(hidden_dim, emb_dim)

    def forward(self, x):
        gate = self.fc2(x)
        return self.fc3(gate * gate.sigmoid() * self.fc1(x))


def refuse_unless_divides(parts, whole, what):
    if whole % parts != 0:
        raise ValueError(f"{what}: {whole} cannot be cut into {parts}")


class GroupedQueryAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        refuse_unless_divides(cfg.n_heads, cfg.emb_dim, "heads")
        refuse_unless_divides(cfg.n_kv_groups, cfg.n_heads, "groups")
        width, self.cfg = cfg.emb_dim // cfg.n_heads, cfg
        self.W_query = linear(cfg.emb_dim, cfg.n_heads * width)
        self.W_key = linear(cfg.emb_dim, cfg.n_kv_groups * width)
        self.W_value = linear(cfg.emb_dim, cfg.n_kv_groups * width)
        self.out_proj = linear(cfg.n_heads * width, cfg.emb_dim)
        self.rope = RoPE(width, cfg.context_length, cfg.rope_base)

    def share(self, x):
        which = torch.arange(self.cfg.n_heads, device=x.device) // (self.cfg.n_heads // self.cfg.n_kv_groups)
        return x[:, which]

    def forward(self, x, cache=None):
        past = cache.length if cache is not None else 0
        query = self.rope(split_heads(self.W_query(x), self.cfg.n_heads), start=past)
        key = self.rope(split_heads(self.W_key(x), self.cfg.n_kv_groups), start=past)
        value = split_heads(self.W_value(x), self.cfg.n_kv_groups)
        if cache is not None:
            key, value = cache.append(key, value)
        mask = torch.ones(x.size(1), key.size(2), dtype=torch.bool, device=x.device).triu(diagonal=past + 1)
        return self.out_proj(
            merge_heads(scaled_dot_product_attention(query, self.share(key), self.share(value), mask))
        )


class LlamaBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.norm1 = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.att = GroupedQueryAttention(cfg)
        self.norm2 = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.ff = SwiGLU(cfg.emb_dim, cfg.hidden_dim)

    def forward(self, x, cache=None):
        total = x.clone()
        total = total + self.att(self.norm1(total), cache)
        total += self.ff(self.norm2(total))
        return total


class LlamaModel(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.emb_dim)
        self.trf_blocks = nn.ModuleList(map(LlamaBlock, [cfg] * cfg.n_layers))
        self.final_norm = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.out_head = linear(cfg.emb_dim, cfg.vocab_size)
        if cfg.tie_weights:
            self.out_head.weight = self.tok_emb.weight

    def new_caches(self):
        return [KVCache(self.cfg.context_length) for _ in range(self.cfg.n_layers)]

    def forward(self, ids, caches=None):
        def run(x, number):
            if number == len(self.trf_blocks):
                return x
            cache = None if caches is None else caches[number]
            return run(self.trf_blocks[number](x, cache), number + 1)

        return self.out_head(self.final_norm(run(self.tok_emb(ids), 0)))
