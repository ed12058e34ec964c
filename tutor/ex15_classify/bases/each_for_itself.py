import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from .ex00_tensors import cross_entropy
from .ex12_optim import clip_grad_norm, lr_at
from .ex13_train import TrainConfig, seed_loader, steps_per_epoch

Message = tuple[str, int]
ClassBatch = tuple[Tensor, Tensor, Tensor]


class Tokenizer(Protocol):
    def encode(self, text: str) -> list[int]:  # given
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


def balance(messages, seed):
    labels = sorted({label for _, label in messages})
    groups = [[message for message in messages if message[1] == label] for label in labels]
    draw = random.Random(seed).sample
    return [message for group in groups for message in draw(group, min(map(len, groups)))]


def split_frames(messages, train_share=0.7, val_share=0.1, seed=123):
    order = [*messages]
    random.Random(seed).shuffle(order)
    first, second = (int(len(order) * share) for share in (train_share, val_share))
    return order[:first], order[first : first + second], order[first + second :]


class SpamDataset(Dataset):
    def __init__(
        self,
        messages: Sequence[Message],
        tokenizer: Tokenizer,
        max_length: int | None = None,
        pad_token_id: int = 50256,
    ) -> None:
        if max_length is not None and max_length < 1:
            raise ValueError(f"max_length is {max_length}; it must be at least 1")
        encoded = [tokenizer.encode(text) or [pad_token_id] for text, _ in messages]
        if max_length is None:
            max_length = max(map(len, encoded), default=1)
        self.max_length = max_length
        self.pad_token_id = pad_token_id
        self.encoded = [ids[:max_length] for ids in encoded]
        self.labels = [label for _, label in messages]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        ids = self.encoded[index]
        padding = [self.pad_token_id] * (self.max_length - len(ids))
        return torch.tensor(ids + padding), len(ids), self.labels[index]


class ClassifierGPT(nn.Module):
    def __init__(self, gpt, num_classes):
        super().__init__()
        gpt.requires_grad_(False)
        old = gpt.out_head.weight
        gpt.out_head = nn.Linear(old.shape[1], num_classes).to(old.device, old.dtype)
        gpt.trf_blocks[-1].requires_grad_(True)
        gpt.final_norm.requires_grad_(True)
        self.gpt: nn.Module = gpt

    def forward(self, ids, lengths):
        every = self.gpt(ids)
        at = (lengths - 1)[:, None, None].expand(-1, 1, every.shape[-1])
        return every.gather(1, at)[:, 0]


def calc_class_loss(
    ids: Tensor, lengths: Tensor, labels: Tensor, classifier: nn.Module, device: torch.device | str
) -> Tensor:
    return cross_entropy(classifier(ids.to(device), lengths.to(device)), labels.to(device))


def evaluate_classifier(
    data_loader: Iterable[ClassBatch],
    classifier: nn.Module,
    device: torch.device | str,
    num_batches: int | None = None,
) -> tuple[float, float]:
    was_training = classifier.training
    classifier.eval()
    total_loss, correct, seen = 0.0, 0, 0
    try:
        with torch.no_grad():
            for ids, lengths, labels in islice(data_loader, num_batches):
                labels = labels.to(device)
                logits = classifier(ids.to(device), lengths.to(device))
                total_loss += cross_entropy(logits, labels).item() * len(labels)
                correct += int((logits.argmax(dim=-1) == labels).sum())
                seen += len(labels)
    finally:
        classifier.train(was_training)
    return (total_loss / seen, correct / seen) if seen else (math.nan, math.nan)


def calc_accuracy_loader(data_loader, classifier, device, num_batches=None):
    before = classifier.training
    classifier.eval()
    correct_predictions, num_examples = 0, 0
    try:
        for i, (ids, lengths, labels) in enumerate(data_loader if num_batches != 0 else ()):
            with torch.no_grad():
                predicted = torch.argmax(classifier(ids.to(device), lengths.to(device)), dim=1)
            num_examples += labels.shape[0]
            correct_predictions += (predicted == labels.to(device)).sum().item()
            if i + 1 == num_batches:
                break
    finally:
        classifier.train(before)
    return correct_predictions / num_examples if num_examples else math.nan


def update_classifier(classifier, batches, optimizer, learning_rate, max_norm, device):
    classifier.train()
    for parameter in classifier.parameters():
        parameter.grad = None
    for batch in batches:
        ids, lengths, labels = (tensor.to(device) for tensor in batch)
        loss = nn.functional.cross_entropy(classifier(ids, lengths), labels)
        loss.div(len(batches)).backward()
    clip_grad_norm([*classifier.parameters()], max_norm)
    for param_group in optimizer.param_groups:
        param_group.update(lr=learning_rate)
    optimizer.step()
    return sum(batch[2].shape[0] for batch in batches)


def training_steps(loader, config: TrainConfig, history):  # given
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


def train_classifier(
    classifier, train_loader, val_loader, optimizer, config, device="cpu", on_step=None, history=None
):
    if history is None:
        history = ClassifierHistory()
    for group, rate in training_steps(train_loader, config=config, history=history):
        history.examples_seen += update_classifier(classifier, group, optimizer, rate, config.max_norm, device)
        history.step = history.step + 1
        if not history.step % config.eval_every:
            found = {}
            for name, loader in (("train", train_loader), ("val", val_loader)):
                seed_loader(train_loader, seed=config.seed)
                found[name + "_loss"], found[name + "_accuracy"] = evaluate_classifier(
                    loader, classifier, device, config.eval_batches
                )
            counts = {"step": history.step, "examples_seen": history.examples_seen, "learning_rate": rate}
            history.evaluations.append(ClassifierEvaluation(**counts, **found))
        if on_step is None:
            continue
        on_step(history)
    return history


def classify_review(text, classifier, tokenizer, max_length, pad_token_id=50256, device="cpu"):
    before = classifier.training
    input_ids = tokenizer.encode(text)[:max_length] or [pad_token_id]
    count = len(input_ids)
    row = torch.tensor([input_ids + [pad_token_id] * (max_length - count)], device=device)
    try:
        with torch.no_grad():
            scores = classifier.eval()(row, torch.tensor([count], device=device))
    finally:
        classifier.train(before)
    chances = torch.softmax(scores, dim=-1)[0]
    return int(chances.argmax()), float(chances.max())
