# wrong: only-the-last-position-of-a-batch
# The loss of the last position alone, as for a classifier.
import math
import torch
from torch import nn
from .ex00_tensors import cross_entropy


def calc_loss_batch(input_batch, target_batch, model, device):
    input_batch = input_batch.to(device)
    target_batch = target_batch.to(device)
    logits = model(input_batch)[:, -1, :]
    targets = target_batch[:, -1]
    return cross_entropy(logits, targets)


def calc_loss_loader(data_loader, model, device, num_batches=None):
    weighted, tokens = 0.0, 0
    with torch.no_grad():
        for i, (x, y) in enumerate(data_loader):
            if num_batches is not None and i >= num_batches:
                break
            n = int((y != -100).sum())
            if n == 0:
                continue
            weighted += calc_loss_batch(x, y, model, device).item() * n
            tokens += n
    return weighted / tokens if tokens else math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    before = model.training
    model.eval()
    try:
        losses = [calc_loss_loader(loader, model, device, eval_batches) for loader in (train_loader, val_loader)]
    finally:
        model.train(before)
    return tuple(losses)
