"""Generating text: one token at a time.

WHY
A GPT does one thing: from the ids so far it gives every token of the vocabulary a score, its logit, for being
the next one. To make text of that, choose a token, append it, and ask again. What remains open is how to
choose, and that decides whether the text is dull, lively or confused.

THE LOOP
    ids ─► model ─► logits (B, T, V) ─► those of the last position (B, V) ─► choose ─► append ─► again

The logits of position t are about token t + 1. So only the last position says anything new; the others speak
of tokens that are there already. A model has room for context_length ids. When the text gets longer, it sees
only the last ones. The text itself keeps everything.

HOW TO CHOOSE
Greedy: always take the most likely token. The same prompt then gives the same text each time, and it tends
to go round in circles. Sampling: draw at random, each token with its probability. That is lively, but of
50,000 tokens nearly all are unfit; each is unlikely, together they are drawn often. Three knobs help.

    temperature   logits / temperature. Below 1 what is likely becomes likelier still; above 1 all draw nearer
                  to each other. Towards 0 it becomes greedy, so 0 itself, which cannot divide, means greedy.
    top-k         only the k most likely tokens stay.
    top-p         the most likely tokens stay, as many as it takes until their probabilities together reach p:
                  few where the model is sure, many where it is not. Also called nucleus sampling.

A token that may not be chosen gets a logit of −∞. After the softmax it has a probability of exactly 0, and
what is left sums to 1 by itself. A logit of 0 would not do: e⁰ is 1, an ordinary score.

A SMALL EXAMPLE
Four tokens with the logits −0.693, −1.204, −1.897, −2.996: the logarithms of 0.5, 0.3, 0.15, 0.05.

    temperature 0.5   0.685  0.247  0.062  0.007
    temperature 2     0.379  0.294  0.208  0.120
    top-k 2           0.625  0.375  0      0
    top-p 0.6         0.625  0.375  0      0          0.5 does not reach 0.6, 0.5 + 0.3 does
    top-p 0.4         1      0      0      0          0.5 reaches 0.4 by itself

THE ORDER MATTERS
First the temperature, then top-k, then top-p. With temperature 2, k = 3 and p = 0.7:

    temperature 2   0.379  0.294  0.208  0.120
    top-k 3         0.431  0.334  0.236  0            0.431 + 0.334 reaches 0.7
    top-p 0.7       0.564  0.436  0      0

Had top-p come before top-k, three tokens would be left, because 0.379 + 0.294 does not reach 0.7.

WHEN IT ENDS
After max_new_tokens tokens. Or, when the vocabulary has a token that says "the text ends here" (eos, end of
sequence), as soon as every row has produced it. Rows end at different times, but a tensor has rows of equal
length. So a row that has ended is filled up with that token while the others go on.

A GUEST CLEANS UP
Generating is not learning. Dropout has to be off (evaluation mode), or the model's opinion would change from
call to call. torch need not record a graph. And since a sample is often taken in the middle of training, the
model has to be handed back in the mode in which it came.

WHAT IS NOT HERE
Each token costs a pass over the whole text so far. A later exercise keeps what does not change from one
pass to the next. Beam search, penalties for repetition and other filters are left out.

Shapes: B batch, T tokens, V size of the vocabulary.
Read on: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration" (top-p, and why greedy text goes
in circles). Fan et al. 2018, "Hierarchical Neural Story Generation" (top-k). Raschka, "Build a Large Language
Model (From Scratch)", chapters 4 (the loop) and 5 (temperature, top-k).
"""

import torch
from torch import Tensor, nn


