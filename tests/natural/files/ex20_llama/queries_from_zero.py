# wrong: mask-counts-queries-from-zero
# The mask numbers the queries from 0.
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
        super(RMSNorm, self).__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(emb_dim))

    def forward(self, x):
        originalType = x.dtype
        asFloat = x.to(torch.float32)
        squares = torch.mul(asFloat, asFloat)
        meanOfSquares = torch.mean(squares, dim=-1, keepdim=True)
        root = torch.sqrt(meanOfSquares + self.eps)
        normalized = torch.div(asFloat, root)
        return torch.mul(self.weight, normalized.to(originalType))


class RoPE(nn.Module):
    def __init__(self, head_dim, context_length, base):
        super(RoPE, self).__init__()
        if head_dim % 2 != 0:
            raise ValueError("head_dim must be even but is " + str(head_dim))
        self.halfWidth = head_dim // 2
        self.contextLength = context_length
        exponents = torch.arange(self.halfWidth, dtype=torch.float32) * (-2.0 / head_dim)
        speeds = torch.pow(torch.tensor(float(base)), exponents)
        positions = torch.arange(context_length, dtype=torch.float32)
        angles = positions.reshape(-1, 1) * speeds.reshape(1, -1)
        self.register_buffer("cosines", torch.cos(angles), persistent=False)
        self.register_buffer("sines", torch.sin(angles), persistent=False)

    def forward(self, x, start=0):
        numberOfTokens = x.shape[2]
        end = start + numberOfTokens
        if end > self.contextLength:
            raise ValueError(str(end) + " exceeds the context of " + str(self.contextLength))
        cos = self.cosines[start:end].to(x.dtype)
        sin = self.sines[start:end].to(x.dtype)
        result = torch.empty_like(x)
        first = x[:, :, :, : self.halfWidth]
        second = x[:, :, :, self.halfWidth :]
        result[:, :, :, : self.halfWidth] = first * cos - second * sin
        result[:, :, :, self.halfWidth :] = second * cos + first * sin
        return result


class SwiGLU(nn.Module):
    def __init__(self, emb_dim, hidden_dim):
        super(SwiGLU, self).__init__()
        self.fc1 = nn.Linear(emb_dim, hidden_dim, bias=False)
        self.fc2 = nn.Linear(emb_dim, hidden_dim, bias=False)
        self.fc3 = nn.Linear(hidden_dim, emb_dim, bias=False)

    def forward(self, x):
        gate = torch.nn.functional.silu(self.fc1(x))
        content = self.fc2(x)
        gated = gate * content
        return self.fc3(gated)


class SizeValidator:
    def __init__(self, cfg):
        self.cfg = cfg

    def validate(self):
        if self.cfg.emb_dim % self.cfg.n_heads != 0:
            message = "emb_dim=" + str(self.cfg.emb_dim) + ", n_heads=" + str(self.cfg.n_heads)
            raise ValueError(message)
        if self.cfg.n_heads % self.cfg.n_kv_groups != 0:
            message = "n_heads=" + str(self.cfg.n_heads) + ", n_kv_groups=" + str(self.cfg.n_kv_groups)
            raise ValueError(message)


class CausalMask:
    def __init__(self, start, numberOfNewTokens, device):
        queryPositions = torch.arange(numberOfNewTokens, device=device)
        keyPositions = torch.arange(0, start + numberOfNewTokens, device=device)
        self.hidden = keyPositions.unsqueeze(0) > queryPositions.unsqueeze(1)

    def applyTo(self, scores):
        return scores.masked_fill(self.hidden, float("-inf"))


class GroupedQueryAttention(nn.Module):
    def __init__(self, cfg):
        super(GroupedQueryAttention, self).__init__()
        SizeValidator(cfg).validate()
        self.numberOfHeads = cfg.n_heads
        self.numberOfGroups = cfg.n_kv_groups
        self.headWidth = cfg.emb_dim // cfg.n_heads
        self.W_query = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.W_key = nn.Linear(cfg.emb_dim, self.numberOfGroups * self.headWidth, bias=False)
        self.W_value = nn.Linear(cfg.emb_dim, self.numberOfGroups * self.headWidth, bias=False)
        self.out_proj = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.rope = RoPE(self.headWidth, cfg.context_length, cfg.rope_base)

    def splitIntoHeads(self, x, count):
        batchSize = x.shape[0]
        numberOfTokens = x.shape[1]
        reshaped = x.reshape(batchSize, numberOfTokens, count, self.headWidth)
        return reshaped.permute(0, 2, 1, 3)

    def repeatForSharing(self, x):
        headsPerGroup = self.numberOfHeads // self.numberOfGroups
        copies = []
        for group in range(self.numberOfGroups):
            for _ in range(headsPerGroup):
                copies.append(x[:, group])
        return torch.stack(copies, dim=1)

    def forward(self, x, cache=None):
        start = 0
        if cache is not None:
            start = cache.length
        query = self.splitIntoHeads(self.W_query(x), self.numberOfHeads)
        key = self.splitIntoHeads(self.W_key(x), self.numberOfGroups)
        value = self.splitIntoHeads(self.W_value(x), self.numberOfGroups)
        query = self.rope(query, start)
        key = self.rope(key, start)
        if cache is not None:
            key, value = cache.append(key, value)
        key = self.repeatForSharing(key)
        value = self.repeatForSharing(value)
        scores = torch.matmul(query, key.permute(0, 1, 3, 2))
        scores = scores / math.sqrt(self.headWidth)
        scores = CausalMask(start, x.shape[1], x.device).applyTo(scores)
        weights = torch.softmax(scores, dim=3)
        context = torch.matmul(weights, value)
        context = context.permute(0, 2, 1, 3)
        context = context.reshape(x.shape[0], x.shape[1], self.numberOfHeads * self.headWidth)
        return self.out_proj(context)


class LlamaBlock(nn.Module):
    def __init__(self, cfg):
        super(LlamaBlock, self).__init__()
        self.norm1 = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.norm2 = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.att = GroupedQueryAttention(cfg)
        self.ff = SwiGLU(cfg.emb_dim, cfg.hidden_dim)

    def forward(self, x, cache=None):
        normalized = self.norm1(x)
        attended = self.att(normalized, cache)
        x = torch.add(x, attended)
        normalized = self.norm2(x)
        processed = self.ff(normalized)
        x = torch.add(x, processed)
        return x


class LlamaModel(nn.Module):
    def __init__(self, cfg):
        super(LlamaModel, self).__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.emb_dim)
        self.trf_blocks = nn.ModuleList()
        for _ in range(cfg.n_layers):
            self.trf_blocks.append(LlamaBlock(cfg))
        self.final_norm = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if cfg.tie_weights:
            self.out_head.weight = self.tok_emb.weight

    def new_caches(self):
        result = []
        for _ in range(self.cfg.n_layers):
            result.append(KVCache(self.cfg.context_length))
        return result

    def forward(self, ids, caches=None):
        hidden = self.tok_emb(ids)
        for index in range(self.cfg.n_layers):
            cacheOfBlock = None
            if caches is not None:
                cacheOfBlock = caches[index]
            hidden = self.trf_blocks[index](hidden, cacheOfBlock)
        hidden = self.final_norm(hidden)
        return self.out_head(hidden)
