# right: the book's bonus notebook, with log probabilities summed: gather, a dict of lists while collating.
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from .ex12_optim import clip_grad_norm
from .ex13_train import seed_loader
from .ex15_classify import training_steps
from .ex16_instruct import format_prompt
from dataclasses import dataclass, field

RESPONSE = "\n\n### Response:\n"


class PreferenceDataset(Dataset):
    def __init__(self, entries, tokenizer):
        self.encoded_texts = []
        for entry in entries:
            prompt = format_prompt(entry) + RESPONSE
            prompt_tokens = tokenizer.encode(prompt)
            chosen_tokens = tokenizer.encode(entry["chosen"])
            rejected_tokens = tokenizer.encode(entry["rejected"])
            self.encoded_texts.append(
                {"prompt": prompt_tokens, "chosen": chosen_tokens, "rejected": rejected_tokens}
            )

    def __getitem__(self, index):
        item = self.encoded_texts[index]
        return item["prompt"].copy(), item["chosen"].copy(), item["rejected"].copy()

    def __len__(self):
        return len(self.encoded_texts)


def collate_preferences(batch, pad_token_id, max_length=None, device="cpu"):
    batch_data = {"chosen": [], "rejected": [], "chosen_mask": [], "rejected_mask": []}
    max_length_common = 0
    for i, (prompt, chosen, rejected) in enumerate(batch):
        if max_length is not None and len(prompt) >= max_length:
            raise ValueError(f"Item {i}: prompt length {len(prompt)}, max_length {max_length}")
        current_max = max(len(prompt) + len(chosen), len(prompt) + len(rejected)) + 1
        max_length_common = max(max_length_common, current_max)
    if max_length is not None:
        max_length_common = min(max_length_common, max_length)
    for prompt, chosen, rejected in batch:
        for key, answer in (("chosen", chosen), ("rejected", rejected)):
            sequence = prompt + answer + [pad_token_id]
            sequence = sequence[:max_length_common]
            padded = sequence + [pad_token_id] * (max_length_common - len(sequence))
            mask = torch.ones(len(padded)).bool()
            mask[len(sequence) :] = False
            mask[: len(prompt)] = False
            batch_data[key].append(torch.tensor(padded))
            batch_data[f"{key}_mask"].append(mask)
    for key in batch_data:
        batch_data[key] = torch.stack(batch_data[key]).to(device)
    return batch_data


def sequence_logprobs(logits, ids, mask):
    labels = ids[:, 1:].clone()
    logits = logits[:, :-1, :]
    selection_mask = mask[:, 1:].clone()
    for i in range(len(selection_mask)):
        if not selection_mask[i].any():
            raise ValueError(f"no answer in row {i}")
    log_probs = F.log_softmax(logits, dim=-1)
    selected_log_probs = torch.gather(input=log_probs, dim=-1, index=labels.unsqueeze(-1)).squeeze(-1)
    selected_log_probs = selected_log_probs * selection_mask
    return selected_log_probs.sum(-1)


@dataclass(frozen=True)
class DPOResult:
    loss: torch.Tensor
    chosen_rewards: torch.Tensor
    rejected_rewards: torch.Tensor
    margin: float
    accuracy: float


def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1):
    model_logratios = policy_chosen - policy_rejected
    reference_logratios = reference_chosen - reference_rejected
    logits = model_logratios - reference_logratios
    losses = -F.logsigmoid(beta * logits)
    chosen_rewards = (beta * (policy_chosen - reference_chosen)).detach()
    rejected_rewards = (beta * (policy_rejected - reference_rejected)).detach()
    return DPOResult(
        losses.mean(),
        chosen_rewards,
        rejected_rewards,
        (chosen_rewards - rejected_rewards).mean().item(),
        (chosen_rewards > rejected_rewards).float().mean().item(),
    )


def dpo_loss_batch(batch, policy, reference, beta=0.1, device="cpu"):
    chosen, rejected = batch["chosen"].to(device), batch["rejected"].to(device)
    chosen_mask, rejected_mask = batch["chosen_mask"].to(device), batch["rejected_mask"].to(device)
    policy_chosen_log_probas = sequence_logprobs(policy(chosen), chosen, chosen_mask)
    policy_rejected_log_probas = sequence_logprobs(policy(rejected), rejected, rejected_mask)
    mode = reference.training
    reference.eval()
    try:
        with torch.no_grad():
            ref_chosen_log_probas = sequence_logprobs(reference(chosen), chosen, chosen_mask)
            ref_rejected_log_probas = sequence_logprobs(reference(rejected), rejected, rejected_mask)
    finally:
        reference.train(mode)
    return dpo_loss(
        policy_chosen=policy_chosen_log_probas,
        policy_rejected=policy_rejected_log_probas,
        reference_chosen=ref_chosen_log_probas,
        reference_rejected=ref_rejected_log_probas,
        beta=beta,
    )


def evaluate_dpo(policy, reference, loader, beta=0.1, device="cpu", num_batches=None):
    mode = policy.training
    policy.eval()
    total_loss, total_margin, total_accuracy, total_pairs = 0.0, 0.0, 0.0, 0
    try:
        with torch.no_grad():
            for i, batch in enumerate(loader):
                if num_batches is not None and i >= num_batches:
                    break
                n = batch["chosen"].shape[0]
                result = dpo_loss_batch(batch, policy, reference, beta, device)
                total_loss += result.loss.item() * n
                total_margin += result.margin * n
                total_accuracy += result.accuracy * n
                total_pairs += n
    finally:
        policy.train(mode)
    if total_pairs == 0:
        return float("nan"), float("nan"), float("nan")
    return total_loss / total_pairs, total_margin / total_pairs, total_accuracy / total_pairs


def update_dpo(policy, reference, batches, optimizer, learning_rate, max_norm, beta=0.1, device="cpu"):
    policy.train()
    for param_group in optimizer.param_groups:
        param_group["lr"] = learning_rate
    optimizer.zero_grad()
    num_pairs = sum(batch["chosen"].shape[0] for batch in batches)
    for batch in batches:
        loss = dpo_loss_batch(batch, policy, reference, beta, device).loss
        loss = loss * batch["chosen"].shape[0] / num_pairs
        loss.backward()
    clip_grad_norm(policy.parameters(), max_norm)
    optimizer.step()
    return num_pairs


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
    policy, reference, train_loader, val_loader, optimizer, config, beta=0.1, device="cpu", on_step=None, history=None
):  # fmt: skip
    if history is None:
        history = DPOHistory()
    for batches, lr in training_steps(train_loader, config, history):
        n = update_dpo(policy, reference, batches, optimizer, lr, config.max_norm, beta, device)
        history.step += 1
        history.pairs_seen += n
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            tl, tm, ta = evaluate_dpo(policy, reference, train_loader, beta, device, config.eval_batches)
            vl, vm, va = evaluate_dpo(policy, reference, val_loader, beta, device, config.eval_batches)
            print(f"Step {history.step:06d}: train loss {tl:.3f}, val loss {vl:.3f}, margin {vm:.3f}")
            history.evaluations.append(DPOEvaluation(history.step, history.pairs_seen, tl, vl, tm, vm, ta, va, lr))
        if on_step is not None:
            on_step(history)
    return history