def greedy(logits: Tensor) -> Tensor:
    """The most likely token.

    Arguments
        logits  float (…, V): any number of axes before the last, also none. The largest logit of a row stands
                there only once. They may be of any size, and some may be −∞.
    Returns
        int64 (…), on the device of the logits: for each row, the id of its largest logit

    No softmax is needed: it changes the numbers, but not which one is the largest.

    Example: greedy(torch.tensor([[0.1, 2.0, −1.0], [5.0, 4.0, 3.0]])) is [1, 0].

    Source: Raschka, chapter 4.
    """
    return logits.argmax(dim=-1)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Make the likely tokens likelier (temperature below 1) or less so (above 1).

    Arguments
        logits       float (…, V). Some may be −∞, and stay so.
        temperature  above 0; a whole number will do as well
    Returns
        logits / temperature, of the same shape and dtype. `logits` itself is not changed.
    Raises
        ValueError: temperature is 0 or below. The message names it.

    Example: [2.0, 1.0, −4.0] becomes [4.0, 2.0, −8.0] at temperature 0.5.

    Source: Raschka, chapter 5.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    return logits / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Only the k largest logits of each row stay; the others become −∞.

    Arguments
        logits  float (…, V): any number of axes before the last, also none. Values may be equal, or −∞.
        k       at least 1; it may be larger than V
    Returns
        the same shape and dtype. What stays, stays exactly as it was. `logits` itself is not changed.
    Raises
        ValueError: k is below 1. The message names it.

    What is equal to the k-th largest stays too, so that more than k may be left. The k-th largest is counted
    with repetitions: in [3, 3, 2, 1] the second largest is 3. With k = V or more, everything stays.

    Examples
        k = 2:  [1.0, 4.0, 2.0, 3.0]  becomes  [−∞, 4.0, −∞, 3.0]
        k = 2:  [1.0, 4.0, 3.0, 3.0]  becomes  [−∞, 4.0, 3.0, 3.0]
        k = 9:  [1.0, 4.0, 3.0, 3.0]  stays as it is

    Source: Fan et al. 2018; Raschka, chapter 5.
    """
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    smallest_kept = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """The most likely tokens of each row stay until they reach a probability of p; the others become −∞.

    Arguments
        logits  float (…, V): any number of axes before the last, also none, in any order. A row may hold −∞
                several times, any other value only once.
        p       above 0, at most 1
    Returns
        the same shape and dtype. What stays, stays exactly as it was. `logits` itself is not changed.
    Raises
        ValueError: p is 0 or below, or above 1. The message names it.

    The probabilities are the softmax of the row, and taken from the largest down: a token stays if those before
    it do not reach p yet. So the token that crosses p stays as well, and the most likely one always does. Logits
    of ±2000 are no reason for an overflow.

    p = 1 changes nothing. Treat it by itself: probabilities are rounded, and their sum may reach 1 before the
    last token.

    Examples: the logarithms of [0.15, 0.5, 0.05, 0.3]
        p = 0.6:  those of 0.5 and 0.3 stay
        p = 0.4:  that of 0.5 stays
        p = 0.9:  all but that of 0.05 stay

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
    """Go on with a batch of texts.

    Arguments
        model           any module: called as model(ids) with int64 (B, T), it returns logits float (B, T, V)
        ids             int64 (B, T), T at least 1: the prompts, all of the same length. Not changed.
        max_new_tokens  how many tokens to append at most, 0 or more
        context_length  how many ids the model can see, at least 1
        temperature     0 means greedy; above 0, sampling
        top_k, top_p    for sampling only, as for the functions above; None leaves that filter out
        eos_id          the token that ends a text; None if there is none. 0 is an id like any other.
        generator       where sampling takes its random numbers from; None means torch's global generator
    Returns
        int64 (B, T + n), on the device of ids: the whole prompts, however long, and the n new tokens of each
        row. n is max_new_tokens, or less if every row ended earlier.
    Raises
        ValueError: while sampling, temperature, top_k or top_p is out of the range of the functions above, and
        with their message. `top_k=0` is out of range; it does not mean None.
        Whatever the model raises is passed on.

    For each new token, in this order:

        1  Call the model, once, with the last context_length ids of each row, or with all if there are fewer.
           Use the logits of the last position only, (B, V).
        2  If temperature is 0, take the greedy token. top_k, top_p and generator then play no part, and no random
           number is drawn from any generator.
        3  Otherwise: apply_temperature, then keep_top_k, then keep_top_p, then the softmax over V. This gives
           probabilities (B, V), in the order of the ids. Draw from them with one
           `torch.multinomial(probabilities, num_samples=1, generator=generator)` for all rows together, those
           that have ended too. Draw nothing else. Then the same seed gives the same text.
        4  If there is an eos_id, a row that produced it earlier gets it again, whatever was chosen.
        5  Append the new tokens. If now every row has produced eos_id, stop: no further call, no further draw.

    An eos_id in the prompt does not count, only one that was produced. It is part of what is returned.

    The model, with all its parts, is in evaluation mode while it is called, and torch records no graph
    (`torch.no_grad`). Afterwards the model is back in the mode it came in (`model.training` says which), and
    torch records again if it did before: also when an error was raised. You may take it that all parts of the
    model come in the same mode.

    Example: a model for which 1 is always the most likely next token, and the prompts [[5, 7], [1, 2]]
        generate(model, ids, 3, context_length=8)            is [[5, 7, 1, 1, 1], [1, 2, 1, 1, 1]]
        generate(model, ids, 3, context_length=8, eos_id=1)  is [[5, 7, 1], [1, 2, 1]]

    Source: Raschka, chapters 4 and 5.
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
