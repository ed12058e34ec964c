# wrong: mean-of-the-sequences-means
# A loop over the sequences of a batch, each with its own mean.
import math
import torch
from .ex00_tensors import cross_entropy


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    targets = target_batch.to(device)
    loss = 0.0
    for b in range(len(targets)):
        loss = loss + cross_entropy(logits[b], targets[b])
    return loss / len(targets)


def calc_loss_loader(data_loader, model, device, num_batches=None):
    loss_sum = 0.0
    token_sum = 0
    with torch.no_grad():
        for number, batch in enumerate(data_loader, start=1):
            if num_batches is not None and number > num_batches:
                break
            inputs, targets = batch
            tokens = (targets != -100).sum().item()
            if tokens:
                loss_sum += calc_loss_batch(inputs, targets, model, device).item() * tokens
                token_sum += tokens
    if token_sum:
        return loss_sum / token_sum
    return math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    mode = model.training
    model.eval()
    try:
        a = calc_loss_loader(train_loader, model, device, eval_batches)
        b = calc_loss_loader(val_loader, model, device, eval_batches)
        return a, b
    finally:
        model.train(mode)
