# right: RoPE by complex numbers with a table made in float64, grouped einsum without repeating keys.
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, einsum, nn

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


class RMSNorm(nn.Module):
    def __init__(self, emb_dim: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(emb_dim)), eps

    def _norm(self, x: Tensor) -> Tensor:
        return x / torch.sqrt(torch.square(x).mean(-1, keepdim=True) + self.eps)

    def forward(self, x: Tensor) -> Tensor:
        return self._norm(x.float()).type_as(x) * self.weight


class RoPE(nn.Module):
    def __init__(self, head_dim: int, context_length: int, base: float) -> None:
        super().__init__()
        half, rest = divmod(head_dim, 2)
        if rest:
            raise ValueError(f"odd: {head_dim}")
        speeds = torch.exp(-torch.arange(half, dtype=torch.float64) / half * torch.log(torch.tensor(base).double()))
        angles = torch.outer(torch.arange(context_length, dtype=torch.float64), speeds)
        self.register_buffer("real", angles.cos().float(), persistent=False)
        self.register_buffer("imaginary", angles.sin().float(), persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        n = start + x.size(2)
        if n > len(self.real):
            raise ValueError(f"{n} positions, there are {len(self.real)}")
        turn = torch.complex(self.real[start:n].float(), self.imaginary[start:n].float())
        a, b = x.float().chunk(2, -1)
        z = torch.complex(a, b) * turn
        return torch.cat([z.real, z.imag], -1).type_as(x)


class SwiGLU(nn.Module):
    def __init__(self, emb_dim: int, hidden_dim: int) -> None:
        super().__init__()
        for name, n_in, n_out in (
            ("fc1", emb_dim, hidden_dim),
            ("fc2", emb_dim, hidden_dim),
            ("fc3", hidden_dim, emb_dim),
        ):
            self.add_module(name, nn.Linear(n_in, n_out, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(F.silu(self.fc1(x)).mul(self.fc2(x)))


class GroupedQueryAttention(nn.Module):
    def __init__(self, cfg: LlamaConfig) -> None:
        super().__init__()
        D, H, G = cfg.emb_dim, cfg.n_heads, cfg.n_kv_groups
        if D % H or H % G:
            raise ValueError(f"D={D}, H={H}, G={G} do not go together")
        self.G, self.h = G, D // H
        self.W_query, self.out_proj = (nn.Linear(D, D, bias=False) for _ in range(2))
        self.W_key, self.W_value = (nn.Linear(D, G * self.h, bias=False) for _ in range(2))
        self.rope = RoPE(self.h, cfg.context_length, cfg.rope_base)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.h)).transpose(1, 2)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        S, T = (0 if cache is None else cache.length), x.size(1)
        q, k = (self.rope(self._split(layer(x)), S) for layer in (self.W_query, self.W_key))
        v = self._split(self.W_value(x))
        if cache is not None:
            k, v = cache.append(k, v)
        q = q.unflatten(1, (self.G, -1)) * self.h**-0.5
        scores = einsum("bgrqd,bgkd->bgrqk", q, k)
        where = torch.arange(S + T, device=x.device)
        scores = torch.where(where[S:, None] >= where, scores, -torch.inf)
        out = einsum("bgrqk,bgkd->bqgrd", scores.softmax(-1), v)
        return self.out_proj(out.flatten(2))


class LlamaBlock(nn.Module):
    def __init__(self, cfg: LlamaConfig) -> None:
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(cfg.emb_dim, cfg.norm_eps), RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.att, self.ff = GroupedQueryAttention(cfg), SwiGLU(cfg.emb_dim, cfg.hidden_dim)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        h = x + self.att(self.norm1(x), cache)
        return h + self.ff(self.norm2(h))


class LlamaModel(nn.Module):
    def __init__(self, cfg: LlamaConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.emb_dim)
        self.trf_blocks = nn.ModuleList()
        for _ in range(cfg.n_layers):
            self.trf_blocks.append(LlamaBlock(cfg))
        self.final_norm = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if cfg.tie_weights:
            self.tok_emb.weight = self.out_head.weight

    def new_caches(self) -> list[KVCache]:
        return [KVCache(max_length=self.cfg.context_length) for _ in self.trf_blocks]

    def forward(self, ids: Tensor, caches=None) -> Tensor:
        x = self.tok_emb(ids)
        for i in range(self.cfg.n_layers):
            x = self.trf_blocks[i](x, caches[i] if caches else None)
        return self.out_head(self.final_norm(x))
