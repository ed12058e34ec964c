# wrong: only-the-last-position-of-a-batch
# calc_loss_batch is right; the loader does its own arithmetic, on the last position only.
import math
import torch
import torch.nn.functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    return F.cross_entropy(logits.flatten(0, 1), target_batch.to(device).flatten())


def calc_loss_loader(data_loader, model, device, num_batches=None):
    summed, counted = 0.0, 0
    with torch.no_grad():
        for i, (inputs, targets) in enumerate(data_loader):
            if num_batches is not None and i >= num_batches:
                break
            last_logits = model(inputs.to(device))[:, -1, :]
            last_targets = targets.to(device)[:, -1]
            summed += F.cross_entropy(last_logits, last_targets, reduction="sum").item()
            counted += (last_targets != -100).sum().item()
    return summed / counted if counted else math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    mode = model.training
    model.eval()
    try:
        train_loss = calc_loss_loader(train_loader, model, device, eval_batches)
        val_loss = calc_loss_loader(val_loader, model, device, eval_batches)
    finally:
        model.train(mode)
    return train_loss, val_loss
