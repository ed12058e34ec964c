"""The transformer block: attention, a small network, and what makes a stack of them trainable.

WHY
One round of attention lets a token gather from the others. It is not enough: what was gathered has to be
digested, and then gathered from again. A GPT is a stack of equal blocks, 12 of them in the smallest GPT-2.
Each block gathers once (attention) and digests once (feed-forward). Stacking only works with two more parts:
the norm keeps the numbers in range, and the shortcut lets the gradient reach the lowest block.

LAYER NORM
Every token's vector is moved and stretched so that its D numbers have mean 0 and variance 1. Two learned
vectors, scale and shift, may undo that where it pays.

    out = scale · (x − mean) / √(variance + ε) + shift          mean and variance over the D numbers of a token
    variance = mean of (x − mean)²                              divided by D, not by D − 1; ε = 0.00001

Each token is treated alone: neither its neighbours nor the rest of the batch matter. ε stands under the root;
it keeps a token whose numbers are all equal from 0/0.

    (1, 3, 5, 7): mean 4, differences −3 −1 1 3, variance (9 + 1 + 1 + 9)/4 = 5, root 2.236
    out −1.342  −0.447  0.447  1.342                            with scale 1 and shift 0

GELU
Between two linear layers something has to bend, or the two are no more than one. ReLU cuts off everything
below 0, with a sharp corner. GELU is a smooth relative: far above 0 it is x, far below it is 0, and a little
below 0 it is a little negative. It is x times the share of a normal distribution that lies below x. GPT-2 was
trained with an approximation of that by tanh, so its weights want exactly this one:

    GELU(x) = 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))

    x = 1: √(2/π) = 0.7979, times 1.0447 is 0.8336, tanh of that 0.6825, so 0.5 · 1 · 1.6825 = 0.8412

FEED-FORWARD
The digesting: each token alone goes through a linear layer from D to 4·D numbers, GELU, and a linear layer
back to D. Two thirds of a block's parameters are here.

THE BLOCK
    x ─┬─ norm1 ─ att ─ dropout ─ + ─┬─ norm2 ─ ff ─ dropout ─ + ─
       └───────────────────────────┘ └───────────────────────┘

Attention and feed-forward do not replace x; they add something to it. The way around them is called a shortcut,
or residual connection. Going back, an addition hands the gradient on unchanged, so it arrives at the first
block however deep the stack is. The norm stands *before* each part ("pre-norm") and outside the shortcut, so
the sum itself is never squeezed. The first transformer had it after the sum and was hard to train when deep.

While training, dropout sets some of the numbers to 0 that each part adds (never the shortcut itself).

WHAT IS NOT HERE
No stack and no output layer: they come in exercise 9.

Shapes: B batch, T tokens, D = emb_dim numbers per token.

NOT ALLOWED HERE
torch has all of this ready-made, and the exercise is to write it. LayerNorm should do without `layer_norm`, and
without `batch_norm`, `group_norm`, `instance_norm` and `rms_norm`, which come to the same once x is reshaped.
GELU and FeedForward should do without `gelu`. TransformerBlock should do without all of these, and without
`scaled_dot_product_attention`, `multi_head_attention` and `transformer_encoder_layer`: it is built of your own
parts. Modules that wrap them, such as `nn.LayerNorm`, count too. `nn.Linear`, `nn.Sequential` and `nn.Dropout`
are welcome.

Read on: Raschka, "Build a Large Language Model (From Scratch)", chapter 4. Ba, Kiros and Hinton 2016, "Layer
Normalization". Hendrycks and Gimpel 2016, "Gaussian Error Linear Units (GELUs)". He et al. 2015, "Deep Residual
Learning for Image Recognition". Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture".
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

    `scale` and `shift` are the only parameters, and both are trained.

    Source: Ba et al. 2016; Raschka, chapter 4.
    """

    def __init__(self, emb_dim: int) -> None:
        """Make scale, shift and eps."""
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over the last axis.

        Arguments
            x  float (…, D): one or more axes before the last, mostly (B, T, D)
        Returns
            the shape of x: scale · (x − mean) / √(variance + eps) + shift; float64 if module and x are float64

        Mean and variance are those of the last axis. The variance is divided by D ("biased"), and eps is added
        to it before the root. Equal numbers give `shift`, not NaN. Numbers near 3000 that differ by 1 are
        normalised as exactly as those near 0. For that, subtract the mean before you square: mean(x²) − mean(x)²
        is the same on paper, but in float32 two large numbers cancel and leave nothing but rounding.

        x is not changed; the gradient reaches x, scale and shift.

        Example: LayerNorm(4)(torch.tensor([[1.0, 3.0, 5.0, 7.0]])) is about [[−1.342, −0.447, 0.447, 1.342]].
        """
        raise NotImplementedError


class GELU(nn.Module):
    """GPT-2's activation: GELU, approximated by tanh. It has no parameters.

    Source: Hendrycks and Gimpel 2016, section 2; Raschka, chapter 4.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every number by itself.

        Arguments
            x  float, of any shape
        Returns
            the same shape and dtype: 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))

        x is not changed; the gradient reaches it. The constants are exact: no rounding of 0.044715 to 0.0447.

        Example: GELU()(torch.tensor([-1.0, 0.0, 1.0])) is about [−0.1588, 0, 0.8412].
        """
        raise NotImplementedError


class FeedForward(nn.Module):
    """A small network that every token goes through by itself.

    Arguments
        cfg  of it only emb_dim is needed, D

    The one attribute, `layers`, is an `nn.Sequential` (or an `nn.ModuleList`) of three, in this order, both linear
    layers with a bias:

        an `nn.Linear` from D to 4·D, your GELU, an `nn.Linear` from 4·D to D

    There is no dropout in it: the block does that.

    Source: Vaswani et al. 2017, section 3.3; Raschka, chapter 4.
    """

    def __init__(self, cfg: BlockConfig) -> None:
        """Make the three layers. How torch fills them at first is fine."""
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Through the three layers.

        Arguments
            x  float (…, D)
        Returns
            float (…, D)

        Example: for a cfg with emb_dim 6, `FeedForward(cfg)(torch.zeros(2, 7, 6))` has shape (2, 7, 6).
        """
        raise NotImplementedError


class TransformerBlock(nn.Module):
    """Attention, then feed-forward, each with a norm before it and a shortcut around it.

    Arguments
        cfg  emb_dim, context_length, n_heads, drop_rate and qkv_bias: see BlockConfig

    Attributes
        norm1          your LayerNorm, before the attention
        att            exercise 7's MultiHeadAttention, from D to D, with cfg's context_length, n_heads and
                       qkv_bias, and with drop_rate as the dropout of its weights
        norm2          another LayerNorm, with parameters of its own, before the feed-forward
        ff             your FeedForward
        drop_shortcut  an `nn.Dropout` with probability drop_rate, for what is added to the shortcut

    All parameters are in norm1, att, norm2 and ff.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2), section 2.3;
    Raschka, chapter 4.
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
            float (B, T, D), by two steps: x plus what norm1, att and drop_shortcut make of x; then that sum plus
            what norm2, ff and drop_shortcut make of that sum
        Raises
            ValueError: T is larger than context_length. MultiHeadAttention raises it; let it pass through.

        Dropout acts in training mode only, number by number, on what is added and not on the shortcut. x is
        not changed; the gradient reaches x and every parameter.

        Example: with all parameters of att and ff at 0 they add nothing, and what comes out is x.
        """
        raise NotImplementedError
