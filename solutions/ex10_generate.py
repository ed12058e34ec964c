"""Generating text: one token at a time.

You need: softmax (exercise 0), evaluation mode (6), and a model that turns ids into logits (9).

WHY
From the ids so far, a GPT gives each token of the vocabulary a score for being the next one, its *logit*. To
get text, choose a token, append it, and ask again. A model that continues its own output is *autoregressive*.
How you choose decides whether the text is dull, lively or confused.

THE LOOP
    ids ─► model ─► logits (B, T, V) ─► last position (B, V) ─► choose ─► append
     ▲                                                                      │
     └─────────────────────── once for each new token ──────────────────────┘

The logits of position t are about token t + 1. So only those of the last position are needed: the others are about
tokens that are already there. A model has room for context_length ids. When the text gets longer, the model sees
only the last ones, but the text keeps everything.

INFERENCE
Using a model without training it is called *inference*. Dropout should be off, or the same prompt would give other
logits each time, so the model goes into evaluation mode. Nobody calls `backward`, so no graph is needed. And since
a sample is often taken in the middle of training, the model goes back into its former mode afterwards.

HOW TO CHOOSE
Greedy: always take the likeliest token. The same prompt then gives the same text each time, and it tends to go
round in circles. Sampling: draw at random, each token with its probability. That is lively, but of 50,000 tokens
nearly all are unfit. Each of them is unlikely, yet there are so many that one is drawn often. Three knobs help.

TEMPERATURE
The logits are divided by it. For example, let the logits be the logarithms of 0.5, 0.3, 0.15 and 0.05:

    temperature 0.5          temperature 1         temperature 2
    0.685  ##############    0.5   ##########      0.379  ########
    0.247  #####             0.3   ######          0.294  ######
    0.062  #                 0.15  ###             0.208  ####
    0.007                    0.05  #               0.120  ##

Below 1 the likeliest token gains, and towards 0 it takes everything. Division by 0 is impossible, so temperature 0
means greedy. Above 1 the tokens come closer together.

TOP-K AND TOP-P
top-k keeps the k likeliest tokens. top-p adds up the probabilities from the largest down, and cuts where the sum
reaches p. So it keeps few tokens where the model is sure, and many where it is not. What it keeps is called the
*nucleus*. With p = 0.6:

    token              sum
    0.5   ##########   0.5     does not reach 0.6 yet
    0.3   ######       0.8     reaches it, and stays
    ------------------------   the cut: what is below gets a logit of −∞
    0.15  ###          0.95
    0.05  #            1.0

A logit of −∞ gives a probability of exactly 0, and a softmax shares out the rest: 0.625 and 0.375. A logit of 0
would not do, because e⁰ is 1, an ordinary score.

A SMALL EXAMPLE
The order is temperature, top-k, top-p. With temperature 2, k = 3 and p = 0.7:

    temperature 2   0.379  0.294  0.208  0.120
    top-k 3         0.431  0.334  0.236  0            0.431 + 0.334 reaches 0.7
    top-p 0.7       0.564  0.436  0      0

If top-p came before top-k, three tokens would be left, because 0.379 + 0.294 does not reach 0.7.

WHEN IT ENDS
After max_new_tokens tokens, or as soon as every row has produced the token for "the text ends here" (eos, end of
sequence), if there is one. The rows of a tensor are equally long, so a row that has ended is filled up with eos
while the others go on.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", sections 4.7 for `generate_text_simple` and 5.3 for
temperature, top-k and `generate`. There the caller sets the mode, top-k comes before the temperature (see question
1), and eos ends a batch of one row. Here a batch may have many. The book has no top-p.

TWO QUESTIONS (the answers are at the end of this file)
1. If temperature and top-k change places, does anything change? And temperature and top-p?
2. A model with a context of 4 ids writes greedily. Its last 4 ids occurred earlier in the text, in the same order.
   How does the text go on?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex10` lets you choose the word after "The ferry comes in the", at the
temperatures 0.5, 1 and 2. Predict first: at which of them does the likeliest word lose most? And where has the
second likeliest word its highest probability?

Shapes: B batch, T tokens, V size of the vocabulary.
Read on: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration" (top-p, and why greedy text goes in
circles). Fan et al. 2018, "Hierarchical Neural Story Generation" (top-k).
"""

import torch
from torch import Tensor, nn


