# right: few lines, lambdas, boolean indexing per row, index arithmetic instead of gather.
from dataclasses import dataclass, field
from itertools import islice
from math import nan

import torch
from torch.nn.functional import logsigmoid

from .ex00_tensors import log_softmax
from .ex12_optim import clip_grad_norm
from .ex13_train import seed_loader
from .ex15_classify import training_steps
from .ex16_instruct import RESPONSE_HEADING, format_prompt


class PreferenceDataset(torch.utils.data.Dataset):
    def __init__(self, entries, tokenizer):
        f = lambda t: tuple(tokenizer.encode(t))  # noqa: E731
        self.d = [(f(format_prompt(e) + RESPONSE_HEADING), f(e["chosen"]), f(e["rejected"])) for e in entries]

    def __len__(self):
        return len(self.d)

    def __getitem__(self, index):
        p, c, r = self.d[index]
        return [*p], [*c], [*r]


def collate_preferences(batch, pad_token_id, max_length=None, device="cpu"):
    m = max_length or 10**9
    for i, (p, _, _) in enumerate(batch):
        if len(p) >= m:
            raise ValueError(f"{i}: {len(p)} >= {m}")
    n = min(m, 1 + max(len(p) + max(len(c), len(r)) for p, c, r in batch))
    out = {}
    for k, s in (1, "chosen"), (2, "rejected"):
        out[s] = torch.tensor([(t[0] + t[k] + [pad_token_id] * n)[:n] for t in batch], device=device)
        where = [[len(t[0]) <= j <= len(t[0]) + len(t[k]) for j in range(n)] for t in batch]
        out[s + "_mask"] = torch.tensor(where, device=device)
    return out


def sequence_logprobs(logits, ids, mask):
    lp, out = log_softmax(logits, dim=-1), []
    for b, m in enumerate(mask):
        t = m[1:].nonzero().flatten()
        if not len(t):
            raise ValueError(f"row {b}")
        out.append(lp[b, t, ids[b, t + 1]].sum())
    return torch.stack(out)


@dataclass(frozen=True)
class DPOResult:
    loss: torch.Tensor
    chosen_rewards: torch.Tensor
    rejected_rewards: torch.Tensor
    margin: float
    accuracy: float


def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1):
    c, r = beta * policy_chosen - beta * reference_chosen, beta * policy_rejected - beta * reference_rejected
    d = (c - r).detach()
    return DPOResult(-logsigmoid(c - r).mean(), c.detach(), r.detach(), d.mean().item(), sum(d > 0).item() / len(d))


def dpo_loss_batch(batch, policy, reference, beta=0.1, device="cpu"):
    b, mode = {k: v.to(device) for k, v in batch.items()}, reference.training
    lp = lambda m: [sequence_logprobs(m(b[s]), b[s], b[s + "_mask"]) for s in ("chosen", "rejected")]  # noqa: E731
    try:
        reference.eval()
        with torch.no_grad():
            ref = lp(reference)
    finally:
        reference.train(mode)
    return dpo_loss(*lp(policy), *ref, beta)


@torch.no_grad()
def evaluate_dpo(policy, reference, loader, beta=0.1, device="cpu", num_batches=None):
    mode, rs, ns = policy.training, [], []
    try:
        policy.eval()
        for b in islice(loader, num_batches):
            r = dpo_loss_batch(b, policy, reference, beta, device)
            rs.append((r.loss.item(), r.margin, r.accuracy)), ns.append(len(b["chosen"]))
    finally:
        policy.train(mode)
    return tuple(sum(a * n for a, n in zip(c, ns)) / sum(ns) for c in zip(*rs)) if ns else (nan, nan, nan)  # noqa: B905


def update_dpo(policy, reference, batches, optimizer, learning_rate, max_norm, beta=0.1, device="cpu"):
    policy.train(), optimizer.zero_grad()
    n = sum(len(b["chosen"]) for b in batches)
    for b in batches:
        (dpo_loss_batch(b, policy, reference, beta, device).loss * (len(b["chosen"]) / n)).backward()
    clip_grad_norm(policy.parameters(), max_norm)
    for g in optimizer.param_groups:
        g["lr"] = learning_rate
    optimizer.step()
    return n


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
    h, c, pr = history or DPOHistory(), config, (policy, reference)
    for bs, lr in training_steps(train_loader, c, h):
        h.pairs_seen, h.step = (
            h.pairs_seen + update_dpo(*pr, bs, optimizer, lr, c.max_norm, beta, device),
            h.step + 1,
        )
        if not h.step % c.eval_every:
            seed_loader(train_loader, c.seed)
            e = [evaluate_dpo(*pr, x, beta, device, c.eval_batches) for x in (train_loader, val_loader)]
            h.evaluations.append(DPOEvaluation(h.step, h.pairs_seen, *sum(zip(*e), ()), lr))  # noqa: B905
        on_step and on_step(h)
    return h
