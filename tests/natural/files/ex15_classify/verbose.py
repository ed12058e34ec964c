# right: a context manager for the mode, rows as objects, a loop over the rows.

from __future__ import annotations

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


class _Mode:
    """Evaluation mode for a while."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __enter__(self) -> None:
        self.before = self.module.training
        self.no_grad = torch.no_grad()
        self.no_grad.__enter__()
        self.module.eval()

    def __exit__(self, *error) -> None:
        self.no_grad.__exit__(*error)
        self.module.train(self.before)


def _count_rarest(messages_by_label: dict) -> int:
    rarest = None
    for messages in messages_by_label.values():
        if rarest is None or len(messages) < rarest:
            rarest = len(messages)
    return 0 if rarest is None else rarest


def balance(messages, seed: int):
    messages_by_label: dict = {}
    for message in messages:
        label = message[1]
        if label not in messages_by_label:
            messages_by_label[label] = []
        messages_by_label[label].append(message)
    number = _count_rarest(messages_by_label)
    generator = random.Random(seed)
    result = []
    for label in sorted(messages_by_label.keys()):
        chosen = generator.sample(messages_by_label[label], number)
        result.extend(chosen)
    return result


def split_frames(messages, train_share: float = 0.7, val_share: float = 0.1, seed: int = 123):
    generator = random.Random(seed)
    copy = []
    for message in messages:
        copy.append(message)
    generator.shuffle(copy)
    number_for_training = int(len(copy) * train_share)
    number_for_validation = int(len(copy) * val_share)
    training, validation, test = [], [], []
    for position, message in enumerate(copy):
        if position < number_for_training:
            training.append(message)
        elif position < number_for_training + number_for_validation:
            validation.append(message)
        else:
            test.append(message)
    return training, validation, test


class _Row:
    def __init__(self, ids: list, label: int) -> None:
        self.ids = ids
        self.label = label

    def cut(self, length: int) -> None:
        if len(self.ids) > length:
            self.ids = self.ids[0:length]

    def padded(self, length: int, pad: int) -> torch.Tensor:
        result = torch.full([length], pad, dtype=torch.int64)
        for column, token in enumerate(self.ids):
            result[column] = token
        return result


class SpamDataset(Dataset):
    def __init__(self, messages, tokenizer, max_length=None, pad_token_id: int = 50256) -> None:
        if max_length is not None:
            if max_length < 1:
                raise ValueError("max_length must be positive, not " + str(max_length))
        self.pad_token_id = pad_token_id
        self.rows: list = []
        longest = 1
        for text, label in messages:
            ids = tokenizer.encode(text)
            if len(ids) == 0:
                ids = [pad_token_id]
            longest = max(longest, len(ids))
            self.rows.append(_Row(ids, label))
        self.max_length = longest if max_length is None else max_length
        for row in self.rows:
            row.cut(self.max_length)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int):
        row = self.rows[index]
        return row.padded(self.max_length, self.pad_token_id), len(row.ids), row.label


def _freeze(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.requires_grad = False


def _unfreeze(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.requires_grad = True


class ClassifierGPT(nn.Module):
    def __init__(self, gpt: GPTModel, num_classes: int) -> None:
        super().__init__()
        self.gpt = gpt
        _freeze(self.gpt)
        self._replace_head(num_classes)
        _unfreeze(self.gpt.trf_blocks[-1])
        _unfreeze(self.gpt.final_norm)

    def _replace_head(self, num_classes: int) -> None:
        old_weight = self.gpt.out_head.weight
        width = old_weight.shape[1]
        new_head = nn.Linear(width, num_classes, bias=True, device=old_weight.device, dtype=old_weight.dtype)
        self.gpt.out_head = new_head

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        logits = self.gpt(ids)
        result = []
        for row in range(ids.shape[0]):
            column = int(lengths[row]) - 1
            result.append(logits[row, column])
        return torch.stack(result, dim=0)


def calc_class_loss(ids, lengths, labels, classifier: nn.Module, device) -> torch.Tensor:
    ids_on_device = ids.to(device)
    lengths_on_device = lengths.to(device)
    labels_on_device = labels.to(device)
    logits = classifier(ids_on_device, lengths_on_device)
    return cross_entropy(logits, labels_on_device)


class _Score:
    def __init__(self) -> None:
        self.loss = 0.0
        self.right = 0
        self.messages = 0

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        size = labels.shape[0]
        self.loss += cross_entropy(logits, labels).item() * size
        predicted = logits.argmax(dim=1)
        self.right += int(torch.sum(predicted == labels))
        self.messages += size

    def means(self) -> tuple:
        if self.messages == 0:
            return float("nan"), float("nan")
        return self.loss / self.messages, self.right / self.messages


def evaluate_classifier(data_loader, classifier: nn.Module, device, num_batches=None) -> tuple:
    score = _Score()
    with _Mode(classifier):
        number = 0
        iterator = iter(data_loader)
        while num_batches is None or number < num_batches:
            batch = next(iterator, None)
            if batch is None:
                break
            ids, lengths, labels = batch
            score.add(classifier(ids.to(device), lengths.to(device)), labels.to(device))
            number += 1
    return score.means()


def calc_accuracy_loader(data_loader, classifier: nn.Module, device, num_batches=None) -> float:
    loss, accuracy = evaluate_classifier(data_loader, classifier, device, num_batches)
    return accuracy


def update_classifier(classifier, batches, optimizer, learning_rate: float, max_norm: float, device) -> int:
    classifier.train(True)
    for parameter_group in optimizer.param_groups:
        parameter_group["lr"] = learning_rate
    for parameter in classifier.parameters():
        parameter.grad = None
    number_of_batches = len(batches)
    number_of_messages = 0
    for ids, lengths, labels in batches:
        loss = calc_class_loss(ids, lengths, labels, classifier, device)
        share = loss / number_of_batches
        share.backward()
        number_of_messages += labels.shape[0]
    clip_grad_norm(classifier.parameters(), max_norm)
    optimizer.step()
    return number_of_messages


def train_classifier(classifier, train_loader, val_loader, optimizer, config: TrainConfig, device="cpu", on_step=None, history=None) -> ClassifierHistory:
    if history is None:
        history = ClassifierHistory()
    for batches, learning_rate in training_steps(train_loader, config, history):
        examples = update_classifier(classifier, batches, optimizer, learning_rate, config.max_norm, device)
        history.step = history.step + 1
        history.examples_seen = history.examples_seen + examples
        is_time_to_evaluate = history.step % config.eval_every == 0
        if is_time_to_evaluate:
            seed_loader(train_loader, config.seed)
            on_training = evaluate_classifier(train_loader, classifier, device, config.eval_batches)
            on_validation = evaluate_classifier(val_loader, classifier, device, config.eval_batches)
            evaluation = ClassifierEvaluation(
                step=history.step,
                examples_seen=history.examples_seen,
                train_loss=on_training[0],
                val_loss=on_validation[0],
                train_accuracy=on_training[1],
                val_accuracy=on_validation[1],
                learning_rate=learning_rate,
            )
            history.evaluations.append(evaluation)
        if on_step is not None:
            on_step(history)
    return history


def classify_review(text: str, classifier: nn.Module, tokenizer, max_length: int, pad_token_id: int = 50256, device="cpu") -> tuple:
    dataset = SpamDataset([(text, 0)], tokenizer, max_length, pad_token_id)
    ids, length, _ = dataset[0]
    batch_of_ids = ids.reshape(1, -1).to(device)
    batch_of_lengths = torch.tensor([length], device=device)
    with _Mode(classifier):
        logits = classifier(batch_of_ids, batch_of_lengths)
    probabilities = torch.softmax(logits, dim=-1)
    label = int(torch.argmax(probabilities[0]))
    return label, float(probabilities[0][label])
