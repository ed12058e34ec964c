# wrong: padding-in-front
# The pads come first.

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
    rng = random.Random(seed)
    labels = sorted(set(label for _, label in messages))
    groups = [[m for m in messages if m[1] == label] for label in labels]
    if not groups:
        return []
    num = min(len(g) for g in groups)
    balanced = []
    for g in groups:
        balanced += rng.sample(g, num)
    return balanced


def split_frames(messages, train_share=0.7, val_share=0.1, seed=123):
    df = list(messages)
    random.Random(seed).shuffle(df)
    train_end = int(len(df) * train_share)
    validation_end = train_end + int(len(df) * val_share)
    train_df = df[:train_end]
    validation_df = df[train_end:validation_end]
    test_df = df[validation_end:]
    return train_df, validation_df, test_df


class SpamDataset(Dataset):
    def __init__(self, messages, tokenizer, max_length=None, pad_token_id=50256):
        if max_length is not None and max_length < 1:
            raise ValueError(f"max_length={max_length}")
        self.data = messages
        self.encoded_texts = []
        for text, label in messages:
            ids = tokenizer.encode(text)
            if not ids:
                ids = [pad_token_id]
            self.encoded_texts.append(ids)
        if max_length is None:
            self.max_length = self._longest_encoded_length()
        else:
            self.max_length = max_length
            self.encoded_texts = [encoded[: self.max_length] for encoded in self.encoded_texts]
        self.lengths = [len(encoded) for encoded in self.encoded_texts]
        self.encoded_texts = [[pad_token_id] * (self.max_length - len(e)) + e for e in self.encoded_texts]

    def __getitem__(self, index):
        encoded = self.encoded_texts[index]
        return torch.tensor(encoded, dtype=torch.long), self.lengths[index], self.data[index][1]

    def __len__(self):
        return len(self.data)

    def _longest_encoded_length(self):
        max_length = 1
        for encoded_text in self.encoded_texts:
            if len(encoded_text) > max_length:
                max_length = len(encoded_text)
        return max_length


class ClassifierGPT(nn.Module):
    def __init__(self, gpt, num_classes):
        super().__init__()
        for param in gpt.parameters():
            param.requires_grad = False
        old = gpt.out_head.weight
        gpt.out_head = torch.nn.Linear(in_features=gpt.cfg.emb_dim, out_features=num_classes).to(old.device, old.dtype)
        for param in gpt.trf_blocks[-1].parameters():
            param.requires_grad = True
        for param in gpt.final_norm.parameters():
            param.requires_grad = True
        self.gpt = gpt

    def forward(self, ids, lengths):
        outputs = self.gpt(ids)
        batch = torch.arange(ids.shape[0], device=ids.device)
        return outputs[batch, lengths - 1, :]


def calc_class_loss(ids, lengths, labels, classifier, device):
    ids, lengths, labels = ids.to(device), lengths.to(device), labels.to(device)
    logits = classifier(ids, lengths)
    return torch.nn.functional.cross_entropy(logits, labels)


def evaluate_classifier(data_loader, classifier, device, num_batches=None):
    was_training = classifier.training
    classifier.eval()
    correct_predictions, num_examples, total_loss = 0, 0, 0.0
    try:
        with torch.no_grad():
            for i, (ids, lengths, labels) in enumerate(data_loader):
                if num_batches is not None and i >= num_batches:
                    break
                ids, lengths, labels = ids.to(device), lengths.to(device), labels.to(device)
                logits = classifier(ids, lengths)
                loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
                predicted_labels = torch.argmax(logits, dim=-1)
                num_examples += predicted_labels.shape[0]
                correct_predictions += (predicted_labels == labels).sum().item()
                total_loss += loss.item()
    finally:
        classifier.train(was_training)
    if num_examples == 0:
        return float("nan"), float("nan")
    return total_loss / num_examples, correct_predictions / num_examples


def calc_accuracy_loader(data_loader, classifier, device, num_batches=None):
    _, accuracy = evaluate_classifier(data_loader, classifier, device, num_batches)
    return accuracy


def update_classifier(classifier, batches, optimizer, learning_rate, max_norm, device):
    classifier.train()
    for param in classifier.parameters():
        param.grad = None
    examples_seen = 0
    for ids, lengths, labels in batches:
        loss = calc_class_loss(ids, lengths, labels, classifier, device)
        loss = loss / len(batches)
        loss.backward()
        examples_seen += ids.shape[0]
    clip_grad_norm(classifier.parameters(), max_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    return examples_seen


def train_classifier(classifier, train_loader, val_loader, optimizer, config, device="cpu", on_step=None, history=None):
    if history is None:
        history = ClassifierHistory()
    for batches, lr in training_steps(train_loader, config, history):
        history.examples_seen += update_classifier(classifier, batches, optimizer, lr, config.max_norm, device)
        history.step += 1
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            train_loss, train_acc = evaluate_classifier(train_loader, classifier, device, config.eval_batches)
            val_loss, val_acc = evaluate_classifier(val_loader, classifier, device, config.eval_batches)
            history.evaluations.append(
                ClassifierEvaluation(
                    history.step, history.examples_seen, train_loss, val_loss, train_acc, val_acc, lr
                )
            )
            print(f"(Step {history.step:06d}): Train loss {train_loss:.3f}, Val loss {val_loss:.3f}")
        if on_step is not None:
            on_step(history)
    return history


def classify_review(text, classifier, tokenizer, max_length, pad_token_id=50256, device="cpu"):
    was_training = classifier.training
    input_ids = tokenizer.encode(text)
    input_ids = input_ids[:max_length] or [pad_token_id]
    length = len(input_ids)
    input_ids += [pad_token_id] * (max_length - len(input_ids))
    input_tensor = torch.tensor(input_ids, device=device).unsqueeze(0)
    classifier.eval()
    try:
        with torch.no_grad():
            logits = classifier(input_tensor, torch.tensor([length], device=device))
    finally:
        classifier.train(was_training)
    probs = torch.softmax(logits, dim=-1)[0]
    predicted_label = torch.argmax(probs).item()
    return predicted_label, probs[predicted_label].item()
