# wrong: overflow-comes-out
# e ** loss without a thought of very large losses.
import math
import torch
import torch.nn.functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    return F.cross_entropy(model(input_batch.to(device)).flatten(0, 1), target_batch.to(device).flatten(), ignore_index=-100)


def batches(data_loader, num_batches):
    for i, pair in enumerate(data_loader):
        if num_batches is not None and i >= num_batches:
            return
        yield pair


def calc_loss_loader(data_loader, model, device, num_batches=None):
    losses, weights = [], []
    with torch.no_grad():
        for x, y in batches(data_loader, num_batches):
            n = int((y != -100).sum())
            if n:
                losses.append(calc_loss_batch(x, y, model, device).item())
                weights.append(n)
    if not weights:
        return math.nan
    return sum(l * w for l, w in zip(losses, weights)) / sum(weights)


def perplexity(loss):
    return math.e ** loss


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    training = model.training
    model.eval()
    try:
        return (calc_loss_loader(train_loader, model, device, eval_batches),
                calc_loss_loader(val_loader, model, device, eval_batches))
    finally:
        model.train(training)
