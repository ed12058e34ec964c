"""The GPT: all parts in one model.

You need: the embedding (exercise 5), the block (exercise 8), and `nn.Sequential`.

WHY
All parts are there. What is left is to stack the blocks, and to turn the last vectors into a score for every
token of the vocabulary. Those scores say what the model expects next. This file is short, and at the end of it
you have GPT-2.

HOW
       ids         (B, T)
        │
    embedding      row of the token table + row of the position table
        │          (B, T, D)
        ├── norm1 ── attention ───────┐
        + ◄───────────────────────────┘    block 1 reads from the line
        ├── norm2 ── feed-forward ────┐    on the left, and adds to it
        + ◄───────────────────────────┘
        │          (B, T, D)
        :                                  blocks 2 … L
        │          (B, T, D)
    final norm
        │          (B, T, D)
       head        a linear layer from D to V, without a bias
        │
      logits       (B, T, V)

The line on the left is the *residual stream*: D numbers for each token, from the embedding to the final norm.
Blocks read from it and add to it; none replaces it. So its numbers grow from block to block, and the final norm
brings them back to size. There is no softmax at the end: the loss has one of its own.

Position t gets V logits: the model's opinion of token t + 1, from tokens 0 … t and from nothing later. One pass
over a text gives T predictions at once, and training uses them all. To write, the model predicts the next token,
appends it, and reads the longer text. A model that goes on from its own output is called *autoregressive*.

WEIGHT TYING
The embedding holds a vector of D numbers for each token, and so does the head: a token's logit is the dot product
of the final vector with that token's row. Both tables are V × D, and both say what a token means. GPT-2 uses one
table for both. *One* tensor: whatever changes it in one place has changed it in the other, and its gradient is the
sum of both uses. A copy would be equal at first and drift apart at the first step.

HOW THE WEIGHTS BEGIN
Weights begin as random numbers with mean 0 and standard deviation 0.02, biases and shifts as 0, the scales of the
norms as 1. There is one exception. Each of L blocks adds to the stream twice, and a sum of 2·L random terms grows
like √(2·L). So the two linear layers whose results are added, `att.out_proj` and `ff.layers[2]`, begin with
0.02/√(2·L). For L = 12 that is 0.02/4.899 = 0.00408.

A SMALL EXAMPLE
How large is GPT-2 small? V = 50257, the context is 1024, D = 768, there are 12 blocks, and query, key and value
have biases. A linear layer from a to b has a · b weights and b biases; a norm has 2 · D numbers.

    token table         50257 · 768                          38,597,376
    position table       1024 · 768                             786,432
    a block: attention      4 · (768² + 768)      2,362,368
             feed-forward   8 · 768² + 5 · 768    4,722,432
             two norms      4 · 768                   3,072
                                                  7,087,872
    12 blocks                                                85,054,464
    final norm              2 · 768                               1,536
    head                tied to the token table                       0
                                                            124,439,808

Untied, the head adds another 38,597,376: 163,037,184.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", sections 4.1 (the plan) and 4.6 (the model). There the sizes
are a dictionary, and a wrong one is noticed late. The head is not tied, and the weights stay as torch makes them.
Here both are as in GPT-2. The book counts 163,009,536 parameters, and 124,412,160 if they were tied: it leaves out
the biases for query, key and value, which are 27,648.

NOT ALLOWED HERE
GPTModel should be built of your own parts. So torch's `embedding`, `scaled_dot_product_attention`,
`multi_head_attention`, `transformer_encoder_layer`, `layer_norm`, `batch_norm`, `group_norm`, `instance_norm`,
`rms_norm` and `gelu` are not allowed in it, nor is what else of torch computes them, nor are the modules that wrap
them, such as `nn.Embedding`.

TWO QUESTIONS (the answers are at the end of this file)
1. What does a model gain more parameters by: twice as many blocks, or vectors twice as wide?
2. Training uses the logits of all T positions. Why does writing need only those of the last one?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex09` counts the parts of GPT-2 small and of a larger one, and lets a
new model write. Predict first, without a pencil: which part of GPT-2 small holds the most parameters, the token
table, all attention together, or all feed-forward? Then count a model of your own:
`python3 -m grader show ex09 "n_layers=24 emb_dim=1024 n_heads=16"`.

Shapes: B batch, T tokens, D = emb_dim, V = vocab_size, L = n_layers.
Read on: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2), section 2.3. Press and
Wolf 2017, "Using the Output Embedding to Improve Language Models".
"""

from dataclasses import dataclass

from torch import Tensor, nn

