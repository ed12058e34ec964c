"""Multi-head attention: several looks at once.

WHY
A softmax makes one set of weights, and a token needs several. To go on after "she gave the old dog a", a
model has to find what was done, who did it, and to whom. One set of weights would have to mix all that into
one mean. So attention is done H times side by side, each time with queries, keys and values of its own. One
such look is called a *head*.

HOW
Nothing gets bigger. A query of width D is cut into H pieces of width h = D / H, and so are keys and values.
Head 0 works with the first pieces, head 1 with the second ones, and so on; no head sees another. Their
results are put side by side again, which makes D, and one more linear layer, `out_proj`, lets the heads'
findings mix.

    x (B, T, d_in)  ─ three projections ─►  query, key, value   (B, T, D)
                    ─ split_heads ───────►                      (B, H, T, h)
                    ─ attention, causal ─►  context             (B, H, T, h)
                    ─ merge_heads ───────►                      (B, T, D)
                    ─ out_proj ──────────►                      (B, T, D)

The attention in the middle is the function that you wrote in exercise 6. It works on the last two axes and
takes any number of axes before them: with the heads in front, all of them are done in one go. It divides by
the square root of the width of the keys that it is given, so by √h and not by √D. The keys of a head are
only h wide.

SPLITTING
One token of width 4 has the numbers 1 2 3 4, the next has 5 6 7 8, and H = 2. Every token gives its first
half to head 0 and its second half to head 1:

    head 0   (1 2), (5 6)        one row for each token
    head 1   (3 4), (7 8)

A shape says how many numbers there are along each axis, not which numbers. Read in order, the eight numbers
can also be put into two tables of two rows, (1 2), (3 4) and (5 6), (7 8), in one step and with the very
same shape (H, T, h). But now all of head 0 is token 0, and a head would compare the halves of one token
rather than two tokens. `view` and `reshape` never change the order in which numbers are read; `transpose`
does. So first cut the last axis in two, (B, T, H, h), and then exchange T and H. On the way back, undo the
two steps in reverse order.

A SMALL EXAMPLE
T = 2, D = 2, H = 2, so h = 1. All three projections and out_proj leave their input as it is. The tokens
are (1, 0) and (2, 1). Token 0 sees only itself: (1, 0). Token 1 sees both:

    head 0   query 2, keys 1 and 2   scores 2 and 4, / √1   weights 0.119 and 0.881   0.119·1 + 0.881·2 = 1.881
    head 1   query 1, keys 0 and 1   scores 0 and 1, / √1   weights 0.269 and 0.731   0.269·0 + 0.731·1 = 0.731

The result for token 1 is (1.881, 0.731). The two heads weighed the same two tokens differently.

WHAT IS NOT HERE
Two later exercises go on from here: keys and values that several heads share, and how to keep them while
generating.

Shapes: B batch, T tokens, D = d_out the width of all heads together, H heads, h = D / H.

NOT ALLOWED HERE
torch has this ready-made. In MultiHeadAttention you should use your own attention of exercise 6, so torch's
`scaled_dot_product_attention` is not allowed, nor anything with `multi_head_attention` in its name, such as
`F.multi_head_attention_forward`, which `nn.MultiheadAttention` calls.

Read on: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2. Raschka, "Build a Large Language
Model (From Scratch)", chapter 3.
"""

import torch
from torch import Tensor, nn

from .ex06_attention import causal_mask, scaled_dot_product_attention


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Cut every token's vector into one piece for each head.

    Arguments
        x          float (B, T, D); how it lies in memory does not matter
        num_heads  H, at least 1
    Returns
        float (B, H, T, h) with h = D / H, of the dtype of x: entry [b, i, t] is x[b, t, i·h : (i+1)·h], the
        i-th piece of token t
    Raises
        ValueError: H does not divide D. The message names both numbers.

    x is not changed; the gradient reaches it. The result may share memory with x, or be a copy.

    Example: with H = 2, x = [[[1, 2, 3, 4], [5, 6, 7, 8]]] gives [[[[1, 2], [5, 6]], [[3, 4], [7, 8]]]].

    Source: Vaswani et al. 2017, section 3.2.2; Raschka, chapter 3.
    """
    batch, length, width = x.shape
    if width % num_heads != 0:
        raise ValueError(f"a width of {width} does not divide into {num_heads} heads")
    return x.view(batch, length, num_heads, width // num_heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Put the pieces of every token side by side again: the inverse of split_heads.

    Arguments
        x  float (B, H, T, h); how it lies in memory does not matter
    Returns
        float (B, T, D) with D = H · h, of the dtype of x: entry [b, t] is x[b, 0, t], x[b, 1, t], … one after
        the other

    x is not changed; the gradient reaches it. The result may share memory with x, or be a copy.

    Example: [[[[1, 2], [5, 6]], [[3, 4], [7, 8]]]] gives [[[1, 2, 3, 4], [5, 6, 7, 8]]].

    Source: Vaswani et al. 2017, section 3.2.2; Raschka, chapter 3.
    """
    return torch.flatten(x.transpose(1, 2), start_dim=2)


class MultiHeadAttention(nn.Module):
    """Causal self-attention with several heads: the attention of a GPT.

    Arguments
        d_in            width of a token's vector
        d_out           D, the width of all heads together, and of the result
        context_length  the longest sequence that will come
        dropout         the probability with which a weight is dropped in training mode
        num_heads       H, at least 1; it divides d_out
        qkv_bias        do the three projections have a bias?

    Attributes
        W_query, W_key, W_value  `nn.Linear` layers from d_in to d_out
        out_proj                 an `nn.Linear` from d_out to d_out, always with a bias. These four hold all
                                 the parameters.
        dropout                  an `nn.Dropout`
        mask                     `causal_mask(context_length)`, a buffer that is not saved with the weights:
                                 persistent=False. It can be made again at any time, and weights saved with
                                 one context length then fit a model with another.

    Source: Vaswani et al. 2017, section 3.2.2; Raschka, chapter 3.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        context_length: int,
        dropout: float,
        num_heads: int,
        qkv_bias: bool = False,
    ) -> None:
        """Make the four linear layers, the dropout and the mask.

        Raises
            ValueError: num_heads does not divide d_out. The message names both numbers. d_in need not be
                divisible.
        """
        super().__init__()
        if d_out % num_heads != 0:
            raise ValueError(f"a width of {d_out} does not divide into {num_heads} heads")
        self.num_heads = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend to the past and the present, once in every head.

        Arguments
            x  float (B, T, d_in), T from 1 to context_length, of the dtype of the parameters
        Returns
            float (B, T, d_out), of the same dtype: the merged heads after out_proj. Head i works with the i-th
            piece of query, key and value, as split_heads cuts them; its scores are divided by √h; its weights
            went through dropout, each on its own.
        Raises
            ValueError: T is larger than context_length. The message names both numbers.

        x is not changed; the gradient reaches x and all parameters.

        Example: the one of the lesson above gives (1, 0), (1.881, 0.731).
        """
        length, context_length = x.shape[1], self.mask.shape[0]
        if length > context_length:
            raise ValueError(f"{length} tokens do not fit into a context of {context_length}")
        query = split_heads(self.W_query(x), self.num_heads)
        key = split_heads(self.W_key(x), self.num_heads)
        value = split_heads(self.W_value(x), self.num_heads)
        mask = self.mask[:length, :length]
        context = scaled_dot_product_attention(query, key, value, mask, self.dropout)
        return self.out_proj(merge_heads(context))
