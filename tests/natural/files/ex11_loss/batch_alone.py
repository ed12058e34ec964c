# wrong: loss-cut-from-the-graph
# calc_loss_batch is decorated with torch.no_grad; the loader does its own arithmetic, which is right.
import math
from itertools import islice

import torch
from torch import nn


@torch.no_grad()
def calc_loss_batch(input_batch, target_batch, model, device):
    scores = model(input_batch.to(device))
    return nn.functional.cross_entropy(scores.permute(0, 2, 1), target_batch.to(device))


@torch.no_grad()
def calc_loss_loader(data_loader, model, device, num_batches=None):
    surprise = []
    for inputs, targets in islice(data_loader, num_batches):
        scores = model(inputs.to(device))
        each = nn.functional.cross_entropy(scores.permute(0, 2, 1), targets.to(device), reduction="none")
        surprise.append(each[targets.to(device) != -100])
    return torch.cat(surprise).mean().item() if surprise else math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    was_training = model.training
    model.eval()
    try:
        return calc_loss_loader(train_loader, model, device, eval_batches), calc_loss_loader(
            val_loader, model, device, eval_batches
        )
    finally:
        model.train(was_training)
