# wrong: powers-of-two, evaluated-in-training-mode
# 2 to the loss, and the model is never put into evaluation mode.
import math
import torch
import torch.nn.functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    return F.cross_entropy(logits.flatten(0, 1), target_batch.to(device).flatten())


def calc_loss_loader(data_loader, model, device, num_batches=None):
    sum_, n = 0.0, 0
    with torch.no_grad():
        for i, (x, y) in enumerate(data_loader):
            if num_batches is not None and i >= num_batches:
                break
            k = int((y != -100).sum())
            if k:
                sum_ += calc_loss_batch(x, y, model, device).item() * k
                n += k
    return sum_ / n if n else math.nan


def perplexity(loss):
    try:
        return 2.0**loss
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    train_loss = calc_loss_loader(train_loader, model, device, eval_batches)
    val_loss = calc_loss_loader(val_loader, model, device, eval_batches)
    return train_loss, val_loss
