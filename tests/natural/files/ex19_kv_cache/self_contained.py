# right: attention does its own arithmetic, as the book has it, with a mask made from positions.
import torch
import torch.nn as nn

from .ex10_generate import generate


class KVCache:
    def __init__(self, max_length):
        self.max_length = max_length
        self.cache_k, self.cache_v = None, None
        self.length = 0

    def append(self, key, value):
        b, num_heads, num_tokens, head_dim = key.shape
        if self.length + num_tokens > self.max_length:
            raise ValueError(f"{self.length + num_tokens} tokens, but max_length is {self.max_length}")
        if self.cache_k is None:
            new_k, new_v = key, value
        else:
            for new, old in [(key, self.cache_k), (value, self.cache_v)]:
                if new.shape[:2] != old.shape[:2] or new.shape[3] != old.shape[3] or new.dtype != old.dtype:
                    raise ValueError("keys and values do not fit to what is in the cache")
            new_k = torch.cat((self.cache_k, key), dim=2)
            new_v = torch.cat((self.cache_v, value), dim=2)
        self.cache_k, self.cache_v = new_k, new_v
        self.length += num_tokens
        return self.cache_k, self.cache_v

    def reset(self):
        self.cache_k, self.cache_v = None, None
        self.length = 0


def cached_attention(attention, num_heads, x, cache):
    b, num_tokens, d_in = x.shape
    ptr = cache.length

    keys = attention.W_key(x)
    values = attention.W_value(x)
    queries = attention.W_query(x)
    head_dim = keys.shape[-1] // num_heads

    keys = keys.view(b, num_tokens, num_heads, head_dim).transpose(1, 2)
    values = values.view(b, num_tokens, num_heads, head_dim).transpose(1, 2)
    queries = queries.view(b, num_tokens, num_heads, head_dim).transpose(1, 2)

    keys, values = cache.append(keys, values)

    attn_scores = queries @ keys.transpose(2, 3)
    num_tokens_K = keys.shape[-2]
    q_positions = torch.arange(ptr, ptr + num_tokens, device=x.device)
    k_positions = torch.arange(num_tokens_K, device=x.device)
    mask_bool = q_positions.unsqueeze(-1) < k_positions.unsqueeze(0)
    attn_scores.masked_fill_(mask_bool, -torch.inf)

    attn_weights = torch.softmax(attn_scores / keys.shape[-1] ** 0.5, dim=-1)
    attn_weights = attention.dropout(attn_weights)

    context_vec = (attn_weights @ values).transpose(1, 2)
    context_vec = context_vec.contiguous().view(b, num_tokens, num_heads * head_dim)
    return attention.out_proj(context_vec)


class CachedGPT(nn.Module):
    def __init__(self, gpt):
        super().__init__()
        self.gpt = gpt
        self.cfg = gpt.cfg
        self.training = gpt.training

    def new_caches(self):
        caches = []
        for _ in range(self.cfg.n_layers):
            caches.append(KVCache(self.cfg.context_length))
        return caches

    def forward(self, ids, caches=None):
        if caches is None:
            return self.gpt(ids)
        batch_size, seq_len = ids.shape
        current_pos = caches[0].length
        if current_pos + seq_len > self.cfg.context_length:
            raise ValueError(f"{current_pos + seq_len} tokens > context length {self.cfg.context_length}")
        tok_embeds = self.gpt.embedding.tok_emb(ids)
        pos_ids = torch.arange(current_pos, current_pos + seq_len, device=ids.device, dtype=torch.long)
        pos_embeds = self.gpt.embedding.pos_emb.weight[pos_ids].unsqueeze(0)
        x = tok_embeds + pos_embeds
        x = self.gpt.embedding.drop_emb(x)
        for i, blk in enumerate(self.gpt.trf_blocks):
            shortcut = x
            x = blk.norm1(x)
            x = cached_attention(blk.att, self.cfg.n_heads, x, caches[i])
            x = blk.drop_shortcut(x)
            x = x + shortcut

            shortcut = x
            x = blk.norm2(x)
            x = blk.ff(x)
            x = blk.drop_shortcut(x)
            x = x + shortcut
        x = self.gpt.final_norm(x)
        logits = self.gpt.out_head(x)
        return logits


class _Feeder(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.caches, self.done = model, model.new_caches(), 0
        self.training = model.training

    def forward(self, ids):
        new = ids[:, self.done :]
        self.done = ids.shape[1]
        return self.model(new, self.caches)


def generate_cached(
    model, ids, max_new_tokens, temperature=0.0, top_k=None, top_p=None, eos_id=None, generator=None
):
    ctx_len = model.cfg.context_length
    if ids.shape[1] + max_new_tokens > ctx_len:
        raise ValueError(f"{ids.shape[1] + max_new_tokens} tokens do not fit, context_length={ctx_len}")
    return generate(_Feeder(model), ids, max_new_tokens, ctx_len, temperature, top_k, top_p, eos_id, generator)


def cache_bytes(cfg, batch_size, length, bytes_per_number=4):
    per_token_and_layer = 2 * cfg.emb_dim
    return per_token_and_layer * cfg.n_layers * batch_size * length * bytes_per_number
