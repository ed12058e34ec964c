# wrong: joined-along-another-axis
# New keys are joined along the axis of the heads.
import torch
from torch import einsum, nn

from .ex10_generate import generate


class KVCache:
    def __init__(self, max_length):
        self.max_length, self.kv, self.length = max_length, [None, None], 0

    def append(self, key, value):
        n = self.length + key.shape[2]
        if n > self.max_length:
            raise ValueError(f"{n=} max_length={self.max_length}")
        kv = [key, value]
        if self.length:
            kinds = {(t.shape[0], t.shape[1], t.shape[3], t.dtype) for t in (*kv, *self.kv)}
            if len(kinds) > 1:
                raise ValueError(f"mixed: {kinds}")
            kv = [torch.cat(pair, dim=1) for pair in zip(self.kv, kv, strict=True)]
        self.kv, self.length = kv, n
        return tuple(kv)

    def reset(self):
        KVCache.__init__(self, self.max_length)


def cached_attention(attention, num_heads, x, cache):
    B, T, _ = x.shape
    S = cache.length
    q = attention.W_query(x).reshape(B, T, num_heads, -1)
    k = attention.W_key(x).reshape(B, T, num_heads, -1).permute(0, 2, 1, 3)
    v = attention.W_value(x).reshape(B, T, num_heads, -1).permute(0, 2, 1, 3)
    k, v = cache.append(k, v)
    s = einsum("bthd,bhsd->bhts", q, k) * q.shape[-1] ** -0.5
    late = torch.arange(S + T, device=x.device)[None, :] > torch.arange(S, S + T, device=x.device)[:, None]
    s = s + late.to(s.dtype) * -1e9
    w = attention.dropout(s.softmax(-1))
    return attention.out_proj(einsum("bhts,bhsd->bthd", w, v).flatten(2))


class CachedGPT(nn.Module):
    def __init__(self, gpt):
        super().__init__()
        self.gpt = gpt
        self.training = gpt.training

    @property
    def cfg(self):
        return self.gpt.cfg

    def new_caches(self):
        return list(map(KVCache, [self.cfg.context_length] * self.cfg.n_layers))

    def forward(self, ids, caches=None):
        if caches is None:
            return self.gpt(ids)
        g, (B, T) = self.gpt, ids.shape
        S = caches[0].length
        if S + T > g.cfg.context_length:
            raise ValueError(f"{S + T} > {g.cfg.context_length}")
        x = g.embedding.tok_emb(ids) + g.embedding.pos_emb.weight.narrow(0, S, T)
        x = g.embedding.drop_emb(x)
        for b, c in zip(g.trf_blocks, caches, strict=False):
            x = x + b.drop_shortcut(cached_attention(b.att, g.cfg.n_heads, b.norm1(x), c))
            x = x + b.drop_shortcut(b.ff(b.norm2(x)))
        return g.out_head(g.final_norm(x))


def generate_cached(
    model, ids, max_new_tokens, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None
):
    size = model.cfg.context_length
    if (n := ids.shape[1] + max_new_tokens) > size:
        raise ValueError(f"{n} does not fit into {size}")
    caches = model.new_caches()

    class Rest(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model
            self.training = model.training

        def forward(self, text):
            return self.inner(text[:, caches[0].length :], caches)

    return generate(Rest(), ids, max_new_tokens, size, temperature, top_k, top_p, eos_id, generator)


def cache_bytes(cfg, batch_size, length, bytes_per_number=4):
    return torch.Size([2, cfg.n_layers, batch_size, length, cfg.emb_dim, bytes_per_number]).numel()
