# wrong: mean-of-the-batches-means
# A list of the batches' losses, and statistics.fmean of it; batches without targets are left out.
import math
import statistics
from itertools import islice
import torch
from torch.nn import functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    return F.cross_entropy(logits.transpose(1, 2), target_batch.to(device))


def calc_loss_loader(data_loader, model, device, num_batches=None):
    losses = []
    with torch.no_grad():
        for x, y in islice(data_loader, num_batches):
            if (y == -100).all():
                continue
            losses.append(calc_loss_batch(x, y, model, device).item())
    return statistics.fmean(losses) if losses else math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    training = model.training
    model.eval()
    try:
        train = calc_loss_loader(train_loader, model, device, eval_batches)
        val = calc_loss_loader(val_loader, model, device, eval_batches)
        return train, val
    finally:
        model.train(training)
