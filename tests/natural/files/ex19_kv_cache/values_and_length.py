# wrong: value-from-the-key-with-a-cache, too-long-a-text-not-refused
# Values come from W_key, and a text that does not fit is not refused before it begins.
import torch
from torch import nn

from .ex07_multihead import merge_heads, split_heads
from .ex10_generate import generate


class KVCache:
    def __init__(self, max_length):
        self.max_length = max_length
        self.reset()

    def reset(self):
        self.length = 0
        self.keys = self.values = None

    def check_room(self, tokens):
        if self.length + tokens > self.max_length:
            raise ValueError(f"{self.length + tokens} tokens in a cache for {self.max_length}")

    def check_kind(self, key, value):
        for name, new, old in (("key", key, self.keys), ("value", value, self.values)):
            without_tokens = [size for axis, size in enumerate(new.shape) if axis != 2]
            expected = [size for axis, size in enumerate(old.shape) if axis != 2]
            if without_tokens != expected:
                raise ValueError(f"{name}: {without_tokens} instead of {expected}")
            if new.dtype is not old.dtype:
                raise ValueError(f"{name}: {new.dtype} instead of {old.dtype}")

    def append(self, key, value):
        self.check_room(key.shape[2])
        if self.keys is not None:
            self.check_kind(key, value)
            key = torch.hstack([self.keys.transpose(1, 2), key.transpose(1, 2)]).transpose(1, 2)
            value = torch.hstack([self.values.transpose(1, 2), value.transpose(1, 2)]).transpose(1, 2)
        self.keys, self.values = key, value
        self.length = key.shape[2]
        return key, value


def project_into_heads(attention, num_heads, x):
    return [split_heads(layer(x), num_heads) for layer in (attention.W_query, attention.W_key, attention.W_key)]


def rows_of_the_mask(attention, start, end):
    return attention.mask[start:end, :end]


def weights_of(query, key, mask):
    scores = torch.matmul(query.double(), key.double().mT) / key.shape[-1] ** 0.5
    scores = torch.where(mask, torch.full_like(scores, -torch.inf), scores)
    return scores.softmax(dim=-1).to(query.dtype)


def cached_attention(attention, num_heads, x, cache):
    start = cache.length
    query, key, value = project_into_heads(attention, num_heads, x)
    key, value = cache.append(key, value)
    weights = weights_of(query, key, rows_of_the_mask(attention, start, cache.length))
    return attention.out_proj(merge_heads(attention.dropout(weights) @ value))


class CachedGPT(nn.Module):
    def __init__(self, gpt):
        super().__init__()
        self.gpt = gpt
        self.cfg = gpt.cfg
        self.train(gpt.training)

    def new_caches(self):
        room = self.cfg.context_length
        return [KVCache(room) for _ in range(len(self.gpt.trf_blocks))]

    def refuse_long_texts(self, tokens):
        if tokens > self.cfg.context_length:
            raise ValueError(f"a text of {tokens} tokens and a context of {self.cfg.context_length}")

    def embed(self, ids, start):
        parts = self.gpt.embedding
        positions = torch.arange(start, start + ids.shape[1], device=ids.device)
        return parts.drop_emb(parts.tok_emb(ids) + parts.pos_emb.weight[positions])

    def forward(self, ids, caches=None):
        if caches is None:
            return self.gpt(ids)
        start = caches[0].length
        self.refuse_long_texts(start + ids.shape[1])
        x = self.embed(ids, start)
        for number, block in enumerate(self.gpt.trf_blocks):
            normed = block.norm1(x)
            attended = cached_attention(block.att, self.cfg.n_heads, normed, caches[number])
            x = x + block.drop_shortcut(attended)
            normed = block.norm2(x)
            x = x + block.drop_shortcut(block.ff(normed))
        return self.gpt.out_head(self.gpt.final_norm(x))


class WithCaches(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.caches = model.new_caches()
        self.seen = 0
        if not model.training:
            self.eval()

    def forward(self, ids):
        logits = self.model(ids[:, self.seen :], self.caches)
        self.seen = ids.shape[1]
        return logits


def generate_cached(
    model, ids, max_new_tokens, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None
):
    context_length = model.cfg.context_length
    reader = WithCaches(model)
    return generate(reader, ids, max_new_tokens, context_length, temperature, top_k, top_p, eos_id, generator)


def cache_bytes(cfg, batch_size, length, bytes_per_number=4):
    numbers_for_a_token = 2 * cfg.n_layers * cfg.emb_dim
    return numbers_for_a_token * length * batch_size * bytes_per_number
