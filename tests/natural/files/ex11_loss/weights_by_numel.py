# wrong: weighed-by-all-positions
# Each batch weighs as many tokens as it has positions, padding included.
import math
import torch
import torch.nn.functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target_batch.to(device).reshape(-1))


@torch.no_grad()
def calc_loss_loader(data_loader, model, device, num_batches=None):
    losses = torch.zeros(2, dtype=torch.float64)
    for i, (xb, yb) in enumerate(data_loader):
        if num_batches is not None and i >= num_batches:
            break
        losses += torch.tensor([calc_loss_batch(xb, yb, model, device).item() * yb.numel(), yb.numel()])
    return (losses[0] / losses[1]).item()


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    training = model.training
    model.eval()
    out = []
    try:
        for split in (train_loader, val_loader):
            out.append(calc_loss_loader(split, model, device, eval_batches))
    finally:
        model.train(training)
    return tuple(out)