def greedy(logits: Tensor) -> Tensor:
    """The likeliest token.

    Arguments
        logits  float (…, V): any number of axes before the last, also none
    Returns
        int64 (…): for each row, the id of its largest logit

    No softmax is needed: it does not change which logit is the largest.

    Example: greedy(torch.tensor([[0.1, 2.0, -1.0], [5.0, 4.0, 3.0]])) is tensor([1, 0]).

    Source: Raschka, section 4.7.
    """
    return logits.argmax(dim=-1)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Make likely tokens likelier (below 1), or bring all closer together (above 1).

    Arguments
        logits       float (…, V)
        temperature  above 0
    Returns
        float (…, V): logits / temperature

    Example: apply_temperature(torch.tensor([2.0, 1.0, -4.0]), 0.5) is tensor([4.0, 2.0, -8.0]).

    Fine print
        ValueError: temperature is 0 or below. The message should name it.

    Source: Raschka, section 5.3.1.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    return logits / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """The k largest logits of each row stay exactly as they are, and the others become −∞.

    Arguments
        logits  float (…, V): any number of axes before the last, also none
        k       how many to keep, at least 1
    Returns
        float (…, V)

    What equals the k-th largest stays too, so more than k may be left.

    Examples
        keep_top_k(torch.tensor([1.0, 4.0, 2.0, 3.0]), 2) is tensor([-inf, 4.0, -inf, 3.0])
        keep_top_k(torch.tensor([1.0, 4.0, 3.0, 3.0]), 2) is tensor([-inf, 4.0, 3.0, 3.0])

    Fine print
        With k = V or more, everything stays. Repetitions count: in [3, 3, 2, 1] the second largest is 3.
        ValueError: k is below 1. The message should name it.

    Source: Fan et al. 2018; Raschka, section 5.3.2.
    """
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    smallest_kept = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """The likeliest tokens of each row stay exactly as they are until they reach p, and the others become −∞.

    Arguments
        logits  float (…, V): any number of axes before the last, also none
        p       above 0, at most 1
    Returns
        float (…, V)

    The probabilities are the softmax of the row. Add them up from the largest down: a token stays if those before
    it do not reach p yet. So the likeliest one always stays.

    Examples: the logarithms of [0.15, 0.5, 0.05, 0.3]
        p = 0.6:  those of 0.5 and 0.3 stay
        p = 0.4:  that of 0.5 stays
        p = 0.9:  all but that of 0.05 stay

    Fine print
        p = 1 changes nothing. Treat it by itself: probabilities are rounded, and their sum may reach 1 before the
        last token. Logits of any size should give no NaN, and neither should −∞.
        ValueError: p is 0 or below, or above 1. The message should name it.

    Source: Holtzman et al. 2020, section 3.1.
    """
    if not 0 < p <= 1:
        raise ValueError(f"p is {p}; it must be above 0 and at most 1")
    if p == 1:
        return logits.clone()
    ordered, places = logits.sort(dim=-1, descending=True)
    probabilities = torch.softmax(ordered, dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # what is reached without this token
    dropped = torch.zeros_like(places, dtype=torch.bool).scatter(-1, places, before >= p)  # each at its old place
    return logits.masked_fill(dropped, -torch.inf)


def generate_text_simple(model: nn.Module, ids: Tensor, max_new_tokens: int, context_length: int) -> Tensor:
    """Continue a batch of texts, always with the likeliest token.

    Arguments
        model           a module that turns ids (B, T) into logits (B, T, V)
        ids             int64 (B, T): the prompts
        max_new_tokens  how many tokens to append
        context_length  how many ids the model sees at most
    Returns
        int64 (B, T + max_new_tokens): the whole prompts and the new tokens

    Call the model once for each new token, in evaluation mode and within `torch.no_grad()`. Afterwards it should be
    in its former mode.

    Example: if the likeliest token is always 1, the prompts [[5, 7], [1, 2]] and 3 new tokens give
    [[5, 7, 1, 1, 1], [1, 2, 1, 1, 1]].

    Fine print
        An error of the model should be passed on, with the model back in its former mode.

    Source: Raschka, section 4.7.
    """
    was_training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])
            ids = torch.cat([ids, greedy(logits[:, -1])[:, None]], dim=1)
    finally:
        model.train(was_training)
    return ids


def generate(
    model: nn.Module,
    ids: Tensor,
    max_new_tokens: int,
    context_length: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Continue a batch of texts, with knobs and an end.

    Arguments, beyond those of generate_text_simple
        temperature   0: greedy; above 0: sampling
        top_k, top_p  for sampling; None: no filter
        eos_id        the token that ends a text, or None
        generator     of random numbers; None: torch's global one
    Returns
        int64 (B, T + n), n at most max_new_tokens

    To sample: apply_temperature, keep_top_k, keep_top_p, softmax, then
    `torch.multinomial(probabilities, num_samples=1, generator=generator)`.
    After its eos_id, a row gets only eos_id. Stop when all rows have produced it.

    Example: with eos_id=1, the example of generate_text_simple gives [[5, 7, 1], [1, 2, 1]].

    Fine print
        One draw for all rows together, ended ones too, and no other: then the same seed gives the same text. At
        temperature 0 nothing is drawn, and top_k and top_p play no part.
        An eos_id in the prompt does not count. The one that ends a row is appended like any token. It may be 0.
        ValueError: while sampling, temperature, top_k or top_p is out of range. Their functions raise it; let it
        pass through. top_k=0 does not mean None.
        The result is on the device of ids. What the model sees, how often it is called, mode, graph and errors are
        as in generate_text_simple.

    Source: Raschka, section 5.3; Holtzman et al. 2020.
    """
    was_training = model.training
    model.eval()
    ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    try:
        for _ in range(max_new_tokens):
            with torch.no_grad():
                logits = model(ids[:, -context_length:])[:, -1]
            new_ids = _choose(logits, temperature, top_k, top_p, generator)
            if eos_id is not None:
                new_ids = new_ids.masked_fill(ended, eos_id)
                ended = ended | (new_ids == eos_id)
            ids = torch.cat([ids, new_ids[:, None]], dim=1)
            if ended.all():
                break
    finally:
        model.train(was_training)
    return ids


def _choose(
    logits: Tensor, temperature: float, k: int | None, p: float | None, generator: torch.Generator | None
) -> Tensor:
    """From the logits (B, V) of the last position, one new id for each row: int64 (B,)."""
    if temperature == 0:
        return greedy(logits)
    logits = apply_temperature(logits, temperature)
    if k is not None:
        logits = keep_top_k(logits, k)
    if p is not None:
        logits = keep_top_p(logits, p)
    return torch.multinomial(torch.softmax(logits, dim=-1), num_samples=1, generator=generator)[:, 0]


# ANSWERS
# 1. With top-k nothing changes, because division by a positive number leaves the order of the logits as it is.
#    With top-p it does: the temperature changes the probabilities that top-p adds up.
# 2. It sees the same 4 ids, so it takes the same token as then, sees the same 4 ids as after that, and so on: it
#    repeats itself for ever. Sampling can find a way out, because it does not always take the same token.
