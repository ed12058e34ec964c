# right: as few lines as possible; comprehensions, slices, `or`, conditional expressions.
from itertools import zip_longest

import torch

from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, seed_loader, steps_per_epoch
from .ex15_classify import training_steps

PREAMBLE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
RESPONSE_HEADING, END_OF_TEXT = "\n\n### Response:\n", "<|endoftext|>"


def format_prompt(entry):
    e = entry
    i = e.get("input")
    return f"{PREAMBLE}\n\n### Instruction:\n{e['instruction']}" + (f"\n\n### Input:\n{i}" if i else "")


class InstructionDataset(torch.utils.data.Dataset):
    def __init__(self, entries, tokenizer):
        enc = tokenizer.encode
        self.d = [(enc(format_prompt(e) + RESPONSE_HEADING), enc(e["output"])) for e in entries]

    def __len__(self):
        return len(self.d)

    def __getitem__(self, index):
        p, a = self.d[index]
        return p + a, len(p)


def collate(batch, pad_token_id, ignore_index=-100, max_length=None, mask_prompt=False, device="cpu"):
    for r, (_, n) in enumerate(batch):
        if max_length and n > max_length:
            raise ValueError(f"{r=} {n=} {max_length=}")
    xs = [ids for ids, _ in batch]
    ys = [
        [t if j >= n or not mask_prompt else ignore_index for j, t in enumerate(ids[1:] + [pad_token_id], 1)]
        for ids, n in batch
    ]
    x = torch.tensor(list(zip_longest(*xs, fillvalue=pad_token_id))).T[:, :max_length].contiguous()
    y = torch.tensor(list(zip_longest(*ys, fillvalue=ignore_index))).T[:, : x.shape[1]].contiguous()
    return x.to(device), y.to(device)


def extract_response(text, prompt):
    if not text.startswith(prompt):
        raise ValueError("no such prompt here")
    s = text[len(prompt) :].split(END_OF_TEXT)[0].strip()
    return s.removeprefix("### Response:").strip()


def update_instruct(model, batches, optimizer, learning_rate, max_norm, device):
    model.train(), optimizer.zero_grad()
    for g in optimizer.param_groups:
        g["lr"] = learning_rate
    c = [int(y.ne(-100).sum()) for _, y in batches]
    for (x, y), k in zip(batches, c, strict=True):
        k and (calc_loss_batch(x, y, model, device) * (k / sum(c))).backward()
    any(c) and (clip_grad_norm(model.parameters(), max_norm), optimizer.step())
    return sum(x.numel() for x, _ in batches)


def train_instruct(
    model, train_loader, val_loader, optimizer, config, device="cpu", sample=None, on_step=None, history=None
):
    m, tr, va, opt, c = model, train_loader, val_loader, optimizer, config
    h = History() if history is None else history
    n = steps_per_epoch(len(tr), c.accumulate)
    for b, lr in training_steps(tr, c, h):
        h.tokens_seen, h.step = h.tokens_seen + update_instruct(m, b, opt, lr, c.max_norm, device), h.step + 1
        if h.step % c.eval_every == 0:
            seed_loader(tr, c.seed)
            e = Evaluation(h.step, h.tokens_seen, *evaluate_model(m, tr, va, device, c.eval_batches), lr)
            h.evaluations += [e]
        if sample and h.step % n == 0:
            h.samples += [sample(m)]
        on_step and on_step(h)
    return h
