"""The transformer block: attention, a small network, and what makes a stack of them trainable.

You need: `nn.Module`, `nn.Parameter`, `nn.Sequential`, means over an axis with `keepdim`, and exercise 7's
MultiHeadAttention.

WHY
In one round of attention a token gathers from the others. That is not enough: it has to digest what it gathered,
and then gather again. A GPT is a stack of equal blocks, 12 of them in the smallest GPT-2. Each block gathers
once (attention) and digests once (feed-forward). A stack can be trained only with two more parts: norms, which
keep the numbers in range, and shortcuts, which let the gradient reach the lowest block.

HOW
The vectors of the tokens run straight through all blocks. This line is called the *residual stream*. Attention
and feed-forward read from it, and add to it what they found:

      reads                          adds  reads                         adds
    x ──┬──────────────────────────────(+)──┬─────────────────────────────(+)──►
        └─ norm1 ─ att ─ drop_shortcut ─┘   └─ norm2 ─ ff ─ drop_shortcut ─┘

The straight line around a part is its *shortcut*, or residual connection. The norm comes *before* each part
("pre-norm"), on the way to it, so the stream itself is never squeezed. While training, dropout zeroes
some of the numbers that a part adds, never those of the stream.

LAYER NORM
Every token's vector is shifted and scaled so that its D numbers have mean 0 and variance 1. Two learned vectors,
scale and shift, may undo that where it helps.

    out = scale · (x − mean) / √(variance + ε) + shift
    variance = mean of (x − mean)²                        divided by D, not by D − 1

Each token is treated alone: neither its neighbours nor the rest of the batch matter. ε is 0.00001. Under the
root, it keeps a token whose numbers are all equal from 0/0.

GELU
Two linear layers in a row are no more than one, so something between them has to bend. ReLU cuts off everything
below 0, with a sharp corner. GELU is its smooth relative, and lets a little through just below 0:

     2                         |              .*
                               |             *o   o  GELU
                               |          .**     .  ReLU
                               |         .o       *  both
     1                         |      ..*o
                               |     .oo
                               |  ..*o
                               | *oo
     0 **************........****---------------
                     oooooooo  |
      −3      −2      −1       0       1       2

GELU multiplies x by the share of a normal distribution that is below x. GPT-2 was trained with an approximation
by tanh, so its weights need exactly this one:

    GELU(x) = 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))

FEED-FORWARD
Each token by itself goes through a linear layer from D to 4·D numbers, GELU, and a linear layer back to D. Two
thirds of a block's parameters are here.

VANISHING GRADIENTS
Backpropagation goes through the stack from the top to the bottom. Without shortcuts, each block multiplies the
gradient by something, and if that is mostly small, next to nothing reaches the lowest blocks, and they cannot
learn. This is the *vanishing gradient*. An addition passes the gradient on unchanged, so along the stream it
reaches the first block however deep the stack is.

A SMALL EXAMPLE
    norm of (1, 3, 5, 7): mean 4, differences −3 −1 1 3, variance (9 + 1 + 1 + 9)/4 = 5, root 2.236
    out −1.342  −0.447  0.447  1.342                      with scale 1 and shift 0

    GELU(1): √(2/π) = 0.7979, times 1.0447 is 0.8336, tanh of that 0.6825, so 0.5 · 1 · 1.6825 = 0.8412

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", sections 4.2 to 4.5. The parts and their names are the
same. There the config is a dict; here it is an object with attributes, so a misspelled name is noticed sooner.
Section 4.4 shows the vanishing gradient on five small layers; here you see it on 24 of your own blocks.

NOT ALLOWED HERE
torch has all of this ready-made, and the exercise is to write it. LayerNorm should do without `layer_norm`, and
without `batch_norm`, `group_norm`, `instance_norm` and `rms_norm`, which compute the same once x is reshaped.
GELU and FeedForward should do without `gelu`. TransformerBlock should do without all of these, and without
`scaled_dot_product_attention`, `multi_head_attention` and `transformer_encoder_layer`: it is built of your own
parts. Modules that wrap them, such as `nn.LayerNorm`, count too, and so does whatever else of torch computes them.
`nn.Linear`, `nn.Sequential` and `nn.Dropout` are welcome.

TWO QUESTIONS (the answers are at the end of this file)
1. What does a fresh LayerNorm make of (0, 0, 0, 8), and what of (0, 0, 0, 800)?
2. Each block of a stack multiplies the gradient by 1/3. What is left of it after 12 blocks, and after 24?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex08` stacks 24 of your blocks, fresh ones, and measures the gradient
at each, as they are and with the shortcuts and norms taken out. Predict first: without them, by what factor is
the gradient at block 1 smaller than at block 24? 10, a million, or more? And would the norms alone be enough?

Shapes: B batch, T tokens, D = emb_dim numbers per token.
Read on: Ba, Kiros and Hinton 2016, "Layer Normalization". Hendrycks and Gimpel 2016, "Gaussian Error Linear Units
(GELUs)". He et al. 2015, "Deep Residual Learning for Image Recognition". Xiong et al. 2020, "On Layer Normalization
in the Transformer Architecture".
"""

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from .ex07_multihead import MultiHeadAttention


