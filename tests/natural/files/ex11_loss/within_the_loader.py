# wrong: weighed-by-sequences, zero-for-nothing
# Within calc_loss_loader: batches are weighed by their number of sequences, and nothing at all gives 0.
import math
import torch
import torch.nn.functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    return F.cross_entropy(logits.flatten(0, 1), target_batch.to(device).flatten())


def calc_loss_loader(data_loader, model, device, num_batches=None):
    running, samples = 0.0, 0
    with torch.no_grad():
        for i, (x, y) in enumerate(data_loader):
            if num_batches is not None and i >= num_batches:
                break
            if y.eq(-100).all():
                continue
            running += calc_loss_batch(x, y, model, device).item() * x.size(0)
            samples += x.size(0)
    return running / max(samples, 1)


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    training = model.training
    model.eval()
    try:
        return (calc_loss_loader(train_loader, model, device, eval_batches),
                calc_loss_loader(val_loader, model, device, eval_batches))
    finally:
        model.train(training)
