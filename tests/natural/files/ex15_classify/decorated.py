# right: a decorator for evaluation, float64 inside the mean, one update for a joined list.

import math
import random
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import torch
from torch import nn
from torch.utils.data import Dataset

from .ex00_tensors import cross_entropy
from .ex09_gpt import GPTModel
from .ex12_optim import clip_grad_norm, lr_at
from .ex13_train import TrainConfig, seed_loader, steps_per_epoch


class Tokenizer(Protocol):
    def encode(self, text: str) -> list[int]:
        """The ids of a text."""


@dataclass(frozen=True)
class ClassifierEvaluation:
    step: int
    examples_seen: int
    train_loss: float
    val_loss: float
    train_accuracy: float
    val_accuracy: float
    learning_rate: float


@dataclass
class ClassifierHistory:
    step: int = 0
    examples_seen: int = 0
    evaluations: list[ClassifierEvaluation] = field(default_factory=list)


def training_steps(loader, config, history):
    per_epoch = steps_per_epoch(len(loader), config.accumulate)
    total_steps = config.num_epochs * per_epoch
    for epoch in range(1, config.num_epochs + 1):
        done = history.step - (epoch - 1) * per_epoch
        if done >= per_epoch:
            continue
        seed_loader(loader, config.seed + epoch)
        batches = islice(iter(loader), done * config.accumulate, None)
        while group := list(islice(batches, config.accumulate)):
            yield group, lr_at(history.step, config.max_lr, config.min_lr, config.warmup_steps, total_steps)


def balance(messages, seed):
    r, by = random.Random(seed), {}
    for m in messages: by.setdefault(m[1], []).append(m)
    n = min((len(v) for v in by.values()), default=0)
    return sum((r.sample(by[k], n) for k in sorted(by)), [])


def split_frames(messages, train_share=0.7, val_share=0.1, seed=123):
    m, n = [*messages], len(messages)
    random.Random(seed).shuffle(m)
    a, b = int(n * train_share), int(n * val_share)
    return m[:a], m[a:][:b], m[a + b:]


class SpamDataset(Dataset):
    def __init__(self, messages, tokenizer, max_length=None, pad_token_id=50256):
        if max_length is not None and max_length <= 0: raise ValueError(f"bad max_length {max_length}")
        rows = [(tokenizer.encode(t) or [pad_token_id], y) for t, y in messages]
        L = self.max_length = max_length or max((len(r) for r, _ in rows), default=1)
        self.x = torch.full((len(rows), L), pad_token_id)
        self.n, self.y = [], []
        for i, (r, y) in enumerate(rows):
            r = r[:L]
            self.x[i, : len(r)] = torch.tensor(r)
            self.n.append(len(r)); self.y.append(y)

    def __len__(self): return len(self.y)

    def __getitem__(self, index): return self.x[index].clone(), self.n[index], self.y[index]


class ClassifierGPT(nn.Module):
    def __init__(self, gpt, num_classes):
        super().__init__()
        self.gpt = gpt.requires_grad_(False)
        w = gpt.out_head.weight
        gpt.out_head = nn.Linear(w.size(1), num_classes, device=w.device, dtype=w.dtype)
        for m in (gpt.trf_blocks[-1], gpt.final_norm): m.requires_grad_(True)

    def forward(self, ids, lengths):
        z = self.gpt(ids)
        return z.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, z.size(-1))).squeeze(1)


def calc_class_loss(ids, lengths, labels, classifier, device):
    z = classifier(ids.to(device), lengths.to(device))
    return -z.log_softmax(-1).gather(1, labels.to(device)[:, None]).mean()


def _judging(function):
    @torch.no_grad()
    def inner(classifier, *rest):
        before = classifier.training
        try:
            return function(classifier.eval(), *rest)
        finally:
            classifier.train(before)
    return inner


@_judging
def _table(classifier, loader, device, limit):
    found = []
    for count, (x, n, y) in enumerate(loader if limit != 0 else ()):
        y = y.to(device)
        z = classifier(x.to(device), n.to(device)).double()
        found += zip((-torch.log_softmax(z, 1).gather(1, y[:, None]))[:, 0].tolist(), (z.argmax(1) == y).tolist())
        if limit is not None and count + 1 >= limit: break
    return found


def evaluate_classifier(data_loader, classifier, device, num_batches=None):
    found = _table(classifier, data_loader, device, num_batches)
    if not found: return math.nan, math.nan
    losses, hits = zip(*found)
    return sum(losses) / len(found), sum(hits) / len(found)


def calc_accuracy_loader(*given, **named): return evaluate_classifier(*given, **named)[1]


def update_classifier(classifier, batches, optimizer, learning_rate, max_norm, device):
    classifier.train().zero_grad()
    for g in optimizer.param_groups: g["lr"] = learning_rate
    for b in batches: (calc_class_loss(*b, classifier, device) / len(batches)).backward()
    clip_grad_norm(classifier.parameters(), max_norm)
    optimizer.step()
    return sum(len(b[-1]) for b in batches)


def train_classifier(classifier, train_loader, val_loader, optimizer, config, device="cpu", on_step=None, history=None):
    h = ClassifierHistory() if history is None else history
    for bs, lr in training_steps(train_loader, config, h):
        h.examples_seen += update_classifier(classifier, bs, optimizer, lr, config.max_norm, device)
        h.step += 1
        if not h.step % config.eval_every:
            seed_loader(train_loader, config.seed)
            (tl, ta), (vl, va) = (evaluate_classifier(d, classifier, device, config.eval_batches) for d in (train_loader, val_loader))
            h.evaluations.append(ClassifierEvaluation(h.step, h.examples_seen, tl, vl, ta, va, lr))
        if on_step: on_step(h)
    return h


def classify_review(text, classifier, tokenizer, max_length, pad_token_id=50256, device="cpu"):
    x, n, _ = SpamDataset([(text, -1)], tokenizer, max_length, pad_token_id)[0]
    mode = classifier.training
    classifier.eval()
    try:
        with torch.no_grad(): p = classifier(x[None].to(device), torch.tensor([n]).to(device))[0].softmax(0)
    finally: classifier.train(mode)
    return p.argmax().item(), p.max().item()
