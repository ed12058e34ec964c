# right: as in transformers: repeat_kv by expand, rotate_half, an additive mask of the lowest float.
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

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


class RMSNorm(nn.Module):
    def __init__(self, emb_dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(emb_dim))
        self.variance_epsilon = eps

    def forward(self, x):
        hidden_states = x.to(torch.float32)
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states.to(x.dtype)


def rotate_half(x):
    x1, x2 = x.split(x.shape[-1] // 2, dim=-1)
    return torch.cat((-x2, x1), dim=-1)


class RoPE(nn.Module):
    def __init__(self, head_dim, context_length, base):
        super().__init__()
        if head_dim & 1:
            raise ValueError(f"cannot rotate heads of width {head_dim}")
        inv_freq = 1.0 / (base ** (torch.arange(0, head_dim, 2).float() / head_dim))
        freqs = torch.einsum("i,j->ij", torch.arange(context_length).float(), inv_freq)
        emb = torch.cat((freqs, freqs), dim=-1)
        self.register_buffer("cos_cached", emb.cos()[None, None], persistent=False)
        self.register_buffer("sin_cached", emb.sin()[None, None], persistent=False)

    def forward(self, x, start=0):
        seq_len, limit = start + x.shape[-2], self.cos_cached.shape[2]
        if seq_len > limit:
            raise ValueError(f"sequence length {seq_len} exceeds {limit}")
        cos = self.cos_cached[:, :, start:seq_len].to(x.dtype)
        sin = self.sin_cached[:, :, start:seq_len].to(x.dtype)
        return x * cos + rotate_half(x) * sin


class SwiGLU(nn.Module):
    def __init__(self, emb_dim, hidden_dim):
        super().__init__()
        self.fc1 = nn.Linear(emb_dim, hidden_dim, bias=False)
        self.fc2 = nn.Linear(emb_dim, hidden_dim, bias=False)
        self.fc3 = nn.Linear(hidden_dim, emb_dim, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x):
        return self.fc3(self.act_fn(self.fc1(x)) * self.fc2(x))


def repeat_kv(hidden_states, n_rep):
    batch, num_key_value_heads, slen, head_dim = hidden_states.shape
    if n_rep == 1:
        return hidden_states
    hidden_states = hidden_states[:, :, None].expand(batch, num_key_value_heads, n_rep, slen, head_dim)
    return hidden_states.reshape(batch, num_key_value_heads * n_rep, slen, head_dim)


class GroupedQueryAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.check(cfg.emb_dim, cfg.n_heads)
        self.check(cfg.n_heads, cfg.n_kv_groups)
        self.cfg = cfg
        self.head_dim = cfg.emb_dim // cfg.n_heads
        self.num_key_value_groups = cfg.n_heads // cfg.n_kv_groups
        self.W_query = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.W_key = nn.Linear(cfg.emb_dim, cfg.n_kv_groups * self.head_dim, bias=False)
        self.W_value = nn.Linear(cfg.emb_dim, cfg.n_kv_groups * self.head_dim, bias=False)
        self.out_proj = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.rope = RoPE(self.head_dim, cfg.context_length, cfg.rope_base)

    @staticmethod
    def check(whole, parts):
        if whole % parts:
            raise ValueError(f"{whole} is not divisible by {parts}")

    def causal(self, q_len, kv_len, like):
        mask = torch.full((q_len, kv_len), torch.finfo(like.dtype).min, dtype=like.dtype, device=like.device)
        return torch.triu(mask, diagonal=kv_len - q_len + 1)

    def forward(self, x, cache=None):
        past = 0 if cache is None else cache.length
        query_states = split_heads(self.W_query(x), self.cfg.n_heads)
        key_states = split_heads(self.W_key(x), self.cfg.n_kv_groups)
        value_states = split_heads(self.W_value(x), self.cfg.n_kv_groups)
        query_states, key_states = self.rope(query_states, past), self.rope(key_states, past)
        if cache is not None:
            key_states, value_states = cache.append(key_states, value_states)
        key_states = repeat_kv(key_states, self.num_key_value_groups)
        value_states = repeat_kv(value_states, self.num_key_value_groups)
        attn_weights = torch.matmul(query_states, key_states.transpose(2, 3)) / self.head_dim**0.5
        attn_weights = attn_weights + self.causal(x.shape[1], key_states.shape[2], attn_weights)
        attn_weights = functional.softmax(attn_weights, dim=-1, dtype=torch.float32).to(query_states.dtype)
        return self.out_proj(merge_heads(torch.matmul(attn_weights, value_states)))


class LlamaBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.att = GroupedQueryAttention(cfg)
        self.ff = SwiGLU(cfg.emb_dim, cfg.hidden_dim)
        self.norm1 = RMSNorm(cfg.emb_dim, eps=cfg.norm_eps)
        self.norm2 = RMSNorm(cfg.emb_dim, eps=cfg.norm_eps)

    def forward(self, x, cache=None):
        residual = x
        hidden_states = self.att(self.norm1(x), cache)
        hidden_states = residual + hidden_states
        residual = hidden_states
        hidden_states = self.ff(self.norm2(hidden_states))
        return residual + hidden_states


class LlamaModel(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.emb_dim)
        self.trf_blocks = nn.ModuleList([LlamaBlock(cfg) for layer_idx in range(cfg.n_layers)])
        self.final_norm = RMSNorm(cfg.emb_dim, eps=cfg.norm_eps)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        self.tie_weights()

    def tie_weights(self):
        if self.cfg.tie_weights:
            self.out_head.weight = self.tok_emb.weight

    def new_caches(self):
        return [KVCache(self.cfg.context_length) for _ in self.trf_blocks]

    def forward(self, ids, caches=None):
        hidden_states = self.tok_emb(ids)
        for idx, decoder_layer in enumerate(self.trf_blocks):
            hidden_states = decoder_layer(hidden_states, caches[idx] if caches is not None else None)
        return self.out_head(self.final_norm(hidden_states))
