# wrong: keys-without-values
# The bytes are those of the keys alone.
import torch
from torch import nn

from .ex06_attention import scaled_dot_product_attention as sdpa
from .ex07_multihead import merge_heads, split_heads
from .ex10_generate import generate


class KVCache:
    def __init__(self, max_length):
        self.max_length, self.length, self.d = max_length, 0, {}

    def reset(self):
        self.length, self.d = 0, {}

    def append(self, key, value):
        n, new = self.length + key.shape[2], {}
        if n > self.max_length:
            raise ValueError(f"{n} > {self.max_length}")
        for name, t in dict(k=key, v=value).items():
            o = self.d.get(name)
            if o is not None and (o[:, :, :0].shape, o.dtype) != (t[:, :, :0].shape, t.dtype):
                raise ValueError(f"{name}: {t.shape} {t.dtype}, not {o.shape} {o.dtype}")
            new[name] = t if o is None else torch.cat((o, t), 2)
        self.d, self.length = new, n
        return new["k"], new["v"]


def cached_attention(attention, num_heads, x, cache):
    a, s = attention, cache.length
    q, k, v = (split_heads(f(x), num_heads) for f in (a.W_query, a.W_key, a.W_value))
    k, v = cache.append(k, v)
    return a.out_proj(merge_heads(sdpa(q, k, v, a.mask[s:][: x.shape[1], : k.shape[2]], a.dropout)))


class CachedGPT(nn.Module):
    def __init__(self, gpt):
        super().__init__()
        self.gpt, self.cfg, self.training = gpt, gpt.cfg, gpt.training

    def new_caches(self):
        return [KVCache(self.cfg.context_length) for _ in range(self.cfg.n_layers)]

    def forward(self, ids, caches=None):
        g, c = self.gpt, self.cfg
        if not caches:
            return g(ids)
        s, e = caches[0].length, caches[0].length + ids.shape[1]
        if e > c.context_length:
            raise ValueError(f"{e} > {c.context_length}")
        x = g.embedding.drop_emb(g.embedding.tok_emb(ids) + g.embedding.pos_emb.weight[s:e])
        for b, k in zip(g.trf_blocks, caches):  # noqa: B905
            x = x + b.drop_shortcut(cached_attention(b.att, c.n_heads, b.norm1(x), k))
            x = x + b.drop_shortcut(b.ff(b.norm2(x)))
        return g.out_head(g.final_norm(x))


def generate_cached(
    model, ids, max_new_tokens, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None
):
    n, m = ids.shape[1] + max_new_tokens, model.cfg.context_length
    if n > m:
        raise ValueError(f"{n} > {m}")
    c, w = model.new_caches(), nn.ModuleList([model]).train(model.training)
    w.forward = lambda text: model(text[:, c[0].length :], c)
    return generate(w, ids, max_new_tokens, m, temperature, top_k, top_p, eos_id, generator)


def cache_bytes(cfg, batch_size, length, bytes_per_number=4):
    return batch_size * length * cfg.n_layers * cfg.emb_dim * bytes_per_number
