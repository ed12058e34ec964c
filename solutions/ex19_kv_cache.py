"""The KV cache: write a text without reading it again for every token.

You need: attention with its mask (exercises 6 and 7), the model and its parts (8 and 9), and `generate` (10).

WHY
Exercise 10 sends the whole text through the model for every new token. For a prompt of 4 tokens and 5 new ones
it makes passes over 4, 5, 6, 7 and 8 tokens. That is 30 in all, but only 8 of them are different. The longer the
text, the more of the work is repetition. The results can be kept instead.

WHAT STAYS THE SAME
A token sees itself and what came before it. So nothing that comes later changes what any layer computes for it.
Later tokens need only two things from it: in each layer, the *key* by which it is found, and the *value* that it
hands over. Its query is needed once, by the token itself. So keep the keys and the values of every layer, and send
only new tokens through the model. For the prompt above that is 4 tokens, then 1, 1, 1 and 1: 8 in all, and the
same text.

HOW
    new tokens      ─ W_query ─► query                         (B, H, T_new, h)
    (B, T_new, D)   ─ W_key ───► key   ─ append ─► all keys    (B, H, T_all, h)
                    ─ W_value ─► value ─ append ─► all values  (B, H, T_all, h)

    softmax(query @ all keysᵀ / √h, over the keys) @ all values    (B, H, T_new, h)

Two things depend on how many tokens are in the cache already.

The position. After 3 tokens, the next one is at position 3. It should get row 3 of the position table, not row 0.

The mask. A query at position p sees the keys 0 … p. With 3 tokens in the cache and 2 new ones, you need rows 3 and
4 of the causal mask, and its columns 0 … 4 (x is hidden):

                 key 0   1   2   3   4                    key 0   1   2   3   4
    query at 3       ·   ·   ·   ·   x      not these:        ·   x   x   x   x
    query at 4       ·   ·   ·   ·   ·      rows 0 and 1      ·   ·   x   x   x

The rows on the right would hide nearly the whole text. torch's own attention does just that when you ask it
for `is_causal=True` with one query and many keys: the query sees key 0 and nothing else.

A SMALL EXAMPLE
One head, h = 1. The projections and out_proj leave their input as it is. The tokens 1 and 2 come one at a time.

    token   cache   query   scores     weights            result
      1     1         1     1          1                  1
      2     1, 2      2     2 and 4    0.119 and 0.881    0.119·1 + 0.881·2 = 1.881

In exercise 7 head 0 gave the same two numbers, from both tokens at once. Without the cache, token 2 would see
only itself: 2.

WHAT IT COSTS
For each layer and each token a key and a value, D numbers each. GPT-2 small has 12 layers and D = 768:

    one token        2 · 12 · 768 numbers of 4 bytes            73,728 bytes
    a full context   1024 tokens                            75,497,472 bytes, 72 MiB
    the weights      124,439,808 numbers                   497,759,232 bytes, 475 MiB

So seven full texts need more memory than the model itself. That is why later models let several heads share
keys and values, as in the next exercise. And `torch.cat` copies the whole cache for every token. If you want speed,
make room for max_length tokens once, and fill it from the front. Either will do here.

WHY THE WINDOW CANNOT SLIDE
When a text outgrows the context, exercise 10 drops its first token. Then every other token moves forward by one
position and gets another row of the position table, so every key and value in the cache is wrong. Nothing is left
to reuse. So here a text that does not fit is refused before it begins.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", the bonus material of chapter 4 in the book's repository,
"KV Cache" (ch04/03_kv-cache). There the attention itself holds the cache and the model counts the positions, so
every new text needs a reset first. Here a cache is an object that is passed in. One model can then be in the
middle of several texts, and a forgotten reset cannot mix them.

NOT ALLOWED HERE
In cached_attention and CachedGPT, torch's own `scaled_dot_product_attention` and `multi_head_attention`, and
whatever else of torch computes attention. Your own of exercise 6 does the arithmetic.

TWO QUESTIONS (the answers are at the end of this file)
1. Why is there no cache for queries?
2. In training, all tokens of a text are known. Would a cache make training faster?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex19` lets a small GPT write 24 tokens after a prompt of 8, without
and with your cache. Predict first: how many tokens go through the model in each case?

Shapes: B batch, T tokens, D width, H heads, h = D / H, L layers, V vocabulary.
Read on: Pope et al. 2022, "Efficiently Scaling Transformer Inference". Shazeer 2019, "Fast Transformer Decoding:
One Write-Head is All You Need".
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .ex06_attention import scaled_dot_product_attention
from .ex07_multihead import MultiHeadAttention, merge_heads, split_heads
from .ex09_gpt import GPTConfig, GPTModel
from .ex10_generate import generate


class KVCache:
    """The keys and values of one attention layer, for all tokens so far.

    Arguments
        max_length  how many tokens it has room for

    Attributes
        max_length  as given
        length      how many tokens are in it; 0 at first

    Source: Raschka, bonus material of chapter 4.
    """

    def __init__(self, max_length: int) -> None:
        """Make it empty."""
        self.max_length = max_length
        self.reset()

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of new tokens at the end.

        Arguments
            key, value  float (B, H, T_new, h) each
        Returns
            all keys and all values so far, the oldest token first: (B, H, length, h) each, of the same dtype

        Example: after `append` of one token and `append` of two, `length` is 3.

        Fine print
            ValueError: there would be more than max_length tokens. The message should name how many, and
            max_length. Exactly max_length is fine.
            ValueError: B, H, h or dtype of key or value differs from what is in the cache. An empty cache takes
            any.
            An error should leave the cache as it was.
        """
        length = self.length + key.shape[2]
        if length > self.max_length:
            raise ValueError(f"{length} tokens do not fit into a cache for {self.max_length}")
        if self._key is not None and self._value is not None:
            for new, held in ((key, self._key), (value, self._value)):
                if _kind(new) != _kind(held):
                    raise ValueError(f"(B, H, h) and dtype are {_kind(new)}, and {_kind(held)} in the cache")
            key, value = torch.cat([self._key, key], dim=2), torch.cat([self._value, value], dim=2)
        self._key, self._value, self.length = key, value, length
        return key, value

    def reset(self) -> None:
        """Empty it, ready for another text, whatever its B, H, h and dtype."""
        self._key: Tensor | None = None
        self._value: Tensor | None = None
        self.length = 0


