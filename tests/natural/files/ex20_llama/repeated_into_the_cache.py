# wrong: cache-gets-the-repeated-heads
# Heads are repeated before they go into the cache.
from dataclasses import dataclass

import torch
import torch.nn as nn

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
    def __init__(self, emb_dim, eps):
        super().__init__()
        self.eps = eps
        self.emb_dim = emb_dim
        self.weight = nn.Parameter(torch.ones(emb_dim))

    def forward(self, x):
        x32 = x.to(torch.float32)
        means = x32.pow(2).mean(dim=-1, keepdim=True)
        x_normed = x32 * torch.rsqrt(means + self.eps)
        return (x_normed * self.weight.float()).to(dtype=x.dtype)


def precompute_rope_params(head_dim, theta_base, context_length):
    inv_freq = 1.0 / (theta_base ** (torch.arange(0, head_dim, 2)[: (head_dim // 2)].float() / head_dim))
    positions = torch.arange(context_length)
    angles = positions[:, None] * inv_freq[None, :]
    angles = torch.cat([angles, angles], dim=1)
    return torch.cos(angles), torch.sin(angles)


def compute_rope(x, cos, sin, start):
    batch_size, num_heads, seq_len, head_dim = x.shape
    x1 = x[..., : head_dim // 2]
    x2 = x[..., head_dim // 2 :]
    cos = cos[start : start + seq_len, :].unsqueeze(0).unsqueeze(0)
    sin = sin[start : start + seq_len, :].unsqueeze(0).unsqueeze(0)
    rotated = torch.cat((-x2, x1), dim=-1)
    x_rotated = (x * cos) + (rotated * sin)
    return x_rotated.to(dtype=x.dtype)


class RoPE(nn.Module):
    def __init__(self, head_dim, context_length, base):
        super().__init__()
        if head_dim % 2 != 0:
            raise ValueError(f"head_dim must be even, got {head_dim}")
        self.context_length = context_length
        cos, sin = precompute_rope_params(head_dim, base, context_length)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, x, start=0):
        if start + x.shape[2] > self.context_length:
            raise ValueError(f"{start + x.shape[2]} positions, context_length is {self.context_length}")
        return compute_rope(x, self.cos, self.sin, start)


class SiLU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class SwiGLU(nn.Module):
    def __init__(self, emb_dim, hidden_dim):
        super().__init__()
        self.fc1 = nn.Linear(emb_dim, hidden_dim, bias=False)
        self.fc2 = nn.Linear(emb_dim, hidden_dim, bias=False)
        self.fc3 = nn.Linear(hidden_dim, emb_dim, bias=False)
        self.silu = SiLU()

    def forward(self, x):
        x_fc1 = self.fc1(x)
        x_fc2 = self.fc2(x)
        x = self.silu(x_fc1) * x_fc2
        return self.fc3(x)


class GroupedQueryAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        if cfg.emb_dim % cfg.n_heads != 0:
            raise ValueError(f"emb_dim {cfg.emb_dim} must be divisible by n_heads {cfg.n_heads}")
        if cfg.n_heads % cfg.n_kv_groups != 0:
            raise ValueError(f"n_heads {cfg.n_heads} must be divisible by n_kv_groups {cfg.n_kv_groups}")
        self.num_heads = cfg.n_heads
        self.head_dim = cfg.emb_dim // cfg.n_heads
        self.num_kv_groups = cfg.n_kv_groups
        self.group_size = cfg.n_heads // cfg.n_kv_groups
        self.W_key = nn.Linear(cfg.emb_dim, cfg.n_kv_groups * self.head_dim, bias=False)
        self.W_value = nn.Linear(cfg.emb_dim, cfg.n_kv_groups * self.head_dim, bias=False)
        self.W_query = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.out_proj = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.rope = RoPE(self.head_dim, cfg.context_length, cfg.rope_base)

    def forward(self, x, cache=None):
        b, num_tokens, d_in = x.shape
        queries = self.W_query(x)
        keys = self.W_key(x)
        values = self.W_value(x)

        queries = queries.view(b, num_tokens, self.num_heads, self.head_dim).transpose(1, 2)
        keys = keys.view(b, num_tokens, self.num_kv_groups, self.head_dim).transpose(1, 2)
        values = values.view(b, num_tokens, self.num_kv_groups, self.head_dim).transpose(1, 2)

        start = cache.length if cache is not None else 0
        keys = self.rope(keys, start)
        queries = self.rope(queries, start)
        keys = keys.repeat_interleave(self.group_size, dim=1)
        values = values.repeat_interleave(self.group_size, dim=1)
        if cache is not None:
            keys, values = cache.append(keys, values)

        attn_scores = queries @ keys.transpose(2, 3)
        mask = torch.ones(start + num_tokens, start + num_tokens, dtype=torch.bool, device=x.device)
        mask = torch.triu(mask, diagonal=1)[start:]
        attn_scores = attn_scores.masked_fill(mask, -torch.inf)
        attn_weights = torch.softmax(attn_scores / keys.shape[-1] ** 0.5, dim=-1)

        context_vec = (attn_weights @ values).transpose(1, 2)
        context_vec = context_vec.reshape(b, num_tokens, self.num_heads * self.head_dim)
        return self.out_proj(context_vec)


class LlamaBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.att = GroupedQueryAttention(cfg)
        self.ff = SwiGLU(cfg.emb_dim, cfg.hidden_dim)
        self.norm1 = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.norm2 = RMSNorm(cfg.emb_dim, cfg.norm_eps)

    def forward(self, x, cache=None):
        shortcut = x
        x = self.norm1(x)
        x = self.att(x, cache)
        x = x + shortcut

        shortcut = x
        x = self.norm2(x)
        x = self.ff(x)
        x = x + shortcut
        return x


class LlamaModel(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.emb_dim)
        self.trf_blocks = nn.ModuleList([LlamaBlock(cfg) for _ in range(cfg.n_layers)])
        self.final_norm = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if cfg.tie_weights:
            self.out_head.weight = self.tok_emb.weight

    def new_caches(self):
        return [KVCache(self.cfg.context_length) for _ in range(self.cfg.n_layers)]

    def forward(self, ids, caches=None):
        x = self.tok_emb(ids)
        if caches is None:
            caches = [None] * len(self.trf_blocks)
        for block, cache in zip(self.trf_blocks, caches, strict=True):
            x = block(x, cache)
        x = self.final_norm(x)
        logits = self.out_head(x)
        return logits
