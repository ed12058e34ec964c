# wrong: targets-not-moved, loader-with-a-graph
# .to without its result, and no torch.no_grad().
import math
import torch
from .ex00_tensors import cross_entropy


def calc_loss_batch(input_batch, target_batch, model, device):
    input_batch = input_batch.to(device)
    target_batch.to(device)
    logits = model(input_batch)
    return cross_entropy(logits.flatten(0, 1), target_batch.flatten())


def calc_loss_loader(data_loader, model, device, num_batches=None):
    loss_sum, token_count = 0.0, 0
    for i, (input_batch, target_batch) in enumerate(data_loader):
        if num_batches is not None and i >= num_batches:
            break
        count = int((target_batch != -100).sum())
        if count == 0:
            continue
        loss_sum += calc_loss_batch(input_batch, target_batch, model, device).item() * count
        token_count += count
    return loss_sum / token_count if token_count else math.nan


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