def _kind(tensor: Tensor) -> tuple[int, int, int, torch.dtype]:
    """What all keys in a cache have in common."""
    batch, heads, _, width = tensor.shape
    return batch, heads, width, tensor.dtype


def cached_attention(attention: MultiHeadAttention, num_heads: int, x: Tensor, cache: KVCache) -> Tensor:
    """What `attention` would make of the new tokens if all tokens before them were in front.

    Arguments
        attention  exercise 7's; its layers and its dropout should be used, and its mask may be
        num_heads  H, how many heads it has
        x          float (B, T_new, d_in): the new tokens, one or several
        cache      holds the tokens before them; the new ones should be put into it
    Returns
        float (B, T_new, d_out)

    Example: the one of the lesson gives 1, then 1.881.

    Fine print
        The first of the new tokens is at position `cache.length`. Call each layer and the dropout as a module:
        something else may have been put in its place.
        ValueError: the cache has no room for the new tokens; `append` raises it, let it pass through.

    Source: Raschka, bonus material of chapter 4; Shazeer 2019, section 2.4.
    """
    start = cache.length
    query = split_heads(attention.W_query(x), num_heads)
    key = split_heads(attention.W_key(x), num_heads)
    value = split_heads(attention.W_value(x), num_heads)
    key, value = cache.append(key, value)
    mask = attention.mask[start : cache.length, : cache.length]
    context = scaled_dot_product_attention(query, key, value, mask, attention.dropout)
    return attention.out_proj(merge_heads(context))