from .ex05_embeddings import GPTEmbedding
from .ex08_block import LayerNorm, TransformerBlock


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a GPT. The defaults are GPT-2 small's, except that GPT-2 itself has qkv_bias=True.

    vocab_size      V, how many tokens there are
    context_length  the longest sequence that the model can take
    emb_dim         D, the width of a token's vector
    n_heads         attention heads per block
    n_layers        L, the number of blocks
    drop_rate       the probability with which dropout drops a number while training
    qkv_bias        do the projections to query, key and value have a bias?

    Fine print
        It is frozen: a finished config cannot be changed. `dataclasses.replace(cfg, n_layers=2)` makes another one.
    """

    vocab_size: int = 50257
    context_length: int = 1024
    emb_dim: int = 768
    n_heads: int = 12
    n_layers: int = 12
    drop_rate: float = 0.1
    qkv_bias: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that no model can have. A dataclass calls this as soon as its fields are set.

        It should raise a ValueError if one of the five sizes is below 1, if emb_dim cannot be divided by n_heads
        without a remainder, or if drop_rate is below 0, or 1 or above. The message should name the fields
        concerned and their values.

        Example: GPTConfig(emb_dim=10, n_heads=4) raises a ValueError whose message has emb_dim, 10, n_heads
        and 4 in it.
        """
        raise NotImplementedError


class GPTModel(nn.Module):
    """A GPT: embedding, blocks, final norm, head, and no other parameters.

    Arguments
        cfg           the sizes
        tie_weights   does the head use the token table?

    Attributes
        cfg         the config that was given
        embedding   exercise 5's GPTEmbedding, with drop_rate as its dropout
        trf_blocks  an `nn.Sequential` (or `nn.ModuleList`) of n_layers TransformerBlocks, each with its own weights
        final_norm  a LayerNorm
        out_head    an `nn.Linear` from D to V without a bias. If the weights are tied, `out_head.weight` is the
                    same Parameter as `embedding.tok_emb.weight`.

    Source: Radford et al. 2019; Raschka, section 4.6. Tying: Press and Wolf 2017.
    """

    def __init__(self, cfg: GPTConfig, tie_weights: bool = True) -> None:
        """Make the parts, tie the weights if asked to, and let `init_weights` fill them.

        Fine print
            It should work on torch's meta device too, where tensors have a shape but no numbers. It does unless
            you ask a tensor for its values.
        """
        super().__init__()
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """From ids to logits: embedding, all blocks in order, final norm, head.

        Arguments
            ids  int64 (B, T), each 0 … V−1, T at most context_length
        Returns
            float (B, T, V): for each position the logits of the token that comes after it. No softmax.

        Example: `GPTModel(GPTConfig(vocab_size=23, context_length=9, emb_dim=12, n_heads=3, n_layers=2))` makes
        logits of shape (2, 7, 23) from ids of shape (2, 7).

        Fine print
            ValueError: T is larger than context_length. GPTEmbedding raises it; let it pass through.
            Whether anything is dropped is for the modules and their mode to decide. Leave the mode as it is.
        """
        raise NotImplementedError


def init_weights(model: GPTModel) -> None:
    """Set every parameter to what GPT-2 begins with, whatever it held before. Returns nothing.

    Arguments
        model  a GPTModel; `model.cfg.n_layers` is L

    All weights, of tables and linear layers, should be drawn from a normal distribution with mean 0 and standard
    deviation 0.02; those of `att.out_proj` and `ff.layers[2]` in every block with 0.02/√(2·L). Biases and
    shifts become 0, the scales of the norms 1.

    Example: with 3 blocks, `model.trf_blocks[0].att.out_proj.weight.std()` is about 0.02/√6 = 0.0082.

    Fine print
        It works in place: the parameters stay the same objects, so what was tied stays tied, and each still
        requires a gradient. The numbers should come from torch's global generator, as `nn.init` takes them.

    Source: Radford et al. 2019, section 2.3.
    """
    raise NotImplementedError


def count_parameters(model: nn.Module) -> int:
    """How many numbers a model's parameters hold.

    Arguments
        model  any module, not only a GPTModel
    Returns
        an int

    A parameter that is used in two places, as when weights are tied, counts once.

    Example: GPT-2 small, without spending any memory on it:

        with torch.device("meta"):
            model = GPTModel(GPTConfig(qkv_bias=True))
        count_parameters(model)    124439808, and 163037184 with tie_weights=False

    Fine print
        A frozen parameter (requires_grad=False) counts as well. Buffers, such as the mask of an attention, do not.
    """
    raise NotImplementedError


# ANSWERS
# 1. By wider vectors. Twice as many blocks are twice as many parameters in blocks. The matrices in a block are
#    D × D or D × 4·D, so twice as wide is four times as many there, and the two tables become twice as large.
# 2. In training every next token is known, so each position is a prediction that can be compared. When writing,
#    all tokens but the next one are there already, and only the last position predicts that one.