class BlockConfig(Protocol):
    """What a block has to know. Any object with these attributes will do; exercise 9's GPTConfig is one.

    emb_dim         D, the width of a token's vector
    context_length  the longest sequence that will come
    n_heads         attention heads
    drop_rate       the probability with which dropout drops a number while training
    qkv_bias        do the projections to query, key and value have a bias?
    """

    emb_dim: int
    context_length: int
    n_heads: int
    drop_rate: float
    qkv_bias: bool


class LayerNorm(nn.Module):
    """Give every token's vector mean 0 and variance 1, then a learned scale and shift.

    Arguments
        emb_dim  D, how many numbers a token has

    Attributes
        scale  `nn.Parameter`, float (D,), ones at first
        shift  `nn.Parameter`, float (D,), zeros at first
        eps    0.00001 (1e-5), a Python float

    `scale` and `shift` should be the only parameters.

    Source: Ba et al. 2016; Raschka, section 4.2.
    """

    def __init__(self, emb_dim: int) -> None:
        """Make scale, shift and eps."""
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Normalize over the last axis.

        Arguments
            x  float (…, D), with one or more axes before the last
        Returns
            the shape of x: scale · (x − mean) / √(variance + eps) + shift

        Mean and variance should be those of the last axis, and the variance should be divided by D.

        Example: LayerNorm(4)(torch.tensor([[1.0, 3.0, 5.0, 7.0]])) is about [[-1.342, -0.447, 0.447, 1.342]].

        Fine print
            Equal numbers give `shift`. Numbers near 3000 should be normalized as exactly as those near 0: subtract
            the mean before you square.
        """
        raise NotImplementedError


class GELU(nn.Module):
    """GPT-2's activation: GELU, approximated by tanh. It has no parameters.

    Source: Hendrycks and Gimpel 2016, section 2; Raschka, section 4.3.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every number by itself.

        Arguments
            x  float, of any shape
        Returns
            the same shape: 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))

        Example: GELU()(torch.tensor([-1.0, 0.0, 1.0])) is about [-0.1588, 0, 0.8412].

        Fine print
            Far from 0, at ±50 for instance, the result and its gradient should be finite.
        """
        raise NotImplementedError


class FeedForward(nn.Module):
    """A small network that every token goes through by itself.

    Arguments
        cfg  only its emb_dim, D, should be read

    Attributes
        layers  an `nn.Sequential` of three: an `nn.Linear` from D to 4·D, your GELU, an `nn.Linear` from 4·D to D.
                Both linear layers have a bias.

    There should be no dropout in it.

    Source: Vaswani et al. 2017, section 3.3; Raschka, section 4.3.
    """

    def __init__(self, cfg: BlockConfig) -> None:
        """Make the three layers."""
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Through the three layers.

        Arguments
            x  float (…, D)
        Returns
            float (…, D)
        """
        raise NotImplementedError


class TransformerBlock(nn.Module):
    """Attention, then feed-forward, each with a norm before it and a shortcut around it.

    Arguments
        cfg  any object with the attributes of BlockConfig

    Attributes
        norm1          your LayerNorm, before the attention
        att            exercise 7's MultiHeadAttention, from D to D, with cfg's context_length, n_heads and
                       qkv_bias, and drop_rate as its dropout
        norm2          another LayerNorm, with parameters of its own, before the feed-forward
        ff             your FeedForward
        drop_shortcut  an `nn.Dropout` with probability drop_rate, for what is added to the stream

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2), section 2.3;
    Raschka, section 4.5.
    """

    def __init__(self, cfg: BlockConfig) -> None:
        """Make the five parts."""
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Gather, then digest.

        Arguments
            x  float (B, T, D), T at most context_length
        Returns
            float (B, T, D), in two steps: x plus what norm1, att and drop_shortcut make of x; then that sum plus
            what norm2, ff and drop_shortcut make of it

        Example: with all parameters of att and ff at 0 they add nothing, and the result is x.

        Fine print
            Dropout acts in training mode only, on each number by itself.
            ValueError: T is larger than context_length. MultiHeadAttention raises it; let it pass.
        """
        raise NotImplementedError


# ANSWERS
# 1. The mean is 2, the variance (4 + 4 + 4 + 36)/4 = 12 and its root 3.464: (-0.577, -0.577, -0.577, 1.732). The
#    second gives the same: a norm keeps the pattern of a vector and forgets its size.
# 2. After 12 blocks 1/531,441, after 24 about 1/282,000,000,000. Only a factor near 1 gets through a deep stack.
