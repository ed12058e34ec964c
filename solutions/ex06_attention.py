"""Attention: how a token looks at the others.

You need: `@` on tensors of several axes, softmax (exercise 0), and how an `nn.Module` holds layers (exercise 5).

WHY
A word means little alone. In "the bank of the river", the vector of "bank" should take up something of
"river". Attention lets every token gather from the others, and lets the *content* decide from which and how
much. Nothing about distance is built in: a token can reach 500 places back as easily as one.

FIRST BY HAND, WITH NOTHING LEARNED
Three words, "the river bank", with two numbers for each: how much it has to do with water, and with money. "bank"
looks at all three. Its score for a word is the dot product of the two vectors, which is large where they point the
same way. A softmax turns the scores into weights that are positive and sum to 1.

    word     vector    score with (1, 1)    e^score    weight = e^score / 11.107
    the      (0, 0)            0              1.000      0.090
    river    (1, 0)            1              2.718      0.245
    bank     (1, 1)            2              7.389      0.665
    sum                                      11.107      1.000

The new vector of "bank", its *context vector*, is the mean of all three under these weights:

    0.090 · (0, 0) + 0.245 · (1, 0) + 0.665 · (1, 1) = (0.910, 0.665)

Water and money were equal before. Now there is more water: it is a river bank. If the vectors are the rows of x,
two lines do the same for all three words. Try them:

    weights = torch.softmax(x @ x.T, dim=-1)
    context = weights @ x                       # the last row is 0.910 and 0.665

HOW: WITH QUERY, KEY AND VALUE
So far a word finds those that are like it, and nothing can be learned. But the word "it" should find its noun,
which is not like it at all. And what others look for in a word need not be what it hands over. So three learned
matrices turn each token into three vectors.

    query   what am I looking for?
    key     what do I offer?
    value   what do I hand over if I am chosen?

Now the scores compare queries with keys, and the context is the mean of the values:

    scores  = query @ keyᵀ / √d              (…, T_query, T_key)
    weights = softmax(scores, over the keys)  each row sums to 1
    context = weights @ value                 (…, T_query, d_value)

WHY THE √d
A dot product of d random terms has a standard deviation of √d. Without the division the scores of a wide
model are large, the softmax puts nearly all weight on one key, and its gradient all but vanishes.

A SMALL EXAMPLE
One query (2, 0, 0, 0), two keys (1, 0, 0, 0) and (0, 1, 0, 0), two values 10 and 0. Here d = 4.

    scores   2 and 0, divided by √4:  1 and 0
    weights  e¹/(e¹+e⁰) = 0.731  and  0.269
    context  0.731 · 10 + 0.269 · 0 = 7.31

HIDING THE FUTURE
A GPT learns to predict the next token. If it could look at that token there would be nothing to learn. So
token t may see only tokens 0 … t. The scores of all later ones are set to −∞ *before* the softmax, because
e^−∞ is 0. Three tokens, with their scores already divided by √d:

    scores          hidden            weights
    1   0   2       1   −∞  −∞        1      0      0
    0   0   1       0   0   −∞        0.5    0.5    0
    0   1   0       0   1   0         0.212  0.576  0.212

The last row is 1, e and 1, divided by their sum. Every row sums to 1. If you zeroed weights after the softmax
instead, the rest would sum to less than 1.

DROPOUT
While training, some *weights* are set to 0 at random and the others scaled up, so that the model does not
rely on a single connection. Nothing is dropped in evaluation mode. `nn.Dropout` does both.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)": section 3.3 is the part by hand, 3.4 adds the matrices, 3.5
the mask and dropout. There each class repeats the arithmetic, and a sequence longer than the context ends in
torch's error about shapes. Here one function does the arithmetic for all classes to come, and a sequence that is
too long is refused in plain words.

NOT ALLOWED HERE
torch's own `scaled_dot_product_attention`, `multi_head_attention`, which `nn.MultiheadAttention` calls, and
whatever else of torch computes attention: it is what you write. Its softmax, `nn.Linear` and `nn.Dropout` are
welcome.

TWO QUESTIONS (the answers are at the end of this file)
1. All scores of a row are equal. What are its weights, and what is the context vector?
2. Under the causal mask, the context of token 0 is the same whatever W_query and W_key hold. Why?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex06` draws who looks at whom in "the bank of the river". Predict
first: under the causal mask, which words can "bank" see? Is "river" one of them?

Shapes: B batch, T tokens, d the width of a query or key.
Read on: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The mean of the values, weighted by how well each query matches each key.

    Arguments
        query    float (…, T_query, d)
        key      float (…, T_key, d)
        value    float (…, T_key, d_value)
        mask     bool, broadcastable to (…, T_query, T_key): True hides that key from that query.
                 None hides nothing.
        dropout  applied to the weights, after the softmax; None changes nothing
    Returns
        float (…, T_query, d_value)

    The scores should be divided by √d before the softmax over the keys.

    Example: the first one of the lesson gives 7.31.

    Fine print
        A hidden key must get a weight of exactly 0, however large its score. No row is hidden entirely. Scores
        of any size should give finite weights.

    Source: Vaswani et al. 2017, equation 1.
    """
    scores = query @ key.transpose(-2, -1) / key.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    weights = torch.softmax(scores, dim=-1)
    if dropout is not None:
        weights = dropout(weights)
    return weights @ value


