"""Multi-head attention: several looks at once.

You need: attention with its causal mask (exercise 6), and `view` and `transpose` of a tensor.

WHY
A softmax makes one set of weights, and a token needs several. To go on with "she gave the old dog a", a model has
to find what was done, by whom, and to whom. One set of weights would mix all that into one mean. So attention is
done H times side by side, each time with queries, keys and values of its own. Each of these is called a *head*.

HOW
A query of width D is cut into H pieces of width h = D / H, and so are keys and values. Head 0 works with the first
pieces, head 1 with the second pieces, and so on. Their results are put side by side again, which gives D. One more
linear layer, `out_proj`, mixes what the heads have found.

    x (B, T, d_in)  ─ three projections ─►  query, key, value   (B, T, D)
                    ─ split_heads ───────►                      (B, H, T, h)
                    ─ attention, causal ─►  context             (B, H, T, h)
                    ─ merge_heads ───────►                      (B, T, D)
                    ─ out_proj ──────────►                      (B, T, D)

The attention in the middle is your function of exercise 6. It takes any number of axes before the last two, so all
heads are done in one call. It divides by the root of the width of its keys: √h and not √D.

SPLITTING
One sequence of three tokens, D = 4 and H = 2, so x is (1, 3, 4). Two ways to the shape (1, 2, 3, 2), where
[ ] goes to head 0 and ( ) to head 1:

               x.view(1, 3, 2, 2)
               .transpose(1, 2)               x.view(1, 2, 3, 2)

    token 0    [ 1   2] ( 3   4)              [ 1   2] [ 3   4]
    token 1    [ 5   6] ( 7   8)              [ 5   6] ( 7   8)
    token 2    [ 9  10] (11  12)              ( 9  10) (11  12)

    head 0     1   2    token 0               1   2    token 0
               5   6    token 1               3   4    token 0 again
               9  10    token 2               5   6    token 1

    head 1     3   4    token 0               7   8    token 1
               7   8    token 1               9  10    token 2
              11  12    token 2              11  12    token 2 again

On the left every head gets one piece of every token. On the right head 0 never sees token 2, and it compares the
halves of token 0 as if they were two tokens. The shapes are the same, so there is no error. `view` never changes
the order in which numbers are read; `transpose` does. So first cut the last axis in two, (B, T, H, h), and then
exchange T and H. On the way back, undo the two steps in reverse order.

A SMALL EXAMPLE
T = 2, D = 2, H = 2, so h = 1. All three projections and out_proj leave their input as it is. The tokens are
(1, 0) and (2, 1). Token 0 sees only itself: (1, 0). Token 1 sees both:

    head 0   query 2, keys 1 and 2   scores 2 and 4   weights 0.119 and 0.881   0.119·1 + 0.881·2 = 1.881
    head 1   query 1, keys 0 and 1   scores 0 and 1   weights 0.269 and 0.731   0.269·0 + 0.731·1 = 0.731

The result for token 1 is (1.881, 0.731). The two heads gave the same two tokens different weights.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", section 3.6. 3.6.1 puts several CausalAttention side by
side, each with matrices of its own. 3.6.2 cuts the results of three large matrices into heads, as here. There the
cutting is written out in `forward`. Here it has two functions, because exercises 19 and 20 cut and merge as well.
The book's mask is saved with the weights, which ties them to one context length.

NOT ALLOWED HERE
MultiHeadAttention should do without torch's own `scaled_dot_product_attention`, without `multi_head_attention`,
which `nn.MultiheadAttention` calls, and without whatever else of torch computes attention. Your function of
exercise 6 does the work.

TWO QUESTIONS (the answers are at the end of this file)
1. D is 768. How many more parameters has an attention layer with 12 heads than one with a single head?
2. Somebody splits with view(B, H, T, h) and merges with view(B, T, D), and checks that merging what was split gives
   x again. Does that find the mistake?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex07` draws two heads on "the king and the queen". Head 0 looks at the
word before, head 1 at words of similar meaning, so that "queen" finds "king". Predict first: if the same numbers
are split by x.view(B, H, T, h), at which words can "queen" look in head 1?

Shapes: B batch, T tokens, D = d_out the width of all heads together, H heads, h = D / H.
Read on: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2.
"""

import torch
from torch import Tensor, nn

from .ex06_attention import causal_mask, scaled_dot_product_attention


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Cut every token's vector into one piece for each head.

    Arguments
        x          float (B, T, D)
        num_heads  H
    Returns
        float (B, H, T, h) with h = D / H: entry [b, i, t] is x[b, t, i*h : (i+1)*h], the i-th piece of token t

    Example: split_heads(torch.tensor([[[1, 2, 3, 4], [5, 6, 7, 8]]]), 2) is
    tensor([[[[1, 2], [5, 6]], [[3, 4], [7, 8]]]]).

    Fine print
        ValueError: H does not divide D. The message should name both numbers.

    Source: Vaswani et al. 2017, section 3.2.2; Raschka, section 3.6.2.
    """
    batch, length, width = x.shape
    if width % num_heads != 0:
        raise ValueError(f"a width of {width} does not divide into {num_heads} heads")
    return x.view(batch, length, num_heads, width // num_heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Put the pieces of every token side by side again: the inverse of split_heads.

    Arguments
        x  float (B, H, T, h)
    Returns
        float (B, T, D) with D = H * h: entry [b, t] is x[b, 0, t], then x[b, 1, t], and so on

    Example: merge_heads(torch.tensor([[[[1, 2], [5, 6]], [[3, 4], [7, 8]]]])) is
    tensor([[[1, 2, 3, 4], [5, 6, 7, 8]]]).

    Source: Vaswani et al. 2017, section 3.2.2; Raschka, section 3.6.2.
    """
    return torch.flatten(x.transpose(1, 2), start_dim=2)


class MultiHeadAttention(nn.Module):
    """Causal self-attention with several heads: the attention of a GPT.

    Arguments
        d_in, context_length, dropout, qkv_bias  as in CausalAttention of exercise 6
        d_out                                    D, the width of all heads together
        num_heads                                H, which divides d_out

    Attributes
        num_heads                as given
        W_query, W_key, W_value  `nn.Linear` layers from d_in to d_out
        out_proj                 an `nn.Linear` from d_out to d_out, with a bias
        dropout                  an `nn.Dropout`
        mask                     `causal_mask(context_length)`, a buffer with persistent=False

    The linear layers should hold all the parameters.

    Fine print
        The mask is not saved, so the weights can be loaded into a layer with another context_length.

    Source: Vaswani et al. 2017, section 3.2.2; Raschka, section 3.6.2.
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

        Fine print
            ValueError: num_heads does not divide d_out. The message should name both numbers.
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
            x  float (B, T, d_in), T at most context_length
        Returns
            float (B, T, d_out): the merged heads after out_proj

        Head i should work with the i-th piece of query, key and value, as split_heads cuts them. Its scores should
        be divided by √h, and its weights should go through dropout.

        Example: the one of the lesson gives (1, 0) and (1.881, 0.731).

        Fine print
            ValueError: T is larger than context_length. The message should name both numbers.
            Scores of any size give finite weights.
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


# ANSWERS
# 1. None. There are the same four layers, with 4 · (768 · 768 + 768) = 2,362,368 numbers if all have a bias. The
#    number of heads only decides where their results are cut.
# 2. No. Both read the numbers in order, so the one undoes the other. What is wrong is what the heads hold in
#    between, so look there: at the shape (B, H, T, h), with numbers that you can recognize.
