# wrong: ended-rows-go-on
# Rows that have ended go on while others are written.
from __future__ import annotations

import torch
from torch import Tensor, nn

from .ex06_attention import scaled_dot_product_attention
from .ex07_multihead import merge_heads, split_heads
from .ex10_generate import apply_temperature, greedy, keep_top_k, keep_top_p


class KVCache:
    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.room: Tensor | None = None
        self.length = 0

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        end = self.length + key.size(2)
        if end > self.max_length:
            raise ValueError(f"no room: {end} of {self.max_length}")
        if self.length == 0:
            b, h, _, w = key.shape
            self.room = key.new_zeros(2, b, h, self.max_length, w)
        expected = self.room[:, :, :, : key.size(2)].shape[1:]
        if key.shape != expected or value.shape != expected:
            raise ValueError(f"{tuple(key.shape)}, {tuple(value.shape)} next to {tuple(expected)}")
        if {key.dtype, value.dtype} != {self.room.dtype}:
            raise ValueError(f"{key.dtype}, {value.dtype} next to {self.room.dtype}")
        self.room = self.room.clone() if self.room.requires_grad else self.room
        self.room[0, :, :, self.length : end] = key
        self.room[1, :, :, self.length : end] = value
        self.length = end
        return self.room[0, :, :, :end].clone(), self.room[1, :, :, :end].clone()

    def reset(self) -> None:
        self.__init__(self.max_length)


def cached_attention(attention, num_heads: int, x: Tensor, cache: KVCache) -> Tensor:
    n_old = cache.length
    q, k, v = (
        split_heads(layer(x), num_heads) for layer in (attention.W_query, attention.W_key, attention.W_value)
    )
    k, v = cache.append(k, v)
    hidden = torch.ones(x.size(1), k.size(2), dtype=torch.bool, device=x.device).triu(n_old + 1)
    return attention.out_proj(merge_heads(scaled_dot_product_attention(q, k, v, hidden, attention.dropout)))


class CachedGPT(nn.Module):
    def __init__(self, gpt) -> None:
        super().__init__()
        self.gpt, self.cfg = gpt, gpt.cfg
        if not gpt.training:
            self.eval()

    def new_caches(self) -> list[KVCache]:
        return [KVCache(self.cfg.context_length) for _ in self.gpt.trf_blocks]

    def _embed(self, ids: Tensor, first: int) -> Tensor:
        e = self.gpt.embedding
        places = first + torch.arange(ids.size(1), device=ids.device)
        return e.drop_emb(e.tok_emb(ids) + e.pos_emb.weight[places])

    def _block(self, block, x: Tensor, cache: KVCache) -> Tensor:
        x = x + block.drop_shortcut(cached_attention(block.att, self.cfg.n_heads, block.norm1(x), cache))
        return x + block.drop_shortcut(block.ff(block.norm2(x)))

    def forward(self, ids: Tensor, caches=None) -> Tensor:
        if caches is None:
            return self.gpt(ids)
        first = caches[0].length
        if first + ids.size(1) > self.cfg.context_length:
            raise ValueError(f"text of {first + ids.size(1)} in a context of {self.cfg.context_length}")
        x = self._embed(ids, first)
        for block, cache in zip(self.gpt.trf_blocks, caches, strict=True):
            x = self._block(block, x, cache)
        return self.gpt.out_head(self.gpt.final_norm(x))


def generate_cached(
    model, ids, max_new_tokens, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None
):
    total, limit = ids.size(1) + max_new_tokens, model.cfg.context_length
    if total > limit:
        raise ValueError(f"{total} tokens and room for {limit}")
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            text, new, caches = ids, ids, model.new_caches()
            ended = torch.zeros(ids.size(0), dtype=torch.bool)
            for _ in range(max_new_tokens):
                logits = model(new, caches)[:, -1]
                new = _choose(logits, temperature, top_k, top_p, generator)
                if eos_id is not None:
                    ended = ended | (new[:, 0] == eos_id)
                text = torch.cat([text, new], dim=1)
                if ended.all():
                    break
            return text
    finally:
        model.train(was_training)


def _choose(logits, temperature, top_k, top_p, generator):
    if temperature == 0:
        return greedy(logits).reshape(-1, 1)
    logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return torch.multinomial(torch.softmax(logits, dim=-1), 1, generator=generator)


def cache_bytes(cfg, batch_size: int, length: int, bytes_per_number: int = 4) -> int:
    keys = cfg.n_layers * batch_size * length * cfg.emb_dim
    values = keys
    return (keys + values) * bytes_per_number
