# right: loops over heads and over queries; a list of pieces as the cache; a class for each worry.
import math

import torch
from torch import nn

from .ex10_generate import generate


class Shape:
    def __init__(self, tensor):
        self.batch, self.heads, self.tokens, self.width = tensor.shape
        self.dtype = tensor.dtype

    def fits(self, other):
        mine = (self.batch, self.heads, self.width, self.dtype)
        return mine == (other.batch, other.heads, other.width, other.dtype)


class KVCache:
    def __init__(self, max_length):
        self.max_length = max_length
        self.pieces = []

    @property
    def length(self):
        return sum(key.shape[2] for key, _ in self.pieces)

    def append(self, key, value):
        total = self.length + key.shape[2]
        if total > self.max_length:
            raise ValueError("cannot hold " + str(total) + " tokens, only " + str(self.max_length))
        if len(self.pieces) > 0:
            heldKey, heldValue = self.pieces[0]
            if not Shape(key).fits(Shape(heldKey)) or not Shape(value).fits(Shape(heldValue)):
                raise ValueError("this is another kind of keys or values")
        self.pieces.append((key, value))
        allKeys = torch.cat([k for k, _ in self.pieces], dim=2)
        allValues = torch.cat([v for _, v in self.pieces], dim=2)
        return allKeys, allValues

    def reset(self):
        self.pieces.clear()


def one_head(query, key, value, first_position, dropout):
    """Attention of one head of one batch: (B, T_new, h), (B, T_all, h), (B, T_all, h)."""
    width = query.shape[2]
    rows = []
    for t in range(query.shape[1]):
        visible = first_position + t + 1
        scores = (key[:, :visible] * query[:, t : t + 1]).sum(dim=2) / math.sqrt(width)
        weights = torch.exp(scores - scores.max(dim=1, keepdim=True).values)
        weights = weights / weights.sum(dim=1, keepdim=True)
        weights = dropout(weights)
        rows.append((weights.unsqueeze(2) * value[:, :visible]).sum(dim=1))
    return torch.stack(rows, dim=1)


def cached_attention(attention, num_heads, x, cache):
    first_position = cache.length
    query, key, value = attention.W_query(x), attention.W_key(x), attention.W_value(x)
    width = query.shape[2] // num_heads
    cut = [slice(h * width, (h + 1) * width) for h in range(num_heads)]
    keys, values = cache.append(
        torch.stack([key[:, :, c] for c in cut], dim=1), torch.stack([value[:, :, c] for c in cut], dim=1)
    )
    heads = []
    for h in range(num_heads):
        heads.append(one_head(query[:, :, cut[h]], keys[:, h], values[:, h], first_position, attention.dropout))
    return attention.out_proj(torch.cat(heads, dim=2))


class CachedGPT(nn.Module):
    def __init__(self, gpt):
        super().__init__()
        self.add_module("gpt", gpt)
        self.cfg = gpt.cfg
        self.train(mode=gpt.training)

    def new_caches(self):
        caches, number = [], 0
        while number < self.cfg.n_layers:
            caches.append(KVCache(max_length=self.cfg.context_length))
            number += 1
        return caches

    def forward(self, ids, caches=None):
        if caches is None:
            return self.gpt.forward(ids)
        start = caches[0].length
        total = start + ids.shape[1]
        if total > self.cfg.context_length:
            raise ValueError("the text has " + str(total) + " tokens, more than " + str(self.cfg.context_length))
        embedding = self.gpt.embedding
        table = embedding.pos_emb.weight
        columns = []
        for t in range(ids.shape[1]):
            columns.append(embedding.tok_emb(ids[:, t]) + table[start + t])
        x = embedding.drop_emb(torch.stack(columns, dim=1))
        layer = 0
        for block in self.gpt.trf_blocks:
            found = cached_attention(block.att, self.cfg.n_heads, block.norm1(x), caches[layer])
            x = x + block.drop_shortcut(found)
            x = x + block.drop_shortcut(block.ff(block.norm2(x)))
            layer += 1
        return self.gpt.out_head(self.gpt.final_norm(x))


class Session(nn.Module):
    """Remembers what the model has read."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.caches = model.new_caches()
        self.train(model.training)

    def forward(self, ids):
        already = self.caches[0].length
        return self.model(ids[:, already:], self.caches)


def generate_cached(
    model, ids, max_new_tokens, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None
):
    needed = ids.shape[1] + max_new_tokens
    available = model.cfg.context_length
    if needed > available:
        raise ValueError("needed: " + str(needed) + ", available: " + str(available))
    return generate(
        Session(model),
        ids,
        max_new_tokens,
        available,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        eos_id=eos_id,
        generator=generator,
    )


def cache_bytes(cfg, batch_size, length, bytes_per_number=4):
    total = 0
    for _ in range(cfg.n_layers):
        for _ in ("key", "value"):
            total += batch_size * length * cfg.emb_dim * bytes_per_number
    return total
