# wrong: softmax-before-the-loss
# Probabilities go into cross_entropy.
import math
import torch
import torch.nn.functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    probas = torch.softmax(model(input_batch.to(device)), dim=-1)
    return F.cross_entropy(probas.flatten(0, 1), target_batch.to(device).flatten())


def weights(targets):
    return int(targets.ne(-100).sum())


def calc_loss_loader(data_loader, model, device, num_batches=None):
    acc = [0.0, 0]
    with torch.no_grad():
        for i, (a, b) in enumerate(data_loader):
            if i == num_batches:
                break
            w = weights(b)
            if w:
                acc[0] += w * calc_loss_batch(a, b, model, device).item()
                acc[1] += w
    return acc[0] / acc[1] if acc[1] else math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    was = model.training
    model.eval()
    try:
        first = calc_loss_loader(train_loader, model, device, eval_batches)
        second = calc_loss_loader(val_loader, model, device, eval_batches)
    finally:
        model.train(was)
    return first, second
