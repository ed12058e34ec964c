"""Llama: your GPT with four of its parts exchanged for newer ones.

You need: the block and the model (exercises 8 and 9), multi-head attention (exercise 7), the cache of keys and
values (exercise 19).

WHY
GPT-2 is from 2019. Llama, Mistral, Qwen and most open models since then have kept its plan, a stack of blocks
with two shortcuts each, and have exchanged the parts. Build these parts, and you can read and run those models.

HOW
Four parts are new, and each is explained below.

                   your GPT                      here
    norm           LayerNorm                     RMSNorm: no mean, no shift
    positions      a table, added at the start   RoPE: queries and keys turn
    feed-forward   Linear, GELU, Linear          SwiGLU: three Linears, one a gate
    attention      a key for each query head     several query heads share a key
    biases         in most linear layers         nowhere
    dropout        yes                           none

RMSNORM
LayerNorm subtracts the mean and divides by the standard deviation. Dividing alone turned out to be enough, by
the root of the mean square (RMS). That saves a pass over the numbers and a parameter.

    out = weight · x / √(mean of x² + ε)     mean over the D numbers of a token

For (1, −1, 7, 7) the squares are 1, 1, 49 and 49, their mean is 25 and the root 5. The result is
(0.2, −0.2, 1.4, 1.4).

Large models are run in half precision. The largest float16 is 65,504, so the square of 300 is already infinite.
That is why the norm is computed in float32, and only its result goes back.

ROPE: POSITION AS AN ANGLE
A score is a dot product, and a dot product of two arrows depends on their lengths and on the angle between
them. Turn the query of token m by m·θ and the key of token n by n·θ, and the angle between them changes by
(m − n)·θ. So the score depends on the *distance* of the two tokens, and not on where in the text they are.

An arrow has two numbers, a head has h. So the h numbers make h/2 pairs, and each pair turns at a speed of its
own: θ_i = base^(−2i/h). Pair 0 turns by 1 radian from token to token, and the last one barely moves. They are like
the hands of a clock: the fast ones tell neighbours apart, the slow ones tell far from near.

    first'  = first  · cos(p·θ_i) − second · sin(p·θ_i)     p: the position, from 0
    second' = second · cos(p·θ_i) + first  · sin(p·θ_i)

A SMALL EXAMPLE
h = 4 and base = 10000, so θ is 1 and 0.01. The vector (1, 0, 0, 1) at position 3 has the pairs (1, 0) and (0, 1).

    pair 0   cos 3    = −0.990  sin 3    = 0.141   (1, 0) becomes (−0.990, 0.141)
    pair 1   cos 0.03 =  1.000  sin 0.03 = 0.030   (0, 1) becomes (−0.030, 1.000)
    put back                                       (−0.990, −0.030, 0.141, 1.000)

WHICH NUMBERS MAKE A PAIR
There are two conventions. This file uses half-split, as Hugging Face's files of Llama do; Meta's own files use
the interleaved one. With the wrong one the same weights give nonsense, and no shape complains.

    half-split     i with i + h/2        a0 a1 a2 b0 b1 b2
    interleaved    2i with 2i + 1        a0 b0 a1 b1 a2 b2

To convert weights from interleaved to half-split, reorder the rows of W_query and W_key within each head: first
the even ones, then the odd ones. Queries and keys are reordered alike, so every score stays as it was.

    weight.view(H, h // 2, 2, D).transpose(1, 2).reshape(H * h, D)

For W_key put G in place of H.

SWIGLU
In the GPT's feed-forward, the value of a hidden number decides whether it passes. SwiGLU leaves that to a second
linear layer, the gate: silu(fc1(x)) is about 0 where the gate is closed, and grows where it is open. silu is
x · sigmoid(x).

    out = fc3( silu(fc1(x)) · fc2(x) )       D numbers, hidden_dim, D again

    silu(2) = 2 · 0.881 = 1.762              silu(−2) = −2 · 0.119 = −0.238

GROUPED QUERIES
The cache holds a key and a value for each token, head and block, and a few long texts take more memory than the
weights. But heads can share: H query heads and only G heads of keys and values, and the cache shrinks to G/H.
Here H = 6 and G = 2; neighbours share:

    query head            0  1  2  3  4  5
    its key and value     0  0  0  1  1  1           not 0 1 0 1 0 1

WITH A CACHE
A key's rotation depends on its own position only, so it is rotated once and stored rotated. If the cache holds
4 tokens, the next ones are at positions 4, 5, … The query at position p sees the keys 0 … p. Two new tokens
(x is hidden):

    key            0  1  2  3  4  5
    query at 4     ·  ·  ·  ·  ·  x
    query at 5     ·  ·  ·  ·  ·  ·

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", the bonus material of chapter 5, "Converting GPT to
Llama". There the norm is computed in the dtype of its input, and every text begins at position 0. Here the norm
is computed in float32, as in transformers, so that float16 works too; and RoPE can begin anywhere, so that a
cached text can go on. The book's attention takes its sizes one by one; here it takes the config, as the block does.

NOT ALLOWED HERE
`rms_norm`, which `nn.RMSNorm` wraps, in RMSNorm: it is what you write. In GroupedQueryAttention torch's own
`scaled_dot_product_attention` and `multi_head_attention`, and whatever else of torch computes attention: use your
own of exercise 6.
`nn.Embedding` and torch's silu are welcome.

TWO QUESTIONS (the answers are at the end of this file)
1. h = 2, so there is one pair, and θ is 1. Query and key are both (1, 0). What is their product, before the
   division, if the query is at position 7 and the key at 4? And at 1007 and 1004?
2. Llama 3 8B has H = 32 and G = 8. How much smaller is its cache than with G = 32, and which of the four linear
   layers of its attention are smaller?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex20` compares one query with one key at several distances, once
near the beginning of a text and once 1,000 tokens later. Predict first: are the scores the same there? And does
a key 1 place back get the same score as one 1 place ahead?

Shapes: B batch, T tokens, D = emb_dim, H = n_heads, G = n_kv_groups, h = D / H, V = vocab_size.
Read on: Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models", section 2.2. Su et al. 2021,
"RoFormer: Enhanced Transformer with Rotary Position Embedding". Zhang and Sennrich 2019, "Root Mean Square Layer
Normalization". Shazeer 2020, "GLU Variants Improve Transformer". Ainslie et al. 2023, "GQA".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .ex06_attention import scaled_dot_product_attention
from .ex07_multihead import merge_heads, split_heads
from .ex19_kv_cache import KVCache


@dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a Llama.

    vocab_size      V, how many tokens there are
    context_length  the longest sequence that the model can take
    emb_dim         D, the width of a token's vector
    n_heads         H, query heads per block
    n_kv_groups     G, heads of keys and values per block: H/G query heads share one
    n_layers        the number of blocks
    hidden_dim      the middle width of SwiGLU
    rope_base       the base of RoPE's speeds
    norm_eps        the ε of every RMSNorm
    tie_weights     does the head use the token table?
    """

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
    """Divide every token's vector by its root mean square, then apply a learned weight.

    Arguments
        emb_dim  D, how many numbers a token has
        eps      added to the mean square

    Attributes
        weight  `nn.Parameter`, float (D,), ones at first: the only parameter

    Source: Zhang and Sennrich 2019, equation 4.
    """

    def __init__(self, emb_dim: int, eps: float) -> None:
        """Make the weight and keep eps."""
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(emb_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize over the last axis.

        Arguments
            x  float (…, D), of the dtype of the weight
        Returns
            the shape and dtype of x: weight · x / √(mean of x² + eps)

        Example: RMSNorm(4, eps=1e-5)(torch.tensor([[1.0, -1.0, 7.0, 7.0]])) is about [[0.2, -0.2, 1.4, 1.4]].

        Fine print
            Squares, mean and root should be computed in float32, also where x is a float16 or a bfloat16: numbers
            near 300 must not overflow.
        """
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + self.eps)
        return self.weight * normed.to(x.dtype)


class RoPE(nn.Module):
    """Rotate the pairs of a head's vector, each at a speed of its own, by the position of its token.

    Arguments
        head_dim        h, the width of a head; even
        context_length  how many positions there are: 0 … context_length − 1
        base            the larger it is, the slower the last pairs turn

    It has no parameters. Make its tables of cosines and sines once, as buffers that are not saved with the weights.

    Source: Su et al. 2021, section 3.2.2.
    """

    def __init__(self, head_dim: int, context_length: int, base: float) -> None:
        """Make the tables: for position p and pair i the cosine and the sine of p · base^(−2i/h).

        Fine print
            ValueError: head_dim is odd. The message should name it.
        """
        super().__init__()
        if head_dim % 2:
            raise ValueError(f"a head of {head_dim} numbers does not divide into pairs")
        speeds = base ** (-torch.arange(0, head_dim, 2) / head_dim)
        angles = torch.arange(context_length)[:, None] * speeds
        self.register_buffer("cos", torch.cos(angles), persistent=False)
        self.register_buffer("sin", torch.sin(angles), persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Rotate each vector to its position: x[:, :, t] is at position start + t.

        Arguments
            x      float (B, H, T, h); H may be any number of heads
            start  the position of the first token
        Returns
            float (B, H, T, h)

        Numbers i and i + h/2 are pair i. At position p it turns by the angle p · base^(−2i/h).

        Example: one vector x at position p, in plain Python:

            for i in range(h // 2):
                angle, j = p * base ** (-2 * i / h), i + h // 2
                out[i] = x[i] * cos(angle) - x[j] * sin(angle)
                out[j] = x[j] * cos(angle) + x[i] * sin(angle)

        RoPE(4, 8, 10000.0)(torch.tensor([[[[1.0, 0.0, 0.0, 1.0]]]]), start=3) is about
        [[[[-0.990, -0.030, 0.141, 1.000]]]].

        Fine print
            ValueError: start + T is larger than context_length. The message should name both numbers.
        """
        end, context_length = start + x.shape[-2], self.cos.shape[0]
        if end > context_length:
            raise ValueError(f"{end} tokens do not fit into a context of {context_length}")
        cos, sin = self.cos[start:end].to(x.dtype), self.sin[start:end].to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class SwiGLU(nn.Module):
    """The feed-forward part of a Llama: a gate decides how much of each hidden number passes.

    Arguments
        emb_dim     D
        hidden_dim  how many numbers there are in the middle

    Attributes, all of them `nn.Linear` layers without a bias
        fc1  the gate, from D to hidden_dim
        fc2  what passes through it, from D to hidden_dim
        fc3  back, from hidden_dim to D

    Source: Shazeer 2020, equation 6; the names are the book's.
    """

    def __init__(self, emb_dim: int, hidden_dim: int) -> None:
        """Make the three layers."""
        super().__init__()
        self.fc1 = nn.Linear(emb_dim, hidden_dim, bias=False)
        self.fc2 = nn.Linear(emb_dim, hidden_dim, bias=False)
        self.fc3 = nn.Linear(hidden_dim, emb_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Gate, then back to the old width.

        Arguments
            x  float (…, D)
        Returns
            float (…, D): fc3(silu(fc1(x)) · fc2(x)), where silu(z) = z · sigmoid(z)

        Example: with D = hidden_dim = 1 and all three weights at 1, x = 2 becomes 1.762 · 2 = 3.523.
        """
        return self.fc3(nn.functional.silu(self.fc1(x)) * self.fc2(x))


class GroupedQueryAttention(nn.Module):
    """Causal self-attention with RoPE, in which several query heads share a key head and a value head.

    Arguments
        cfg  its emb_dim, n_heads, n_kv_groups, context_length and rope_base are needed

    Attributes: four `nn.Linear` layers without a bias, which hold all that is saved
        W_query   from D to H·h = D
        W_key     from D to G·h
        W_value   from D to G·h
        out_proj  from D to D

    Source: Ainslie et al. 2023, section 2.2; the names are the book's.
    """

    def __init__(self, cfg: LlamaConfig) -> None:
        """Make the four layers, and a RoPE for heads of width h.

        Fine print
            ValueError: n_heads does not divide emb_dim, or n_kv_groups does not divide n_heads. The message should
            name both numbers.
        """
        super().__init__()
        if cfg.emb_dim % cfg.n_heads:
            raise ValueError(f"emb_dim {cfg.emb_dim} does not divide into {cfg.n_heads} heads")
        if cfg.n_heads % cfg.n_kv_groups:
            raise ValueError(f"{cfg.n_heads} heads cannot share {cfg.n_kv_groups} groups evenly")
        self.n_heads, self.n_kv_groups = cfg.n_heads, cfg.n_kv_groups
        head_dim = cfg.emb_dim // cfg.n_heads
        self.W_query = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.W_key = nn.Linear(cfg.emb_dim, cfg.n_kv_groups * head_dim, bias=False)
        self.W_value = nn.Linear(cfg.emb_dim, cfg.n_kv_groups * head_dim, bias=False)
        self.out_proj = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.rope = RoPE(head_dim, cfg.context_length, cfg.rope_base)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """Attend to the past and the present.

        Arguments
            x      float (B, T, D): the new tokens
            cache  the past, where new keys and values go; None if there is none
        Returns
            float (B, T, D)

        Positions should go on from `cache.length`. Rotate queries and keys, not values. The cache should get the G
        rotated key heads and the G value heads. Query head i should use key head i // (H/G), and at position p
        see keys 0 … p.

        Fine print
            Scores should be divided by √h, which your function of exercise 6 does by itself.
            ValueError: the tokens do not fit into context_length. RoPE raises it; the cache must not change then.
            Any tensor that you make on the way should be on the device of x.
        """
        start = 0 if cache is None else cache.length
        query = self.rope(split_heads(self.W_query(x), self.n_heads), start)
        key = self.rope(split_heads(self.W_key(x), self.n_kv_groups), start)
        value = split_heads(self.W_value(x), self.n_kv_groups)
        if cache is not None:
            key, value = cache.append(key, value)
        share = self.n_heads // self.n_kv_groups
        key, value = key.repeat_interleave(share, dim=1), value.repeat_interleave(share, dim=1)
        positions = torch.arange(key.shape[2], device=x.device)
        mask = positions > positions[start:, None]
        return self.out_proj(merge_heads(scaled_dot_product_attention(query, key, value, mask)))


class LlamaBlock(nn.Module):
    """Attention, then feed-forward, each with a norm before it and a shortcut around it.

    Arguments
        cfg  the sizes

    Attributes
        norm1  an RMSNorm with eps = norm_eps, before the attention
        att    a GroupedQueryAttention
        norm2  another RMSNorm with eps = norm_eps, before the feed-forward
        ff     a SwiGLU

    Source: Touvron et al. 2023, section 2.2; the names are the book's.
    """

    def __init__(self, cfg: LlamaConfig) -> None:
        """Make the four parts."""
        super().__init__()
        self.norm1 = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.att = GroupedQueryAttention(cfg)
        self.norm2 = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.ff = SwiGLU(cfg.emb_dim, cfg.hidden_dim)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """Gather, then digest.

        Arguments
            x      float (B, T, D)
            cache  for the attention, or None
        Returns
            float (B, T, D), in two steps: x plus what norm1 and att make of x; then that sum plus what norm2 and
            ff make of it
        """
        x = x + self.att(self.norm1(x), cache)
        return x + self.ff(self.norm2(x))


class LlamaModel(nn.Module):
    """A Llama: token table, blocks, final norm, head.

    Arguments
        cfg  the sizes

    Attributes
        cfg         the config that was given
        tok_emb     an `nn.Embedding` of V rows and D columns; nothing is added for positions
        trf_blocks  an `nn.ModuleList` of n_layers LlamaBlocks, each with weights of its own
        final_norm  an RMSNorm with eps = norm_eps
        out_head    an `nn.Linear` from D to V without a bias. If cfg.tie_weights, its weight and that of tok_emb
                    should be one and the same Parameter; if not, two.

    Source: Touvron et al. 2023; the names are the book's.
    """

    def __init__(self, cfg: LlamaConfig) -> None:
        """Make the parts, and tie the weights if asked to. How torch fills them at first is fine."""
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.emb_dim)
        self.trf_blocks = nn.ModuleList(LlamaBlock(cfg) for _ in range(cfg.n_layers))
        self.final_norm = RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)
        if cfg.tie_weights:
            self.out_head.weight = self.tok_emb.weight

    def new_caches(self) -> list[KVCache]:
        """An empty cache for each block, with room for context_length tokens."""
        return [KVCache(self.cfg.context_length) for _ in self.trf_blocks]

    def forward(self, ids: Tensor, caches: Sequence[KVCache] | None = None) -> Tensor:
        """From ids to logits: token table, all blocks in order, final norm, head.

        Arguments
            ids     int64 (B, T): the new tokens
            caches  a cache for each block, in order, as new_caches makes them; None if there is no past
        Returns
            float (B, T, V): for each new token the logits of the one that comes after it

        With caches, the result should be what the whole text gives at the new positions.

        Example: `generate(model, ids, 5, model.cfg.context_length)` of exercise 10 and `generate_cached(model, ids,
        5)` of exercise 19 both work on it, and write the same text.

        Fine print
            ValueError: the tokens do not fit into context_length. RoPE raises it; let it pass through.
        """
        x = self.tok_emb(ids)
        for number, block in enumerate(self.trf_blocks):
            x = block(x, None if caches is None else caches[number])
        return self.out_head(self.final_norm(x))


# ANSWERS
# 1. The angle between them is 7 − 4 = 3, so the product is cos 3 = −0.990. It is the same at 1007 and 1004.
# 2. It is a quarter of the size. So are W_key and W_value: they make 8 heads each instead of 32. W_query and
#    out_proj have the same size as before.
