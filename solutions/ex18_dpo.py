"""Preferences: teach a model which of two answers people like better (DPO).

You need: prompts and padding (exercise 16), log probabilities (exercises 0 and 11), the loop (exercises 13 and 15).

WHY
Exercise 16 teaches by imitation: here is a good answer, make it likelier. It never says what a bad answer is.
And nobody can write *the* best answer, but nearly everybody can say which of two is better. So collect pairs: one
prompt, one answer that was *chosen*, one that was *rejected*. The classical way from there is long: train a second
model to score answers, then improve the first one by trial and error. Direct preference optimization (DPO) gets
there with one loss and the training loop that you have.

HOW
Two models. The *policy* learns. The *reference* is a copy of it from before, and never changes. How likely a
model finds a whole answer is the product of the probabilities of its tokens, so the logarithm is a sum over them:

    log π(answer | prompt) = Σ log p(token | all before it)            (B,)

The *reward* of an answer says how much likelier the policy finds it than the reference does, times a factor β:

    reward = β · (log π_policy(answer) − log π_reference(answer))
    margin = reward of the chosen answer − reward of the rejected one
    loss   = −ln σ(margin)                    σ(x) = 1 / (1 + e⁻ˣ), the sigmoid

σ(margin) is the probability that somebody prefers the chosen answer, if rewards are what people go by (the
Bradley-Terry model). So this is a cross-entropy with two classes. At the start both models are equal, rewards and
margin are 0, and the loss is −ln σ(0) = ln 2 = 0.693. A pair that is clearly right already pulls hardly at all;
its pull is σ(−margin):

    margin    −4       −2       −1        0        1        2        4
    loss     4.018    2.127    1.313    0.693    0.313    0.127    0.018
    pull     0.98     0.88     0.73     0.50     0.27     0.12     0.02

WHY THE REFERENCE
Without it the cheapest way to a large margin is to make the rejected answer impossible, whatever that does to the
rest of the language. The long way has a brake: reward minus β times how far the policy has moved from the
reference (the KL divergence). The policy that is best under that brake is known: π_reference · e^(reward/β),
divided by a constant of the prompt. Solve that for the reward and you get the line above, plus that constant. It
is the same for both answers of a pair, and so it cancels in the margin. A large β keeps the policy close.

WHAT COUNTS
Prompt tokens do not: nobody prefers them. Padding does not. The end-of-text token right after the answer does,
because knowing when to stop is part of an answer. Prompt 5 6, chosen 8 9, rejected 4, end-of-text and padding 0:

    position           0   1   2   3   4
    chosen             5   6   8   9   0
    chosen_mask        .   .   x   x   x        x is True
    rejected           5   6   4   0   0
    rejected_mask      .   .   x   x   .        the last 0 is padding

The logits at position t are about the token at position t + 1. So those at positions 1, 2, 3 give the
probabilities of 8, 9 and 0. Padding at the right needs no mask within the model: a GPT never looks ahead.

A SMALL EXAMPLE
The policy gives the tokens 8, 9, 0 the probabilities 0.5, 0.8, 0.5: their product is 0.2, ln 0.2 = −1.609. For the
rejected answer it gets 0.1. The reference has 0.1 and 0.2, just the other way round. β = 0.1.

    reward, chosen      0.1 · ln(0.2 / 0.1) =  0.0693
    reward, rejected    0.1 · ln(0.1 / 0.2) = −0.0693
    margin                                     0.1386
    loss                −ln σ(0.1386)       =  0.6262

MEASURING
Loss, margin, and *accuracy*: the share of pairs whose chosen answer has the larger reward. All three are means
over pairs, not over batches, since the last batch may be short. At the start accuracy is 0: rewards are equal, and
equal is not larger. Dropout would blur the comparison: train a policy made with drop_rate=0, and the first loss
is exactly ln 2.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", chapter 7, bonus material "DPO from scratch". There the
log probabilities are divided by the length of the answer; here they are summed, as in the paper, for only the sum
is the logarithm of a probability. There the mask begins within the heading "### Response:" and leaves out the
end of the answer; here prompt and answer are encoded apart, so the boundary is exact, and the end is taught.
Rewards here have their β, and means are over pairs.

TWO QUESTIONS (the answers are at the end of this file)
1. The policy finds both answers ten times as likely as the reference does. What is the loss?
2. Somebody writes `reference = policy`, without a copy. What does the loss do, and what do the weights do?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex18` trains a tiny policy on a single pair: "the tea is quite warm"
was chosen, "the tea is quite hot" rejected. It knows a third word for a tea, "cold". The margin grows at each
step. Predict first: is "warm" likelier in the end than at the start?

Shapes: B pairs in a batch, T tokens, V vocabulary. π is a model, σ the sigmoid.
Read on: Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly a Reward Model".
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from .ex00_tensors import log_softmax
from .ex12_optim import clip_grad_norm
from .ex13_train import TrainConfig, seed_loader
from .ex15_classify import training_steps
from .ex16_instruct import RESPONSE_HEADING, format_prompt

# The ids of a prompt, of the answer that was chosen, and of the one that was rejected.
Pair = tuple[list[int], list[int], list[int]]
# "chosen" and "rejected", int64 (B, T); "chosen_mask" and "rejected_mask", bool (B, T).
PreferenceBatch = dict[str, Tensor]


class PreferenceDataset(Dataset):
    """Pairs of answers, as ids.

    Arguments
        entries    dicts with the keys "instruction", "input", "chosen" and "rejected", all texts
        tokenizer  has a method encode(text) that returns a list of ids

    Item i is a tuple of three lists of ids: the prompt, the chosen answer, the rejected answer. The prompt is
    format_prompt(entry) followed by RESPONSE_HEADING. The three texts should be encoded apart from each other, so
    that no token reaches from the prompt into an answer.

    Fine print
        Everything is encoded once, when the data set is made. What somebody does to `entries`, or to an item
        that was handed out, does not change the data set. `len` is the number of pairs; an index beyond it
        is an IndexError.

    Source: Raschka, chapter 7, bonus material.
    """

    def __init__(self, entries: Sequence[Mapping[str, str]], tokenizer: Any) -> None:
        """Encode all entries."""
        self._pairs = []
        for entry in entries:
            prompt = tokenizer.encode(format_prompt(entry) + RESPONSE_HEADING)
            self._pairs.append((prompt, tokenizer.encode(entry["chosen"]), tokenizer.encode(entry["rejected"])))

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> Pair:
        """Prompt, chosen answer and rejected answer of one pair, three lists of ids."""
        prompt, chosen, rejected = self._pairs[index]
        return list(prompt), list(chosen), list(rejected)


def collate_preferences(
    batch: Sequence[Pair],
    pad_token_id: int,
    max_length: int | None = None,
    device: torch.device | str = "cpu",
) -> PreferenceBatch:
    """Make tensors of some pairs, and mark what counts.

    Arguments
        batch         items of a PreferenceDataset
        pad_token_id  end-of-text, which also pads
        max_length    how many tokens a row may have; None: any number
        device        where the tensors should be
    Returns
        a dict: "chosen" and "rejected", int64 (B, T); "chosen_mask" and "rejected_mask", bool (B, T)

    A row is prompt, answer, one end-of-text, then padding; T fits the longest row of both sides. The mask is True
    at the answer and its end-of-text.

    Example: the drawing of the lesson is collate_preferences([([5, 6], [8, 9], [4])], 0).

    Fine print
        Positions decide what counts, never ids: pad_token_id may also occur within a prompt or an answer. A row
        longer than max_length is cut at its end, before padding. An answer may be empty: its end-of-text counts.
        ValueError: a prompt has max_length tokens or more, so that no room is left for an answer. The message
        should name the row, counted from 0, and both numbers.

    Source: Raschka, chapter 7, bonus material.
    """
    for row, (prompt, _, _) in enumerate(batch):
        if max_length is not None and len(prompt) >= max_length:
            raise ValueError(f"row {row}: a prompt of {len(prompt)} tokens leaves no room in {max_length} tokens")
    sides = {
        "chosen": [[*prompt, *chosen, pad_token_id][:max_length] for prompt, chosen, _ in batch],
        "rejected": [[*prompt, *rejected, pad_token_id][:max_length] for prompt, _, rejected in batch],
    }
    longest = max(len(ids) for rows in sides.values() for ids in rows)
    tensors = {}
    for side, rows in sides.items():
        padded = [ids + [pad_token_id] * (longest - len(ids)) for ids in rows]
        spans = [(len(prompt), len(ids)) for (prompt, _, _), ids in zip(batch, rows, strict=True)]
        mask = [[start <= place < end for place in range(longest)] for start, end in spans]
        tensors[side] = torch.tensor(padded, device=device)
        tensors[f"{side}_mask"] = torch.tensor(mask, device=device)
    return tensors


def sequence_logprobs(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """How likely a model finds the answers: the sum of the log probabilities of their tokens.

    Arguments
        logits  float (B, T, V), what the model says about ids
        ids     int64 (B, T)
        mask    bool (B, T): True at the tokens that count
    Returns
        float (B,)

    It should be this loop, for each row b:

        for t in range(1, T):
            if mask[b, t]:
                total[b] += log_softmax(logits[b, t - 1], dim=0)[ids[b, t]]

    Example: probabilities 0.5, 0.8 and 0.5 give ln 0.2 = −1.609.

    Fine print
        Your log_softmax of ex00 or torch's may be used. Logits of ±2000 give finite sums.
        Nothing predicts the token at position 0, so mask[b, 0] has no influence.
        ValueError: a row in which no token counts. The message should name the row, counted from 0.

    Source: Rafailov et al. 2023, section 4.
    """
    counts = mask[:, 1:]
    for row, some in enumerate(counts.any(dim=1).tolist()):
        if not some:
            raise ValueError(f"row {row} has no answer: its mask is False everywhere")
    logprobs = log_softmax(logits[:, :-1], dim=-1)
    of_tokens = logprobs.gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
    return (of_tokens * counts).sum(dim=-1)


@dataclass(frozen=True)
class DPOResult:
    """What dpo_loss finds out about a batch of B pairs. Given.

    loss              float (), the mean over the pairs, ready for `backward`
    chosen_rewards    float (B,), cut from the graph
    rejected_rewards  float (B,), cut from the graph
    margin            the mean of chosen minus rejected reward, a Python float
    accuracy          the share of pairs whose chosen reward is the larger one, a Python float
    """

    loss: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    margin: float
    accuracy: float


def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    beta: float = 0.1,
) -> DPOResult:
    """The loss of a batch of pairs, and what there is to say about it.

    Arguments
        policy_chosen       float (B,): log π_policy of the chosen answers
        policy_rejected     float (B,): log π_policy of the rejected answers
        reference_chosen    float (B,): log π_reference of the chosen answers
        reference_rejected  float (B,): log π_reference of the rejected answers
        beta                β, above 0
    Returns
        a DPOResult

    Example: ln 0.2, ln 0.1, ln 0.1, ln 0.2 give the loss 0.6262 of the lesson, margin 0.1386, accuracy 1.0.

    Fine print
        Margins of ±1000 should give a finite loss and a finite gradient; `F.logsigmoid` does. Equal rewards do
        not count as right.

    Source: Rafailov et al. 2023, equation 7.
    """
    chosen_rewards = beta * (policy_chosen - reference_chosen)
    rejected_rewards = beta * (policy_rejected - reference_rejected)
    margins = chosen_rewards - rejected_rewards
    return DPOResult(
        loss=-F.logsigmoid(margins).mean(),
        chosen_rewards=chosen_rewards.detach(),
        rejected_rewards=rejected_rewards.detach(),
        margin=margins.mean().item(),
        accuracy=(margins > 0).double().mean().item(),
    )


def dpo_loss_batch(
    batch: PreferenceBatch,
    policy: nn.Module,
    reference: nn.Module,
    beta: float = 0.1,
    device: torch.device | str = "cpu",
) -> DPOResult:
    """The loss of one batch, from both models.

    Arguments
        batch              as collate_preferences makes it
        policy, reference  two modules that turn ids (B, T) into logits (B, T, V)
        beta               as dpo_loss takes it
        device             where both models are, and each tensor of the batch should go
    Returns
        a DPOResult; `backward` on its loss reaches the policy's parameters

    The reference should run in evaluation mode and without a graph, and have its former mode afterwards. The mode
    of the policy stays.

    Fine print
        Gradients that the reference has stay as they are. Its mode is restored also if a model raises an
        error. Whether a model sees both sides in one call or in two is up to you.

    Source: Rafailov et al. 2023, section 4.
    """
    batch = {name: tensor.to(device) for name, tensor in batch.items()}
    of_policy = _pair_logprobs(policy, batch)
    was_training = reference.training
    reference.eval()
    try:
        with torch.no_grad():
            of_reference = _pair_logprobs(reference, batch)
    finally:
        reference.train(was_training)
    return dpo_loss(*of_policy, *of_reference, beta)


def _pair_logprobs(model: nn.Module, batch: PreferenceBatch) -> list[Tensor]:
    """The log probabilities of the chosen and of the rejected answers."""
    sides = ("chosen", "rejected")
    return [sequence_logprobs(model(batch[side]), batch[side], batch[f"{side}_mask"]) for side in sides]


def evaluate_dpo(
    policy: nn.Module,
    reference: nn.Module,
    loader: Iterable[PreferenceBatch],
    beta: float = 0.1,
    device: torch.device | str = "cpu",
    num_batches: int | None = None,
) -> tuple[float, float, float]:
    """Loss, margin and accuracy over many batches.

    Arguments
        policy, reference, beta, device  as dpo_loss_batch takes them
        loader                           gives batches, maybe of different sizes
        num_batches                      how many batches to look at, from the first on; None: all
    Returns
        three Python floats: loss, margin and accuracy, each a mean over *pairs*

    The policy runs in evaluation mode and without a graph. Afterwards it is in the mode in which it was before.

    Example: 3 pairs with a mean loss of 0.5 and 1 pair with one of 0.9 give 0.6.

    Fine print
        If there are fewer batches than num_batches: all. Without any pair: nan, nan, nan. The mode is restored
        also after an error.

    Source: the lesson above; evaluate_model of ex11.
    """
    was_training = policy.training
    policy.eval()
    totals, pairs = [0.0, 0.0, 0.0], 0
    try:
        with torch.no_grad():
            for batch in islice(loader, num_batches):
                result = dpo_loss_batch(batch, policy, reference, beta, device)
                count = len(batch["chosen"])
                means = (result.loss.item(), result.margin, result.accuracy)
                totals = [total + mean * count for total, mean in zip(totals, means, strict=True)]
                pairs += count
    finally:
        policy.train(was_training)
    loss, margin, accuracy = (total / pairs if pairs else math.nan for total in totals)
    return loss, margin, accuracy


def update_dpo(
    policy: nn.Module,
    reference: nn.Module,
    batches: Sequence[PreferenceBatch],
    optimizer: torch.optim.Optimizer,
    learning_rate: float,
    max_norm: float,
    beta: float = 0.1,
    device: torch.device | str = "cpu",
) -> int:
    """One step of the optimizer, from a group of one or more batches.

    Arguments
        policy, reference, beta, device      as dpo_loss_batch takes them
        batches                              the group; B and T may differ
        optimizer, learning_rate, max_norm   as `update` of ex13 takes them
    Returns
        the number of pairs in the group, a Python int

    As `update` of ex13, but the gradient should be that of the mean loss over all *pairs* of the group: a batch
    weighs as much as it has pairs.

    Example: batches of 3 pairs and 1 pair give (3 · loss₁ + 1 · loss₂) / 4, and 4 is returned.

    Fine print
        The policy is put into training mode first. Gradients that were there before do not count. `backward` is
        called for each batch before the next one is looked at. Then all gradients are clipped together, the
        learning rate is in every group of the optimizer, and it steps once. The reference does not change.

    Source: the lesson above; `update` of ex13.
    """
    policy.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.zero_grad()
    pairs = sum(len(batch["chosen"]) for batch in batches)
    for batch in batches:
        result = dpo_loss_batch(batch, policy, reference, beta, device)
        (result.loss * len(batch["chosen"]) / pairs).backward()
    clip_grad_norm(policy.parameters(), max_norm)
    optimizer.step()
    return pairs


@dataclass(frozen=True)
class DPOEvaluation:
    """One point of the curve. Given. All are plain Python numbers.

    step                            after how many steps, counted from 1 over the whole training
    pairs_seen                      on how many pairs the policy had been trained by then
    train_loss, val_loss            as evaluate_dpo gives them, on training and on validation batches
    train_margin, val_margin        likewise
    train_accuracy, val_accuracy    likewise
    learning_rate                   that of the step just made
    """

    step: int
    pairs_seen: int
    train_loss: float
    val_loss: float
    train_margin: float
    val_margin: float
    train_accuracy: float
    val_accuracy: float
    learning_rate: float


@dataclass
class DPOHistory:
    """How far training is, and what was seen on the way. Given.

    step         how many steps were made
    pairs_seen   on how many pairs the policy was trained; a pair that comes again counts again
    evaluations  the curve, oldest first
    """

    step: int = 0
    pairs_seen: int = 0
    evaluations: list[DPOEvaluation] = field(default_factory=list)


def train_dpo(
    policy: nn.Module,
    reference: nn.Module,
    train_loader: Iterable[PreferenceBatch],
    val_loader: Iterable[PreferenceBatch],
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    beta: float = 0.1,
    device: torch.device | str = "cpu",
    on_step: Callable[[DPOHistory], None] | None = None,
    history: DPOHistory | None = None,
) -> DPOHistory:
    """Train a policy on pairs, from the beginning or from where a history ends.

    Arguments
        policy, reference, beta, device  as dpo_loss_batch takes them
        the others                       as train_model of ex13 takes them
    Returns
        the history: the given one, if any

    training_steps gives each step's batches and learning rate. Each step is one update_dpo. Then:

    1. step and pairs_seen go up.
    2. If step is a multiple of config.eval_every: seed_loader(train_loader, config.seed), evaluate_dpo on both
       loaders, append a DPOEvaluation.
    3. Call on_step(history).

    Fine print
        config.max_norm and config.eval_batches are what update_dpo and evaluate_dpo take. on_step may be None.
        A training that was stopped goes on, with its history, as if it had never stopped, to the last bit.
        Nothing but the policy draws from torch's global random state, and nothing seeds it. The reference is
        what it was, in mode, numbers and gradients.

    Source: Rafailov et al. 2023; train_model of ex13.
    """
    history = DPOHistory() if history is None else history
    for batches, learning_rate in training_steps(train_loader, config, history):
        history.pairs_seen += update_dpo(
            policy, reference, batches, optimizer, learning_rate, config.max_norm, beta, device
        )
        history.step += 1
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            train = evaluate_dpo(policy, reference, train_loader, beta, device, config.eval_batches)
            val = evaluate_dpo(policy, reference, val_loader, beta, device, config.eval_batches)
            results = train[0], val[0], train[1], val[1], train[2], val[2]
            history.evaluations.append(DPOEvaluation(history.step, history.pairs_seen, *results, learning_rate))
        if on_step is not None:
            on_step(history)
    return history


# ANSWERS
# 1. ln 2 = 0.693. Both rewards are β · ln 10, so the margin is 0, as at the start: only the difference counts.
# 2. The loss stays at ln 2 for ever, because the margin is always 0. But the weights move, at every step with
#    half of the full pull: the gradient goes through the policy only, and nothing ever says that it is enough.
