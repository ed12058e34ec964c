# right: a loop over sequences and positions with logsumexp, sums kept as fractions of a list.
import math
from itertools import islice

import torch


def position_losses(logits, targets):
    for row, ids in zip(logits, targets):
        for scores, target in zip(row, ids):
            if target.item() != -100:
                yield torch.logsumexp(scores, 0) - scores[target]


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    losses = list(position_losses(logits, target_batch.to(device)))
    if not losses:
        return logits.sum() * float("nan")
    return torch.stack(losses).mean()


def calc_loss_loader(data_loader, model, device, num_batches=None):
    pairs = []
    with torch.no_grad():
        for inputs, targets in islice(data_loader, num_batches):
            weight = (targets != -100).sum().item()
            pairs.append((weight, calc_loss_batch(inputs, targets, model, device).item() if weight else 0.0))
    weight = math.fsum(w for w, _ in pairs)
    return math.fsum(w * l for w, l in pairs) / weight if weight else math.nan


def perplexity(loss):
    try:
        return math.pow(math.e, loss) if loss != 0 else 1.0
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    flags = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        return tuple(calc_loss_loader(loader, model, device, eval_batches) for loader in (train_loader, val_loader))
    finally:
        for part, flag in flags:
            part.training = flag
