# right: sums kept in float64 tensors, masks in place of ifs, one-hot targets.
import torch
from torch import nan
from .ex00_tensors import cross_entropy


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    B, T, V = logits.shape
    return cross_entropy(logits.reshape(B * T, V), target_batch.to(device).reshape(B * T), ignore_index=-100)


def calc_loss_loader(data_loader, model, device, num_batches=None):
    if num_batches is None:
        num_batches = float("inf")
    numerator = torch.zeros((), dtype=torch.float64)
    denominator = torch.zeros((), dtype=torch.float64)
    with torch.inference_mode():
        index = 0
        loader = iter(data_loader)
        while index < num_batches:
            pair = next(loader, None)
            if pair is None:
                break
            inputs, targets = pair
            n = (targets != -100).sum().cpu()
            mean = calc_loss_batch(inputs, targets, model, device).cpu().double()
            numerator += torch.where(n > 0, mean * n, torch.zeros_like(mean))
            denominator += n
            index += 1
    return (numerator / denominator).item()


def perplexity(loss):
    import numpy as np
    with np.errstate(over="ignore"):
        return float(np.exp(np.float64(loss)))


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    mode = model.training
    try:
        model.train(False)
        a = calc_loss_loader(train_loader, model, device, eval_batches)
        b = calc_loss_loader(val_loader, model, device, eval_batches)
        return (a, b)
    finally:
        model.train(mode)
