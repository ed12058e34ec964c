# wrong: every-batch-weighs-the-same, one-batch-too-many
# Each batch has the same weight in an update, and the evaluation takes one batch too many.
import math
from dataclasses import dataclass, field

import torch

from .ex00_tensors import log_softmax
from .ex12_optim import clip_grad_norm
from .ex13_train import seed_loader
from .ex15_classify import training_steps
from .ex16_instruct import RESPONSE_HEADING, format_prompt


class PreferenceDataset(torch.utils.data.Dataset):
    def __init__(self, entries, tokenizer):
        self.prompts = []
        self.chosen = []
        self.rejected = []
        for entry in entries:
            self.prompts.append(tokenizer.encode(format_prompt(entry) + RESPONSE_HEADING))
            self.chosen.append(tokenizer.encode(entry["chosen"]))
            self.rejected.append(tokenizer.encode(entry["rejected"]))

    def __len__(self):
        return len(self.prompts)

    def __getitem__(self, index):
        return list(self.prompts[index]), list(self.chosen[index]), list(self.rejected[index])


def collate_preferences(batch, pad_token_id, max_length=None, device="cpu"):
    for row in range(len(batch)):
        n = len(batch[row][0])
        if max_length is not None and n >= max_length:
            raise ValueError("row %d has a prompt of %d tokens, and max_length is %d" % (row, n, max_length))
    longest = 0
    for prompt, chosen, rejected in batch:
        for answer in (chosen, rejected):
            length = len(prompt) + len(answer) + 1
            if max_length is not None and length > max_length:
                length = max_length
            if length > longest:
                longest = length
    ids = {"chosen": [], "rejected": []}
    masks = {"chosen": [], "rejected": []}
    for prompt, chosen, rejected in batch:
        for side, answer in (("chosen", chosen), ("rejected", rejected)):
            row, mask = [], []
            for token in prompt:
                row.append(token)
                mask.append(False)
            for token in answer:
                row.append(token)
                mask.append(True)
            row.append(pad_token_id)
            mask.append(True)
            while len(row) < longest:
                row.append(pad_token_id)
                mask.append(False)
            ids[side].append(row[:longest])
            masks[side].append(mask[:longest])
    return {
        "chosen": torch.tensor(ids["chosen"], device=device),
        "rejected": torch.tensor(ids["rejected"], device=device),
        "chosen_mask": torch.tensor(masks["chosen"], device=device),
        "rejected_mask": torch.tensor(masks["rejected"], device=device),
    }


def sequence_logprobs(logits, ids, mask):
    totals = []
    for b in range(ids.shape[0]):
        total, counted = None, 0
        for t in range(1, ids.shape[1]):
            if mask[b, t]:
                logprob = log_softmax(logits[b, t - 1], dim=0)[ids[b, t]]
                total = logprob if total is None else total + logprob
                counted += 1
        if not counted:
            raise ValueError(f"nothing counts in row {b}")
        totals.append(total)
    return torch.stack(totals)


@dataclass(frozen=True)
class DPOResult:
    loss: torch.Tensor
    chosen_rewards: torch.Tensor
    rejected_rewards: torch.Tensor
    margin: float
    accuracy: float


def log_sigmoid(x):
    """Of one number, without an overflow on either side."""
    if x >= 0:
        return -torch.log1p(torch.exp(-x))
    return x - torch.log1p(torch.exp(x))


def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1):
    n = len(policy_chosen)
    losses, good, bad, margins, right = [], [], [], [], 0
    for b in range(n):
        reward_chosen = beta * (policy_chosen[b] - reference_chosen[b])
        reward_rejected = beta * (policy_rejected[b] - reference_rejected[b])
        losses.append(-log_sigmoid(reward_chosen - reward_rejected))
        good.append(reward_chosen.detach())
        bad.append(reward_rejected.detach())
        margins.append((reward_chosen - reward_rejected).item())
        if reward_chosen > reward_rejected:
            right += 1
    return DPOResult(sum(losses) / n, torch.stack(good), torch.stack(bad), sum(margins) / n, right / n)


def dpo_loss_batch(batch, policy, reference, beta=0.1, device="cpu"):
    found = {}
    here = {}
    for name in ("chosen", "rejected", "chosen_mask", "rejected_mask"):
        here[name] = batch[name].to(device)
    was_training = reference.training
    try:
        for side in ("chosen", "rejected"):
            found["policy_" + side] = sequence_logprobs(policy(here[side]), here[side], here[side + "_mask"])
            reference.eval()
            with torch.no_grad():
                logits = reference(here[side])
                found["reference_" + side] = sequence_logprobs(logits, here[side], here[side + "_mask"])
    finally:
        reference.train(was_training)
    return dpo_loss(**found, beta=beta)


def evaluate_dpo(policy, reference, loader, beta=0.1, device="cpu", num_batches=None):
    results = []
    was_training = policy.training
    policy.eval()
    try:
        number = 0
        for batch in loader:
            if num_batches is not None and number > num_batches:
                break
            with torch.no_grad():
                result = dpo_loss_batch(batch, policy, reference, beta, device)
            results.append((len(batch["chosen"]), result.loss.item(), result.margin, result.accuracy))
            number += 1
    finally:
        policy.train(was_training)
    pairs = sum(result[0] for result in results)
    if pairs == 0:
        return math.nan, math.nan, math.nan
    loss = sum(result[0] * result[1] for result in results) / pairs
    margin = sum(result[0] * result[2] for result in results) / pairs
    accuracy = sum(result[0] * result[3] for result in results) / pairs
    return loss, margin, accuracy


def update_dpo(policy, reference, batches, optimizer, learning_rate, max_norm, beta=0.1, device="cpu"):
    policy.train()
    optimizer.zero_grad()
    pairs = 0
    for batch in batches:
        result = dpo_loss_batch(batch, policy, reference, beta, device)
        result.loss.backward()
        pairs += len(batch["chosen"])
    for parameter in policy.parameters():
        if parameter.grad is not None:
            parameter.grad /= len(batches)
    clip_grad_norm(policy.parameters(), max_norm)
    for i in range(len(optimizer.param_groups)):
        optimizer.param_groups[i]["lr"] = learning_rate
    optimizer.step()
    return pairs


@dataclass(frozen=True)
class DPOEvaluation:
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
    step: int = 0
    pairs_seen: int = 0
    evaluations: list = field(default_factory=list)


def train_dpo(
    policy,
    reference,
    train_loader,
    val_loader,
    optimizer,
    config,
    beta=0.1,
    device="cpu",
    on_step=None,
    history=None,
):
    if history is None:
        history = DPOHistory()
    for batches, learning_rate in training_steps(train_loader, config, history):
        pairs = update_dpo(policy, reference, batches, optimizer, learning_rate, config.max_norm, beta, device)
        history.pairs_seen += pairs
        history.step += 1
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            on_train = evaluate_dpo(policy, reference, train_loader, beta, device, config.eval_batches)
            on_val = evaluate_dpo(policy, reference, val_loader, beta, device, config.eval_batches)
            point = DPOEvaluation(
                step=history.step,
                pairs_seen=history.pairs_seen,
                train_loss=on_train[0],
                val_loss=on_val[0],
                train_margin=on_train[1],
                val_margin=on_val[1],
                train_accuracy=on_train[2],
                val_accuracy=on_val[2],
                learning_rate=learning_rate,
            )
            history.evaluations.append(point)
        if on_step is not None:
            on_step(history)
    return history