class CachedGPT(nn.Module):
    """A GPT that can go on from where it stopped.

    Arguments
        gpt  exercise 9's model

    Attributes
        gpt  the very model that was given, nothing copied: it holds all the parameters
        cfg  the config of gpt
    """

    def __init__(self, gpt: GPTModel) -> None:
        """Keep the model.

        Fine print
            A CachedGPT should be in the mode (`training`) in which gpt comes. A new module is in training mode.
        """
        super().__init__()
        self.gpt = gpt
        self.cfg = gpt.cfg
        self.train(gpt.training)

    def new_caches(self) -> list[KVCache]:
        """Empty caches for one batch of texts: one for each layer, with room for cfg.context_length tokens.

        Example: with n_layers = 2 and context_length = 9, two caches for 9 tokens each.
        """
        return [KVCache(self.cfg.context_length) for _ in range(self.cfg.n_layers)]

    def forward(self, ids: Tensor, caches: Sequence[KVCache] | None = None) -> Tensor:
        """The logits of new tokens.

        Arguments
            ids     int64 (B, T_new): only what is new
            caches  from new_caches, one for each layer; they hold all tokens before these, and afterwards the
                    new ones too. None: there is nothing before, and nothing is kept.
        Returns
            float (B, T_new, V): without caches what gpt(ids) gives; with caches what gpt gives for the same
            positions of the whole text

        Example: with caches, `forward(ids[:, :4], caches)` and then `forward(ids[:, 4:], caches)` give the logits
        of `gpt(ids)`, in two parts.

        Fine print
            With caches too, dropout acts in training mode, where the model has it.
            ValueError: the text would be longer than cfg.context_length. The message should name both numbers,
            and the caches should be as they were.
            With caches no gradients are needed.

        Source: Raschka, bonus material of chapter 4.
        """
        if caches is None:
            return self.gpt(ids)
        start, end = caches[0].length, caches[0].length + ids.shape[1]
        if end > self.cfg.context_length:
            raise ValueError(f"{end} tokens do not fit into a context of {self.cfg.context_length}")
        embedding = self.gpt.embedding
        x = embedding.drop_emb(embedding.tok_emb(ids) + embedding.pos_emb.weight[start:end])
        for block, cache in zip(self.gpt.trf_blocks, caches, strict=True):
            attended = cached_attention(block.att, self.cfg.n_heads, block.norm1(x), cache)
            x = x + block.drop_shortcut(attended)
            x = x + block.drop_shortcut(block.ff(block.norm2(x)))
        return self.gpt.out_head(self.gpt.final_norm(x))


def generate_cached(
    model: nn.Module,
    ids: Tensor,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Write what exercise 10's `generate` writes, but read each token only once.

    Arguments
        model  a CachedGPT, or what can be used like one: `cfg.context_length`, `new_caches()`,
               `model(ids, caches)`
        ids    int64 (B, T): the prompts
        the others as for `generate`
    Returns
        int64 (B, T + n), as from `generate` with the same seed

    Call the model once for each new token: first with the whole prompt, then with what was appended last, (B, 1).
    All calls share the caches of one `new_caches()`.

    Example: generate_cached(CachedGPT(gpt), ids, 3) gives what generate(gpt, ids, 3, gpt.cfg.context_length)
    gives, as long as T + 3 is at most that context_length.

    Fine print
        ValueError: T + max_new_tokens is larger than cfg.context_length. The message should name both numbers,
        and the model should not be called.
        Evaluation mode while it runs, the mode restored, no graph, errors and the end by eos_id: all as in
        `generate`. Nothing is kept for the next call.
    """
    length, context_length = ids.shape[1] + max_new_tokens, model.cfg.context_length
    if length > context_length:
        raise ValueError(f"prompt and new tokens are {length}, and the context has room for {context_length}")
    reader = _OnlyWhatIsNew(model)
    return generate(reader, ids, max_new_tokens, context_length, temperature, top_k, top_p, eos_id, generator)


class _OnlyWhatIsNew(nn.Module):
    """Takes the whole text, as `generate` hands it over, and sends on what the caches have not seen."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.caches = model.new_caches()
        self.train(model.training)

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids[:, self.caches[0].length :], self.caches)


def cache_bytes(cfg: GPTConfig, batch_size: int, length: int, bytes_per_number: int = 4) -> int:
    """How much memory the keys and values of all layers take.

    Arguments
        cfg               its n_layers and emb_dim are needed
        batch_size        B, how many texts
        length            how many tokens each has
        bytes_per_number  4 for float32, 2 for bfloat16
    Returns
        an int, in bytes

    Example: for GPT-2 small, cache_bytes(cfg, 1, 1024) is 75497472.

    Source: Pope et al. 2022.
    """
    return 2 * cfg.n_layers * batch_size * length * cfg.emb_dim * bytes_per_number


# ANSWERS
# 1. A query asks for one token, once: when that token is computed. Later tokens compare their own queries with its
#    key. Keys and values are asked for again and again.
# 2. No. One pass over the text computes every key and value once, and gives all the predictions with it. The cache
#    saves repetitions, and there are none.
