"""The GPT: all parts in one model.

WHY
Everything is there: ids become vectors (exercise 5), and a block lets vectors gather and digest (exercise 8).
What is left is to stack the blocks, and to turn the last vectors into a score for every token of the
vocabulary. Those scores say what the model expects next. This file is short, and at its end stands GPT-2.

HOW
    ids (B, T) ─ embedding ─ block ─ block ─ … ─ block ─ final norm ─ head ─ logits (B, T, V)

Position t gets V logits: the model's opinion of token t + 1, from tokens 0 … t and from nothing later. So one
pass over a text gives T predictions at once, and all of them can be compared with what really came.

Because every block adds to its input, the sums are large in the end. One more LayerNorm, the final norm, brings
them back to size. The head is a linear layer without a bias: D numbers in, V logits out. There is no softmax:
the loss has one of its own, and a softmax before it would be a second.

WEIGHT TYING
The embedding holds one vector of D numbers for each token. The head holds one too: a token's logit is the dot
product of the final vector with that token's row. Both are tables of V × D, and both say what a token means.
GPT-2 uses one table for both. *One* tensor: whatever changes it in one place has changed it in the other, and
its gradient is the sum of both uses. A copy would be equal at first and drift apart at the first step.

HOW THE WEIGHTS BEGIN
All weight matrices and tables begin as small random numbers, normally distributed with mean 0 and standard
deviation 0.02; biases as 0, the norms' scales as 1 and shifts as 0. There is one exception. Every block adds to
the shortcut twice, so with L blocks 2·L random terms pile up, and their sum grows like √(2·L). The two linear
layers whose results are added, `att.out_proj` and `ff.layers[2]`, begin with 0.02/√(2·L) instead. For L = 12
that is 0.02/4.899 = 0.00408. Then the sum has the same size for any L.

COUNTING
GPT-2 small has V = 50257, a context of 1024, D = 768 and 12 blocks, with biases for query, key and value.

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

Untied, the head adds another 38,597,376: 163,037,184. A norm has 2 · D (scale and shift); a linear layer from
a to b has a · b weights and b biases.

WHAT IS NOT HERE
The model can be built, but it has learned nothing yet. Writing text comes in exercise 10, training in 11 to 13,
OpenAI's weights in 14.

Shapes: B batch, T tokens, D = emb_dim, V = vocab_size, L = n_layers.

NOT ALLOWED HERE
GPTModel should be built of your own parts. So torch's `embedding`, `scaled_dot_product_attention`,
`multi_head_attention`, `transformer_encoder_layer`, `layer_norm`, `batch_norm`, `group_norm`, `instance_norm`,
`rms_norm` and `gelu` are not allowed in it, nor are the modules that wrap them, such as `nn.Embedding`.

Read on: Raschka, "Build a Large Language Model (From Scratch)", chapter 4. Radford et al. 2019, "Language Models
are Unsupervised Multitask Learners" (GPT-2), section 2.3. Press and Wolf 2017, "Using the Output Embedding to
Improve Language Models".
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

    It is frozen: changing a field of a finished config raises an error. `dataclasses.replace(cfg, n_layers=2)`
    makes another one.
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

        Raises
            ValueError: vocab_size, context_length, emb_dim, n_heads or n_layers is below 1. The message names
                the field and its value.
            ValueError: emb_dim cannot be divided by n_heads without a remainder. The message names both
                fields and both values.
            ValueError: drop_rate is below 0, or is 1 or above: nothing would be left. The message names the
                field and its value.

        It changes nothing and returns nothing. If several things are wrong, any one of them may be named.

        Example: GPTConfig(emb_dim=10, n_heads=4) raises a ValueError whose message has emb_dim, 10, n_heads
        and 4 in it.
        """
        raise NotImplementedError


class GPTModel(nn.Module):
    """A GPT: embedding, blocks, final norm, head.

    Arguments
        cfg           the sizes
        tie_weights   does the head use the token table?

    Attributes
        cfg         the config that was given; `init_weights` needs it, and so do later exercises
        embedding   exercise 5's GPTEmbedding, with drop_rate as its dropout
        trf_blocks  an `nn.Sequential` (or an `nn.ModuleList`) of n_layers TransformerBlocks, each with weights of
                    its own
        final_norm  a LayerNorm
        out_head    an `nn.Linear` from D to V without a bias. If the weights are tied, `out_head.weight` and
                    `embedding.tok_emb.weight` are one and the same Parameter. If not, they have nothing to do
                    with each other.

    These hold all parameters there are.

    Source: Radford et al. 2019; Raschka, chapter 4. Tying: Press and Wolf 2017.
    """

    def __init__(self, cfg: GPTConfig, tie_weights: bool = True) -> None:
        """Make the parts, tie the weights if asked to, and let `init_weights` fill them.

        All of it works on torch's meta device too, where tensors have a shape but no numbers: see the example
        of count_parameters. It does unless you ask a tensor for its values.
        """
        super().__init__()
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """From ids to logits: embedding, all blocks in order, final norm, head.

        Arguments
            ids  int64 (B, T), each 0 … V−1, T at most context_length
        Returns
            float (B, T, V): for each position the logits of the token that comes after it. No softmax.
        Raises
            ValueError: T is larger than context_length. The message names both. GPTEmbedding raises it; let it
                pass through.

        The modules decide by their mode whether anything is dropped: twice the same ids give the same logits
        in evaluation mode. The mode is not changed. ids are not changed; the gradient reaches every parameter.

        Example: `GPTModel(GPTConfig(vocab_size=23, context_length=9, emb_dim=12, n_heads=3, n_layers=2))` makes
        logits of shape (2, 7, 23) from ids of shape (2, 7).
        """
        raise NotImplementedError


def init_weights(model: GPTModel) -> None:
    """Set every parameter to what GPT-2 begins with, whatever it held before.

    Arguments
        model  a GPTModel; `model.cfg.n_layers` is L

    Weights are drawn from a normal distribution with mean 0, each number on its own:

        token and position table, all linear layers but the two below   standard deviation 0.02
        att.out_proj and ff.layers[2] of every block                    standard deviation 0.02/√(2·L)

    An untied head is one of the linear layers; a tied one is the token table, 0.02. All biases become 0, the
    scale of every LayerNorm 1 and its shift 0.

    It works in place: the parameters stay the same objects with other numbers in them, so what was tied stays
    tied, and each still requires a gradient. The numbers come from torch's global generator, so the same
    `torch.manual_seed` gives the same weights. In which order they are drawn is up to you.

    Returns nothing.

    Example: with 3 blocks, `model.trf_blocks[0].att.out_proj.weight.std()` is about 0.02/√6 = 0.0082.

    Source: Radford et al. 2019, section 2.3.
    """
    raise NotImplementedError


def count_parameters(model: nn.Module) -> int:
    """How many numbers a model's parameters hold.

    Arguments
        model  any module, not only a GPTModel
    Returns
        an int

    Every parameter counts, a frozen one (requires_grad=False) as well. One that is used in two places, as when
    weights are tied, counts once. Buffers, such as the mask of an attention, are no parameters and do not count.

    Example: GPT-2 small, without spending any memory on it:

        with torch.device("meta"):
            model = GPTModel(GPTConfig(qkv_bias=True))
        count_parameters(model)    124439808, and 163037184 with tie_weights=False
    """
    raise NotImplementedError
