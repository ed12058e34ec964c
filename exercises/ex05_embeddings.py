"""Embeddings: from token ids to vectors.

WHY
A token id is a name, not a quantity. Token 7 is not more than token 3, and token 5 does not lie between
them. But a network computes with quantities. So every token gets a vector of its own, and training decides
what stands in it. Tokens that are used alike end up with vectors that are alike.

HOW
All vectors stand in one table of learned numbers, one row for each token of the vocabulary. To embed a
token is to look up its row:

    vector of token i = row i of the table              ids (B, T)  →  vectors (B, T, D)

The same can be written as a product. Token i as a *one-hot* row, all zeros and a single 1 at place i, times
the table, is row i of the table. So the lookup is a linear layer without the multiplications by 0. That is
why it can learn: the gradient of a vector goes to the row that it came from. A token that occurs three times
sends three gradients to its row, where they add up. A row that was not asked for gets a gradient of 0.

POSITIONS
Attention, which comes next, looks at what the tokens are, not at where they stand. "dog bites man" and "man
bites dog" would be the same to it. So each place gets a vector too: a second table, with one row for each
place, 0 to context_length − 1. It is learned like the first. The two vectors are added:

    x[b, t] = token_table[ids[b, t]] + position_table[t]

Sequence b of the batch plays no part in the second term: place 0 is place 0 in every sequence. The table has
context_length rows and no more, so a longer sequence has to be refused.

A SMALL EXAMPLE
D = 2. The token table has rows (1, 0), (0, 2), (3, 1) for tokens 0, 1, 2. The position table has rows
(0.1, 0.2), (0.3, 0.4), (0.5, 0.6), (0.7, 0.8) for places 0 to 3. The ids are 2, 0, 2.

    tokens      (3, 1)      (1, 0)      (3, 1)
    positions   (0.1, 0.2)  (0.3, 0.4)  (0.5, 0.6)
    sum         (3.1, 1.2)  (1.3, 0.4)  (3.5, 1.6)

Token 2 occurs twice and has two different vectors now: the model can tell the first from the second. There
are three tokens, so the row of place 3 is not used.

DROPOUT
While training, some numbers of the *sum* are set to 0 at random, and the others are divided by
1 − probability, so that the size stays right on average. Each number has its own luck. Nothing is dropped in
evaluation mode. `nn.Dropout` does all of it.

WHAT IS NOT HERE
The first transformer had no position table: it added fixed waves, sines and cosines of different lengths.
Newer models turn the queries and keys instead; you will write that in a later exercise. GPT-2 learns its
positions, as you do here. A table is an `nn.Parameter`: a tensor that the module counts among what is trained.

NOT ALLOWED HERE
torch's own embedding, under any name, such as nn.Embedding, F.embedding and F.embedding_bag: the lookup *is* the
exercise.

Shapes: B batch, T tokens, D the width of a vector, V the size of the vocabulary.
Read on: Bengio et al. 2003, "A Neural Probabilistic Language Model". Gehring et al. 2017, "Convolutional
Sequence to Sequence Learning", for learned positions. Radford et al. 2018, "Improving Language Understanding
by Generative Pre-Training". Raschka, "Build a Large Language Model (From Scratch)", chapter 2.
"""

import torch
from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    """A table with one row for each token of the vocabulary.

    Arguments
        vocab_size  V, the number of rows
        emb_dim     D, the width of a row

    Attributes
        weight  `nn.Parameter`, float (V, D): the table, and the only parameter. Row i belongs to token i.

    Source: Bengio et al. 2003; Raschka, chapter 2.
    """

    def __init__(self, vocab_size: int, emb_dim: int) -> None:
        """Make the table. Its numbers are drawn by `torch.randn`: normal, mean 0, standard deviation 1."""
        super().__init__()
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """Look up the row of every token.

        Arguments
            ids  int64 of any shape (…), also of shape (), a single id; each 0 … V−1
        Returns
            float (…, D), with dtype and device of the table: the shape of ids with one more axis at the end.
            Entry [b, t] is row ids[b, t] of the table, unscaled.

        ids and the table are not changed. The gradient reaches the table: a token that occurs several times
        has the sum of their gradients in its row, a token that does not occur has zeros.

        Example: with a table of rows (1, 0), (0, 2), (3, 1) the ids [2, 0, 2] give (3, 1), (1, 0), (3, 1).
        """
        raise NotImplementedError


class PositionalEmbedding(nn.Module):
    """A table with one row for each place in a sequence.

    Arguments
        context_length  the longest sequence that will come: the number of rows
        emb_dim         D, the width of a row

    Attributes
        weight  `nn.Parameter`, float (context_length, D): the table, and the only parameter. Row t belongs to
                place t, counted from 0.

    Source: Gehring et al. 2017; Raschka, chapter 2.
    """

    def __init__(self, context_length: int, emb_dim: int) -> None:
        """Make the table. Its numbers are drawn by `torch.randn`: normal, mean 0, standard deviation 1."""
        super().__init__()
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of the places 0 … T−1.

        Arguments
            ids  int64 (B, T), T from 1 to context_length. Only T and the device matter, neither what the ids
                 are nor how many sequences there are: B may be larger than context_length.
        Returns
            float (T, D), of the dtype of the table: its first T rows, the same for every sequence, so there is
            no axis for the batch. On the device of ids, where the table is as well: if you make positions,
            make them there.
        Raises
            ValueError: T is larger than context_length. The message names both numbers.

        ids and the table are not changed; the gradient reaches the table. The result may share memory with the
        table, or be a copy.

        Example: with a table of rows (0.1, 0.2), (0.3, 0.4), (0.5, 0.6) any ids of shape (4, 2) give
        (0.1, 0.2), (0.3, 0.4).
        """
        raise NotImplementedError


class GPTEmbedding(nn.Module):
    """What a GPT begins with: token plus position, then dropout.

    Arguments
        vocab_size      V, the number of tokens
        context_length  the longest sequence that will come
        emb_dim         D, the width of all vectors
        dropout         the probability with which a number of the sum is dropped in training mode

    Attributes
        tok_emb   a TokenEmbedding
        pos_emb   a PositionalEmbedding; these two hold all the parameters
        drop_emb  an `nn.Dropout`

    Source: Radford et al. 2018; Raschka, chapter 2, and chapter 4 for the dropout.
    """

    def __init__(self, vocab_size: int, context_length: int, emb_dim: int, dropout: float) -> None:
        """Make the two tables and the dropout."""
        super().__init__()
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """Embed a batch of sequences.

        Arguments
            ids  int64 (B, T), T from 1 to context_length; each id 0 … V−1
        Returns
            float (B, T, D), with dtype and device of the tables. Entry [b, t] is the row of token ids[b, t] plus
            the row of place t. In training mode each number of this sum is set to 0 on its own, with the
            probability given, and what is kept is divided by 1 − probability; in evaluation mode the sum stays
            as it is.
        Raises
            ValueError: T is larger than context_length. The message names both numbers.

        ids and the tables are not changed; gradients reach both tables.

        Example: the one of the lesson above gives (3.1, 1.2), (1.3, 0.4), (3.5, 1.6) in evaluation mode.
        """
        raise NotImplementedError
