# wrong: reference-in-whatever-mode
# The reference is never put into evaluation mode.
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from .ex12_optim import clip_grad_norm
from .ex13_train import TrainConfig, seed_loader
from .ex15_classify import training_steps
from .ex16_instruct import RESPONSE_HEADING, format_prompt

SIDES = "chosen", "rejected"


class PreferenceDataset(Dataset):
    def __init__(self, entries, tokenizer) -> None:
        self.triples: list[tuple[tuple[int, ...], ...]] = []
        for e in entries:
            texts = (format_prompt(e) + RESPONSE_HEADING, e["chosen"], e["rejected"])
            self.triples.append(tuple(tuple(tokenizer.encode(text)) for text in texts))

    def __len__(self) -> int:
        return len(self.triples)

    def __getitem__(self, index: int):
        return tuple(map(list, self.triples[index]))


def collate_preferences(batch, pad_token_id, max_length=None, device="cpu") -> dict[str, Tensor]:
    limit = float("inf") if max_length is None else max_length
    too_long = [(r, len(p)) for r, (p, *_) in enumerate(batch) if len(p) >= limit]
    if too_long:
        raise ValueError(f"rows and lengths of prompts: {too_long}; at most {max_length} tokens")
    whole = {
        side: [list(p) + list(a) + [pad_token_id] for p, *answers in batch for a in [answers[k]]]
        for k, side in enumerate(SIDES)
    }
    width = max(len(row) for rows in whole.values() for row in rows)
    width = int(min(width, limit))
    out: dict[str, Tensor] = {}
    place = torch.arange(width)
    starts = torch.tensor([len(p) for p, *_ in batch]).unsqueeze(1)
    for side, rows in whole.items():
        ends = torch.tensor([len(row) for row in rows]).unsqueeze(1)
        table = torch.full((len(rows), width), pad_token_id)
        for r, row in enumerate(rows):
            cut = row[:width]
            table[r, : len(cut)] = torch.tensor(cut)
        out[side] = table.to(device)
        out[side + "_mask"] = ((starts <= place) & (place < ends)).to(device)
    return out


def sequence_logprobs(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    says, asked, counts = logits[:, :-1], ids[:, 1:], mask[:, 1:]
    empty = (counts.sum(1) == 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"rows {empty} have no token that counts")
    chosen = says.gather(2, asked[:, :, None])[:, :, 0] - says.logsumexp(2)
    return torch.where(counts, chosen, torch.zeros_like(chosen)).sum(1)


@dataclass(frozen=True)
class DPOResult:
    loss: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    margin: float
    accuracy: float


def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1) -> DPOResult:
    good = (policy_chosen - reference_chosen) * beta
    bad = (policy_rejected - reference_rejected) * beta
    distance = good - bad
    with torch.no_grad():
        margin = float(distance.mean())
        accuracy = int((distance > 0).sum()) / distance.numel()
    return DPOResult(nn.functional.softplus(-distance).mean(), good.detach(), bad.detach(), margin, accuracy)


@contextmanager
def evaluating(model: nn.Module):
    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        model.train(before)


def both_sides(model, batch) -> tuple[Tensor, Tensor]:
    ids = torch.cat([batch[side] for side in SIDES])
    mask = torch.cat([batch[f"{side}_mask"] for side in SIDES])
    return sequence_logprobs(model(ids), ids, mask).chunk(2)


def dpo_loss_batch(batch, policy, reference, beta=0.1, device="cpu") -> DPOResult:
    moved = {name: batch[name].to(device) for name in batch}
    with torch.no_grad():
        reference_chosen, reference_rejected = both_sides(reference, moved)
    policy_chosen, policy_rejected = both_sides(policy, moved)
    return dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta)


def evaluate_dpo(policy, reference, loader, beta=0.1, device="cpu", num_batches=None):
    sums, pairs, left = torch.zeros(3, dtype=torch.float64), 0, num_batches
    with evaluating(policy):
        for batch in loader if left != 0 else ():
            r = dpo_loss_batch(batch, policy, reference, beta, device)
            size = batch["chosen"].size(0)
            sums += size * torch.tensor([float(r.loss), r.margin, r.accuracy], dtype=torch.float64)
            pairs += size
            if left is not None:
                left -= 1
                if left == 0:
                    break
    return tuple((sums / pairs).tolist()) if pairs else (float("nan"),) * 3


def update_dpo(policy, reference, batches, optimizer, learning_rate, max_norm, beta=0.1, device="cpu") -> int:
    policy.train()
    optimizer.zero_grad()
    sizes = [batch["rejected"].size(0) for batch in batches]
    for size, batch in zip(sizes, batches, strict=True):
        dpo_loss_batch(batch, policy, reference, beta, device).loss.mul(size / sum(sizes)).backward()
    clip_grad_norm(policy.parameters(), max_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    return sum(sizes)


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
    config: TrainConfig,
    beta=0.1,
    device="cpu",
    on_step=None,
    history=None,
) -> DPOHistory:
    log = history if history is not None else DPOHistory()
    for batches, rate in training_steps(train_loader, config, log):
        log.pairs_seen += update_dpo(
            policy, reference, batches, optimizer, rate, config.max_norm, beta=beta, device=device
        )
        log.step += 1
        if log.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            found = [
                evaluate_dpo(policy, reference, loader, beta, device, config.eval_batches)
                for loader in (train_loader, val_loader)
            ]
            pairs = [value for both in zip(*found, strict=True) for value in both]
            log.evaluations.append(DPOEvaluation(log.step, log.pairs_seen, *pairs, learning_rate=rate))
        if on_step:
            on_step(log)
    return log
