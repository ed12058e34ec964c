# wrong: divided-by-the-length-of-the-loader
# The mean loss of each batch is added up and divided by len(data_loader), though only num_batches were looked at.
import math
import torch
import torch.nn.functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    return F.cross_entropy(logits.view(-1, logits.size(-1)), target_batch.to(device).view(-1))


@torch.no_grad()
def calc_loss_loader(data_loader, model, device, num_batches=None):
    total = 0.0
    for step, (x, y) in enumerate(data_loader):
        if num_batches is not None and step >= num_batches:
            break
        total += calc_loss_batch(x, y, model, device).item()
    return total / len(data_loader) if len(data_loader) else math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    was_training = model.training
    model.eval()
    try:
        return (
            calc_loss_loader(train_loader, model, device, eval_batches),
            calc_loss_loader(val_loader, model, device, eval_batches),
        )
    finally:
        model.train(was_training)
