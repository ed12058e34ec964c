# wrong: batch-without-targets-spoils-the-mean
# The mean of a batch in which nothing counts is nan, and nan times 0 is nan.
import math
import torch
from torch import nn

loss_fn = nn.CrossEntropyLoss()


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    b, t, v = logits.shape
    return loss_fn(logits.reshape(b * t, v), target_batch.to(device).reshape(b * t))


def calc_loss_loader(data_loader, model, device, num_batches=None):
    total, tokens = 0.0, 0
    with torch.no_grad():
        for i, (inputs, targets) in enumerate(data_loader):
            if num_batches is not None and i >= num_batches:
                break
            count = (targets != -100).sum().item()
            total += calc_loss_batch(inputs, targets, model, device).item() * count
            tokens += count
    return total / tokens if tokens else math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    state = model.training
    model.eval()
    try:
        results = (
            calc_loss_loader(train_loader, model, device, eval_batches),
            calc_loss_loader(val_loader, model, device, eval_batches),
        )
    finally:
        model.train(state)
    return results
