# wrong: only-the-first-group-used
# All query heads use the keys and values of the first group.
import math
from dataclasses import dataclass

import torch
from torch import nn

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
        self.emb_dim = emb_dim
        self.eps = eps
        self.weight = nn.Parameter(torch.full((emb_dim,), 1.0))

    def forward(self, x):
        numbers = x.float()
        square_sum = (numbers * numbers).sum(-1)
        root = (square_sum / self.emb_dim + self.eps).sqrt()
        result = numbers / root.unsqueeze(-1)
        return (result * self.weight).to(x.dtype)


class RoPE(nn.Module):
    def __init__(self, head_dim, context_length, base):
        super().__init__()
        if head_dim % 2 == 1:
            raise ValueError("head_dim is odd: %d" % head_dim)
        self.positions = context_length
        cos, sin = [], []
        for p in range(context_length):
            angles = [p * base ** (-2 * i / head_dim) for i in range(head_dim // 2)]
            cos.append([math.cos(a) for a in angles])
            sin.append([math.sin(a) for a in angles])
        self.register_buffer("table_of_cosines", torch.tensor(cos), persistent=False)
        self.register_buffer("table_of_sines", torch.tensor(sin), persistent=False)

    def forward(self, x, start=0):
        tokens, half = x.shape[2], x.shape[3] // 2
        if start + tokens > self.positions:
            raise ValueError("%d is more than %d" % (start + tokens, self.positions))
        columns = [None] * (2 * half)
        for i in range(half):
            c = self.table_of_cosines[start : start + tokens, i].to(x.dtype)
            s = self.table_of_sines[start : start + tokens, i].to(x.dtype)
            a, b = x[..., i], x[..., i + half]
            columns[i] = a * c - b * s
            columns[i + half] = b * c + a * s
        return torch.stack(columns, dim=-1)


class SwiGLU(nn.Module):
    def __init__(self, emb_dim, hidden_dim):
        super().__init__()
        self.fc1 = nn.Linear(emb_dim, hidden_dim, False)
        self.fc2 = nn.Linear(emb_dim, hidden_dim, False)
        self.fc3 = nn.Linear(hidden_dim, emb_dim, False)

    def forward(self, x):
        gate = self.fc1(x)
        gate = gate / (1 + torch.exp(-gate))
        passes = self.fc2(x)
        return self.fc3(gate * passes)


class GroupedQueryAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        if cfg.emb_dim % cfg.n_heads != 0:
            raise ValueError("%d does not divide into %d heads" % (cfg.emb_dim, cfg.n_heads))
        if cfg.n_heads % cfg.n_kv_groups != 0:
            raise ValueError("%d heads, %d groups" % (cfg.n_heads, cfg.n_kv_groups))
        self.cfg = cfg
        self.width = cfg.emb_dim // cfg.n_heads
        self.W_query = nn.Linear(cfg.emb_dim, cfg.n_heads * self.width, bias=False)
        self.W_key = nn.Linear(cfg.emb_dim, cfg.n_kv_groups * self.width, bias=False)
        self.W_value = nn.Linear(cfg.emb_dim, cfg.n_kv_groups * self.width, bias=False)
        self.out_proj = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.rope = RoPE(self.width, cfg.context_length, cfg.rope_base)

    def heads_of(self, x, number):
        heads = []
        for i in range(number):
            heads.append(x[:, :, i * self.width : (i + 1) * self.width])
        return torch.stack(heads, dim=1)

    def forward(self, x, cache=None):
        start = 0
        if cache is not None:
            start = cache.length
        queries = self.rope(self.heads_of(self.W_query(x), self.cfg.n_heads), start)
        keys = self.rope(self.heads_of(self.W_key(x), self.cfg.n_kv_groups), start)
        values = self.heads_of(self.W_value(x), self.cfg.n_kv_groups)
        if cache is not None:
            keys, values = cache.append(keys, values)
        found = []
        for i in range(self.cfg.n_heads):
            query, key, value = queries[:, i], keys[:, 0], values[:, 0]
            rows = []
            for t in range(x.shape[1]):
                visible = start + t + 1
                scores = torch.bmm(key[:, :visible], query[:, t].unsqueeze(2)).squeeze(2) / math.sqrt(self.width)
                weights = torch.softmax(scores, dim=1)
                rows.append(torch.bmm(weights.unsqueeze(1), value[:, :visible]).squeeze(1))
            found.append(torch.stack(rows, dim=1))
        return self.out_proj(torch.cat(found, dim=2))


class LlamaBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.norm1 = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.att = GroupedQueryAttention(cfg)
        self.norm2 = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.ff = SwiGLU(cfg.emb_dim, cfg.hidden_dim)

    def forward(self, x, cache=None):
        gathered = self.att(self.norm1(x), cache)
        after_attention = x + gathered
        digested = self.ff(self.norm2(after_attention))
        return after_attention + digested


class LlamaModel(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.emb_dim)
        blocks = []
        for _ in range(cfg.n_layers):
            blocks.append(LlamaBlock(cfg))
        self.trf_blocks = nn.ModuleList(blocks)
        self.final_norm = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if cfg.tie_weights:
            self.out_head.weight = self.tok_emb.weight

    def new_caches(self):
        caches = []
        while len(caches) < self.cfg.n_layers:
            caches.append(KVCache(self.cfg.context_length))
        return caches

    def forward(self, ids, caches=None):
        x = self.tok_emb(ids)
        for i, block in enumerate(self.trf_blocks):
            if caches is None:
                x = block(x)
            else:
                x = block(x, caches[i])
        return self.out_head(self.final_norm(x))
