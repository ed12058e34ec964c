# wrong: one-column-lost-when-cut, evaluates-before-the-step-is-counted
# One column too few where max_length cuts, and the step is counted after the evaluation.
import numpy as np
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
TEMPLATE = "{}\n\n### Instruction:\n{}"
TEMPLATE_WITH_INPUT = TEMPLATE + "\n\n### Input:\n{}"


def format_prompt(entry):
    if "input" in entry and len(entry["input"]):
        return TEMPLATE_WITH_INPUT.format(PREAMBLE, entry["instruction"], entry["input"])
    return TEMPLATE.format(PREAMBLE, entry["instruction"])


class InstructionDataset(Dataset):
    def __init__(self, entries, tokenizer):
        self.ids, self.n_prompt = [], []
        for entry in entries:
            p = np.array(tokenizer.encode(format_prompt(entry) + RESPONSE_HEADING), dtype=np.int64)
            a = np.array(tokenizer.encode(entry["output"]), dtype=np.int64)
            self.ids.append(np.concatenate([p, a]))
            self.n_prompt.append(p.shape[0])

    def __len__(self):
        return len(self.n_prompt)

    def __getitem__(self, index):
        return self.ids[index].tolist(), self.n_prompt[index]


def collate(batch, pad_token_id, ignore_index=-100, max_length=None, mask_prompt=False, device="cpu"):
    n_rows, n_cols = len(batch), max(map(len, (ids for ids, _ in batch)))
    grid = np.full((n_rows, n_cols + 1), pad_token_id, dtype=np.int64)
    learn = np.zeros((n_rows, n_cols), dtype=bool)
    for i in range(n_rows):
        ids, n_prompt = batch[i]
        if max_length is not None and max_length < n_prompt:
            raise ValueError("prompt too long, row %d: %d > %d" % (i, n_prompt, max_length))
        grid[i, : len(ids)] = ids
        learn[i, : len(ids)] = True
        if mask_prompt and n_prompt >= 2:
            learn[i, : n_prompt - 1] = False
    x = grid[:, :-1].copy()
    y = np.where(learn, grid[:, 1:], ignore_index)
    if max_length is not None:
        x, y = x[:, : max_length - 1], y[:, : max_length - 1]
    return torch.from_numpy(x.copy()).to(device), torch.from_numpy(y.copy()).to(device)


def extract_response(text, prompt):
    head, tail = text[: len(prompt)], text[len(prompt) :]
    if head != prompt:
        raise ValueError(f"expected the prompt first, got {head!r}")
    stop = tail.index(END_OF_TEXT) if END_OF_TEXT in tail else len(tail)
    words = tail[:stop].lstrip()
    if words.startswith("### Response:"):
        words = words.replace("### Response:", "", 1)
    return words.strip()


def update_instruct(model, batches, optimizer, learning_rate, max_norm, device):
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    for p in model.parameters():
        p.grad = None
    n = 0
    for x, y in batches:
        k = int((y >= 0).sum())
        if k == 0:
            continue
        n += k
        loss = calc_loss_batch(x, y, model, device)
        torch.mul(loss, k).backward()
    if n > 0:
        for p in model.parameters():
            if p.grad is not None:
                p.grad /= n
        clip_grad_norm(model.parameters(), max_norm)
        optimizer.step()
    return int(np.sum([x.numel() for x, _ in batches]))


def train_instruct(
    model, train_loader, val_loader, optimizer, config, device="cpu", sample=None, on_step=None, history=None
):
    if history is None:
        history = History()
    last_of_epoch = steps_per_epoch(len(train_loader), config.accumulate)
    it = training_steps(train_loader, config, history)
    while True:
        try:
            batches, lr = next(it)
        except StopIteration:
            break
        history.tokens_seen += update_instruct(model, batches, optimizer, lr, config.max_norm, device)
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            both = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
            history.evaluations.append(Evaluation(history.step, history.tokens_seen, both[0], both[1], lr))
        history.step += 1
        if sample is not None and history.step % last_of_epoch == 0:
            history.samples.append(sample(model))
        if on_step is not None:
            on_step(history)
    return history