def causal_mask(length: int) -> Tensor:
    """Which keys each query must not see: those that come after it.

    Arguments
        length  T, at least 1
    Returns
        bool (T, T): entry [t, s] is True where s > t, so a token sees itself and what came before it

    Example: causal_mask(3) is

        [[False,  True,  True],
         [False, False,  True],
         [False, False, False]]

    Source: Raschka, section 3.5.1.
    """
    return torch.triu(torch.ones(length, length, dtype=torch.bool), diagonal=1)


class SelfAttention(nn.Module):
    """Every token attends to every token of its own sequence.

    Arguments
        d_in      width of a token's vector
        d_out     width of queries, keys, values, and of the result
        qkv_bias  do the three projections have a bias?

    Three `nn.Linear` layers, named `W_query`, `W_key` and `W_value`, should be all the parameters.

    Source: Raschka, section 3.4.2.
    """

    def __init__(self, d_in: int, d_out: int, qkv_bias: bool = False) -> None:
        """Make the three projections."""
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Project, then attend.

        Arguments
            x  float (B, T, d_in)
        Returns
            float (B, T, d_out)

        Fine print
            Scores of any size give finite weights, as above.
        """
        return scaled_dot_product_attention(self.W_query(x), self.W_key(x), self.W_value(x))


class CausalAttention(nn.Module):
    """Self-attention in which no token sees a later one: what a GPT is made of.

    Arguments
        d_in            width of a token's vector
        d_out           width of queries, keys, values, and of the result
        context_length  the longest sequence that will come
        dropout         the probability with which a weight is dropped in training mode
        qkv_bias        do the three projections have a bias?

    Attributes
        W_query, W_key, W_value  `nn.Linear` layers: the only parameters
        mask                     `causal_mask(context_length)`, registered as a buffer
        dropout                  an `nn.Dropout`

    Fine print
        A buffer moves to the GPU with the module, and is not trained.

    Source: Raschka, section 3.5.3.
    """

    def __init__(self, d_in: int, d_out: int, context_length: int, dropout: float, qkv_bias: bool = False) -> None:
        """Make the three projections, the mask and the dropout."""
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x: Tensor) -> Tensor:
        """Attend to the past and the present.

        Arguments
            x  float (B, T, d_in), T at most context_length
        Returns
            float (B, T, d_out); the weights went through dropout

        Fine print
            ValueError: T is larger than context_length. The message should name both numbers.
            Scores of any size give finite weights, as above.
        """
        length = x.shape[1]
        if length > self.mask.shape[0]:
            raise ValueError(f"{length} tokens do not fit into a context of {self.mask.shape[0]}")
        mask = self.mask[:length, :length]
        query, key, value = self.W_query(x), self.W_key(x), self.W_value(x)
        return scaled_dot_product_attention(query, key, value, mask, self.dropout)


# ANSWERS
# 1. With T keys each weight is 1/T, so the context is the plain mean of the values.
# 2. It can see nothing but itself. A softmax over a single score is 1, whatever the score, so the context is the
#    value of token 0: W_value alone decides.
