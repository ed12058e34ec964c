# right: a context manager for the mode, a class that averages, an iterator that is asked with next().
import contextlib
import math

import torch
import torch.nn as nn

IGNORED = -100


class AverageMeter:
    def __init__(self):
        self.sum, self.count = 0.0, 0

    def update(self, value, n=1):
        if n > 0:
            self.sum += value * n
            self.count += n

    @property
    def average(self):
        return self.sum / self.count if self.count > 0 else float("nan")


@contextlib.contextmanager
def evaluating(model):
    training = model.training
    try:
        yield model.eval()
    finally:
        model.train(training)


criterion = nn.CrossEntropyLoss(ignore_index=IGNORED)


def calc_loss_batch(input_batch, target_batch, model, device):
    x = input_batch.to(device, non_blocking=True)
    y = target_batch.to(device, non_blocking=True)
    return criterion(model(x).permute(0, 2, 1), y)


@torch.no_grad()
def calc_loss_loader(data_loader, model, device, num_batches=None):
    meter = AverageMeter()
    batches = iter(data_loader)
    seen = 0
    while num_batches is None or seen < num_batches:
        try:
            x, y = next(batches)
        except StopIteration:
            break
        seen += 1
        meter.update(calc_loss_batch(x, y, model, device).item(), int(y.ne(IGNORED).sum()))
    return meter.average


def perplexity(loss):
    return torch.tensor(loss, dtype=torch.double).exp().item()


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    with evaluating(model):
        train_loss = calc_loss_loader(train_loader, model, device, eval_batches)
        val_loss = calc_loss_loader(val_loader, model, device, eval_batches)
    return train_loss, val_loss
