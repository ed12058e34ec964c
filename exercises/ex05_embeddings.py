"""Embeddings: from token ids to vectors.

You need: indexing, cross-entropy and how an `nn.Module` holds its parameters (exercise 0), batches of ids
(exercise 4).

WHY
A token id is a name, not a quantity. Token 7 is not more than token 3, and token 5 does not lie between them.
But a network computes with quantities. So every token gets a vector of its own, its *embedding*, and training
decides its numbers. Tokens that are used alike end up with vectors that are alike.

HOW
All vectors are in one table of learned numbers, with one row for each token of the vocabulary. To embed a token
is to pick its row:

    vector of token i = row i of the table              ids (B, T)  →  vectors (B, T, D)

A table is an `nn.Parameter`: a tensor that belongs to the module and is trained. Backpropagation sends the
gradient of each vector to the row that it came from. A token that occurs three times sends three gradients to its
row, where they add up. A row that nobody picked gets a gradient of 0.

The same can be written as a product. Token i as a *one-hot* row, all zeros and a single 1 at position i, times the
table, is row i of the table. So the look-up is a linear layer without the multiplications by 0.

POSITIONS
Attention, which comes next, sees what the tokens are, but not where they are. "dog bites man" and "man bites dog"
would be the same to it. So each position gets a vector too, in a second table of context_length rows, learned like
the first. The two vectors are added:

    x[b, t] = token_table[ids[b, t]] + position_table[t]

Position 0 is the same row in every sequence b. A sequence of more than context_length tokens has to be refused,
because there are no rows for the rest.

A SMALL EXAMPLE
V = 3, D = 2, context_length = 4. The text is "day by day".

    token table                      ids           2          0          2
    0  by    1    0                                │          │          │
    1  in    0    2                  token rows   (3, 1)     (1, 0)     (3, 1)
    2  day   3    1                                  +          +          +
                                     the first    (0.1, 0.2) (0.3, 0.4) (0.5, 0.6)
    position table                   three rows      =          =          =
    0       0.1  0.2                 vectors      (3.1, 1.2) (1.3, 0.4) (3.5, 1.6)
    1       0.3  0.4
    2       0.5  0.6
    3       0.7  0.8                 (row 3 is not used)

"day" occurs twice and has two different vectors now: the model can tell the first from the second.

DROPOUT
While training, some numbers of the sum are set to 0 at random, each on its own, and the others are divided by
1 − probability, so that the size is right on average. Nothing is dropped in evaluation mode. `nn.Dropout` does
both.

A TABLE THAT WRITES
Make a row as wide as the vocabulary, and read its V numbers as logits: row i scores every token that may follow
token i. That is a *bigram model*, a language model made of one table. Train it with your cross-entropy, draw the
next token from the softmax of a row, go on from that token, and it writes. `python3 -m grader show ex05` does that.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", section 2.1 (why vectors), 2.7 (tokens) and 2.8 (positions);
the dropout comes in 4.6. There `nn.Embedding` does the look-up, and a sequence that is too long ends in an
IndexError of torch. The bigram model is not in the book.

NOT ALLOWED HERE
torch's own embedding, under any name, such as nn.Embedding, F.embedding and F.embedding_bag: the look-up *is* the
exercise.

TWO QUESTIONS (the answers are at the end of this file)
1. A token occurs only once in the text. How many of the training steps change its row in the token table?
2. GPT-2 small has 50,257 tokens, 1,024 positions, and D = 768. How many numbers are in its two tables, and what
   share of its 124 million is that?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex05` trains a bigram model made of your table, on a story, for a
thousand steps. Then it writes: the first text that your own code produces. It sees one token back and nothing else.
Predict first: will it write words? Sentences? Sense?

Shapes: B batch, T tokens, D the width of a vector, V the size of the vocabulary.
Read on: Bengio et al. 2003, "A Neural Probabilistic Language Model". Gehring et al. 2017, "Convolutional
Sequence to Sequence Learning", for learned positions.
"""

import torch
from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    """A table with one row for each token of the vocabulary.

    Arguments
        vocab_size  V, the number of rows
        emb_dim     D, the width of a row

    Attributes
        weight  `nn.Parameter`, float (V, D): the only parameter

    Source: Bengio et al. 2003; Raschka, section 2.7.
    """

    def __init__(self, vocab_size: int, emb_dim: int) -> None:
        """Make the table, with numbers drawn by `torch.randn`."""
        super().__init__()
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """Pick the row of every token.

        Arguments
            ids  int64 of any shape (…)
        Returns
            float (…, D), of the table's dtype: for ids (B, T), entry [b, t] is row ids[b, t]

        Example: with the lesson's table, [2, 0, 2] gives (3, 1), (1, 0), (3, 1).
        """
        raise NotImplementedError


class PositionalEmbedding(nn.Module):
    """A table with one row for each position in a sequence.

    Arguments
        context_length  the longest sequence that will come: the number of rows
        emb_dim         D, the width of a row

    Attributes
        weight  `nn.Parameter`, float (context_length, D): the only parameter

    Source: Gehring et al. 2017; Raschka, section 2.8.
    """

    def __init__(self, context_length: int, emb_dim: int) -> None:
        """Make the table, with numbers drawn by `torch.randn`."""
        super().__init__()
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of the positions 0 … T−1.

        Arguments
            ids  int64 (B, T); only T matters
        Returns
            float (T, D), of the table's dtype: its first T rows, without an axis for the batch

        Example: with the lesson's table, ids of shape (5, 2) give (0.1, 0.2), (0.3, 0.4).

        Fine print
            ValueError: T is larger than context_length. The message should name both numbers.
            If you make new tensors, for instance of positions, they should be on the device of ids.
        """
        raise NotImplementedError


class GPTEmbedding(nn.Module):
    """What a GPT begins with: token plus position, then dropout.

    Arguments
        vocab_size, context_length, emb_dim  as above
        dropout                              the probability with which a number of the sum is dropped

    Attributes
        tok_emb, pos_emb, drop_emb  a TokenEmbedding, a PositionalEmbedding, an `nn.Dropout`

    Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training".
    """

    def __init__(self, vocab_size: int, context_length: int, emb_dim: int, dropout: float) -> None:
        """Make the two tables and the dropout."""
        super().__init__()
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """Embed a batch of sequences.

        Arguments
            ids  int64 (B, T)
        Returns
            float (B, T, D): the row of each token plus the row of its position, after dropout

        Example: the one of the lesson, in evaluation mode.

        Fine print
            ValueError: T is larger than context_length, as above.
        """
        raise NotImplementedError


# ANSWERS
# 1. With plain gradient descent, only those whose batch holds the token as an input. In all others the gradient of
#    its row is 0. That is why rare tokens are learned badly, and one reason why a vocabulary of whole words is a
#    bad idea.
# 2. 50,257 · 768 + 1,024 · 768 = 38,597,376 + 786,432 = 39,383,808: nearly a third.
