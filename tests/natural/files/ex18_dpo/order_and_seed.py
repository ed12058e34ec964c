# wrong: fields-in-another-order, evaluation-not-seeded
# Both in train_dpo: the fields come in another order, and the loader is not seeded before an evaluation.
import copy
import itertools
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from .ex12_optim import clip_grad_norm
from .ex15_classify import training_steps
from .ex16_instruct import RESPONSE_HEADING, format_prompt


class PreferenceDataset(torch.utils.data.Dataset):
    def __init__(self, entries, tokenizer):
        encode = tokenizer.encode
        self._data = [
            (encode(format_prompt(e) + RESPONSE_HEADING), encode(e["chosen"]), encode(e["rejected"]))
            for e in entries
        ]

    def __len__(self):
        return len(self._data)

    def __getitem__(self, index):
        return copy.deepcopy(self._data[index])


def _pad(rows, value):
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def collate_preferences(batch, pad_token_id, max_length=None, device="cpu"):
    for number, item in enumerate(batch):
        if max_length is not None and not len(item[0]) < max_length:
            raise ValueError(f"pair {number}: {len(item[0])} tokens of prompt, {max_length} in all")
    answers = [(p, c) for p, c, _ in batch] + [(p, r) for p, _, r in batch]
    ids = _pad([(p + a + [pad_token_id])[:max_length] for p, a in answers], pad_token_id)
    mask = _pad([([False] * len(p) + [True] * (len(a) + 1))[:max_length] for p, a in answers], False)
    ids, mask = ids.to(device), mask.to(device)
    n = len(batch)
    return {"chosen": ids[:n], "rejected": ids[n:], "chosen_mask": mask[:n], "rejected_mask": mask[n:]}


def sequence_logprobs(logits, ids, mask):
    wanted = mask[:, 1:]
    for b, row in enumerate(wanted):
        if row.sum() == 0:
            raise ValueError(f"row {b}: empty answer")
    nll = F.cross_entropy(logits[:, :-1].double().transpose(1, 2), ids[:, 1:], reduction="none")
    return -nll.masked_fill(~wanted, 0.0).sum(dim=1).to(logits.dtype)


@dataclass(frozen=True)
class DPOResult:
    loss: torch.Tensor
    chosen_rewards: torch.Tensor
    rejected_rewards: torch.Tensor
    margin: float
    accuracy: float


def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1):
    policy = torch.stack([policy_chosen, policy_rejected])
    reference = torch.stack([reference_chosen, reference_rejected])
    rewards = (policy - reference).mul(beta)
    margins = rewards[0] - rewards[1]
    targets = torch.ones_like(margins)
    loss = F.binary_cross_entropy_with_logits(margins, targets)
    chosen, rejected = rewards.detach().unbind()
    return DPOResult(loss, chosen, rejected, margins.mean().item(), (chosen > rejected).double().mean().item())


def _logprobs(model, batch):
    ids = torch.cat((batch["chosen"], batch["rejected"]), dim=0)
    mask = torch.cat((batch["chosen_mask"], batch["rejected_mask"]), dim=0)
    n = len(batch["chosen"])
    both = sequence_logprobs(model(ids), ids, mask)
    return both[:n], both[n:]


def dpo_loss_batch(batch, policy, reference, beta=0.1, device="cpu"):
    batch = {key: value.to(device) for key, value in batch.items()}
    modes = [(module, module.training) for module in reference.modules()]
    try:
        reference.eval()
        with torch.inference_mode():
            before = [logprobs.clone() for logprobs in _logprobs(reference, batch)]
    finally:
        for module, mode in modes:
            module.training = mode
    before = [logprobs.clone() for logprobs in before]
    return dpo_loss(*_logprobs(policy, batch), *before, beta)


def evaluate_dpo(policy, reference, loader, beta=0.1, device="cpu", num_batches=None):
    was = policy.training
    weighted = []
    try:
        policy.eval()
        with torch.no_grad():
            for batch in itertools.islice(loader, num_batches):
                r = dpo_loss_batch(batch, policy, reference, beta, device)
                weighted.append((len(batch["chosen"]), (r.loss.item(), r.margin, r.accuracy)))
    finally:
        policy.train(was)
    pairs = sum(n for n, _ in weighted)
    return tuple(sum(n * v[i] for n, v in weighted) / pairs if pairs else float("nan") for i in range(3))


def update_dpo(policy, reference, batches, optimizer, learning_rate, max_norm, beta=0.1, device="cpu"):
    policy.train()
    policy.zero_grad()
    total = 0
    for b in batches:
        total += len(b["chosen"])
    for b in batches:
        share = len(b["chosen"]) / total
        (share * dpo_loss_batch(b, policy, reference, beta, device).loss).backward()
    clip_grad_norm(policy.parameters(), max_norm)
    for g in optimizer.param_groups:
        g["lr"] = learning_rate
    optimizer.step()
    return total


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
    h = DPOHistory() if history is None else history

    def look(loader):
        return evaluate_dpo(policy, reference, loader, beta, device, config.eval_batches)

    for batches, rate in training_steps(train_loader, config, h):
        h.pairs_seen += update_dpo(policy, reference, batches, optimizer, rate, config.max_norm, beta, device)
        h.step += 1
        if h.step % config.eval_every == 0:
            (l1, m1, a1), (l2, m2, a2) = look(train_loader), look(val_loader)
            h.evaluations += [DPOEvaluation(h.step, h.pairs_seen, l1, m1, a1, l2, m2, a2, rate)]
        if on_step is not None:
            on_step(h)
    return h
