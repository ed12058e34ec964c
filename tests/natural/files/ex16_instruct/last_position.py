# wrong: loss-of-the-last-position
# The loss is that of the last position alone, as in the classifier of the chapter before.
from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, TrainConfig, seed_loader, steps_per_epoch
from .ex15_classify import training_steps

PREAMBLE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
RESPONSE_HEADING = "\n\n### Response:\n"
END_OF_TEXT = "<|endoftext|>"


def _section(title: str, body: str) -> str:
    return f"### {title}:\n{body}"


def format_prompt(entry: dict[str, str]) -> str:
    sections = [PREAMBLE, _section("Instruction", entry["instruction"])]
    if entry.get("input", ""):
        sections.append(_section("Input", entry["input"]))
    return "\n\n".join(sections)


class InstructionDataset(Dataset):
    def __init__(self, entries, tokenizer) -> None:
        self._prompts: list[tuple[int, ...]] = [
            tuple(tokenizer.encode(format_prompt(e) + RESPONSE_HEADING)) for e in entries
        ]
        self._answers: list[tuple[int, ...]] = [tuple(tokenizer.encode(e["output"])) for e in entries]

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, index: int) -> tuple[list[int], int]:
        return [*self._prompts[index], *self._answers[index]], len(self._prompts[index])


def collate(batch, pad_token_id, ignore_index=-100, max_length=None, mask_prompt=False, device="cpu"):
    lengths = torch.tensor([len(ids) for ids, _ in batch])
    prompts = torch.tensor([n for _, n in batch])
    if max_length is not None and (prompts > max_length).any():
        worst = int((prompts > max_length).nonzero()[0])
        raise ValueError(f"row {worst}: prompt of {int(prompts[worst])} ids, max_length={max_length}")
    rows = pad_sequence(
        [torch.tensor([*ids, pad_token_id]) for ids, _ in batch], batch_first=True, padding_value=pad_token_id
    )
    x, y = rows[:, :-1], rows[:, 1:]
    place = torch.arange(x.shape[1])
    counts = place < lengths[:, None]
    if mask_prompt:
        counts = counts & (place >= prompts[:, None] - 1)
    y = torch.where(counts, y, torch.tensor(ignore_index))
    cut = slice(None, max_length)
    return x[:, cut].to(device), y[:, cut].to(device)


def extract_response(text: str, prompt: str) -> str:
    if not text.startswith(prompt):
        raise ValueError("this text has another prompt")
    written = re.split(re.escape(END_OF_TEXT), text.removeprefix(prompt))[0]
    match = re.match(r"\s*### Response:(.*)", written, flags=re.DOTALL)
    return (match.group(1) if match else written).strip()


def update_instruct(model: nn.Module, batches, optimizer, learning_rate, max_norm, device) -> int:
    model.train()
    for g in optimizer.param_groups:
        g.update(lr=learning_rate)
    optimizer.zero_grad()
    weight: list[int] = [int(torch.count_nonzero(t.ne(-100))) for _, t in batches]
    everything = sum(weight)
    if everything:
        for w, (x, y) in zip(weight, batches, strict=True):
            if w:
                logits: Tensor = model(x.to(device))
                loss = F.cross_entropy(logits[:, -1, :], y.to(device)[:, -1])
                loss.mul(w / everything).backward()
        clip_grad_norm(model.parameters(), max_norm)
        optimizer.step()
    return sum(x.numel() for x, _ in batches)


def train_instruct(
    model, train_loader, val_loader, optimizer, config: TrainConfig, device="cpu", sample=None, on_step=None, history=None
) -> History:  # fmt: skip
    log = history if history is not None else History()
    epoch_length = steps_per_epoch(len(train_loader), config.accumulate)
    for batches, rate in training_steps(train_loader, config, log):
        log.tokens_seen += update_instruct(model, batches, optimizer, rate, config.max_norm, device)
        log.step += 1
        if not log.step % config.eval_every:
            seed_loader(train_loader, config.seed)
            a, b = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
            log.evaluations.append(Evaluation(log.step, log.tokens_seen, a, b, rate))
        if sample and not log.step % epoch_length:
            log.samples.append(sample(model))
        if on_step:
            on_step(log)
    return log


_ = calc_loss_batch  # imported for the notebook beside this file
