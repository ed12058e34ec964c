# wrong: rate-not-set
# The learning rate of the step is never written into the optimizer.
from functools import partial, reduce

import torch
from torch.utils.data import Dataset

from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, seed_loader, steps_per_epoch
from .ex15_classify import training_steps

PREAMBLE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
RESPONSE_HEADING = "\n\n### Response:\n"
END_OF_TEXT = "<|endoftext|>"


def paragraphs(entry):
    yield PREAMBLE
    yield "### Instruction:\n" + entry["instruction"]
    if entry.get("input") not in (None, ""):
        yield "### Input:\n" + entry["input"]


def format_prompt(entry):
    return reduce(lambda so_far, more: so_far + "\n\n" + more, paragraphs(entry))


def encode_all(entries, encode):
    for entry in entries:
        question = encode("".join([format_prompt(entry), RESPONSE_HEADING]))
        yield question + encode(entry["output"]), len(question)


class InstructionDataset(Dataset):
    def __init__(self, entries, tokenizer):
        self.pairs = tuple(encode_all(entries, tokenizer.encode))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        ids, length = self.pairs[index]
        return ids[:], length


def fill(row, width, filler):
    """Recursion is enough here: rows are short."""
    return row if len(row) >= width else fill(row + [filler], width, filler)


def hide(targets, how_many, value):
    return [value] * how_many + targets[how_many:]


def check(batch, room):
    for number, (_, length) in enumerate(batch):
        if length > room:
            raise ValueError(f"no room for an answer in row {number}: {length} of {room} columns are prompt")


def collate(batch, pad_token_id, ignore_index=-100, max_length=None, mask_prompt=False, device="cpu"):
    room = float("inf") if max_length is None else max_length
    check(batch, room)
    width = min(room, max(len(ids) for ids, _ in batch))
    inputs = (fill(list(ids), width, pad_token_id) for ids, _ in batch)
    shifted = ((list(ids[1:]) + [pad_token_id], length) for ids, length in batch)
    hidden = (hide(ts, max(0, length - 1) if mask_prompt else 0, ignore_index) for ts, length in shifted)
    targets = (fill(ts, width, ignore_index) for ts in hidden)
    to_tensor = partial(torch.tensor, dtype=torch.long, device=device)
    return to_tensor([row[:width] for row in inputs]), to_tensor([row[:width] for row in targets])


def extract_response(text, prompt):
    if not text.startswith(prompt):
        raise ValueError("prompt and text do not belong together")
    before_the_end, _, _ = text[len(prompt) :].partition(END_OF_TEXT)
    blank, found, rest = before_the_end.partition("### Response:")
    return rest.strip() if found and not blank.strip() else before_the_end.strip()


def counting(targets):
    return sum(1 for target in targets.flatten().tolist() if target != -100)


def update_instruct(model, batches, optimizer, learning_rate, max_norm, device):
    model.train()
    optimizer.zero_grad()
    useful = [(pair, counting(pair[1])) for pair in batches if counting(pair[1])]
    denominator = sum(number for _, number in useful)
    for (inputs, targets), number in useful:
        mean = calc_loss_batch(inputs, targets, model, device)
        (number * mean / denominator).backward()
    if useful:
        clip_grad_norm(model.parameters(), max_norm)
        optimizer.step()
    return sum(inputs.numel() for inputs, _ in batches)


def train_instruct(
    model, train_loader, val_loader, optimizer, config, device="cpu", sample=None, on_step=None, history=None
):
    history = history if isinstance(history, History) else History()
    per_epoch = steps_per_epoch(len(train_loader), config.accumulate)

    def evaluate(rate):
        seed_loader(train_loader, config.seed)
        losses = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
        history.evaluations.append(Evaluation(history.step, history.tokens_seen, *losses, rate))

    jobs = [
        (lambda: history.step % config.eval_every == 0, evaluate),
        (lambda: sample and history.step % per_epoch == 0, lambda _: history.samples.append(sample(model))),
        (lambda: on_step, lambda _: on_step(history)),
    ]
    for batches, rate in training_steps(train_loader, config, history):
        history.tokens_seen += update_instruct(model, batches, optimizer, rate, config.max_norm, device)
        history.step += 1
        for is_due, job in jobs:
            if is_due():
                job(rate)
    return history
