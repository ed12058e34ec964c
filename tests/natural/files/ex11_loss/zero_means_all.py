# wrong: zero-batches-means-all
# `if num_batches and …` takes 0 for None.
import math
import torch
import torch.nn.functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    input_batch, target_batch = (t.to(device) for t in (input_batch, target_batch))
    logits = model(input_batch)
    return F.nll_loss(F.log_softmax(logits, dim=-1).flatten(0, 1), target_batch.flatten())


def calc_loss_loader(data_loader, model, device, num_batches=None):
    s = n = 0
    with torch.no_grad():
        for i, (inputs, targets) in enumerate(data_loader):
            if num_batches and i >= num_batches:
                break
            m = (targets != -100).sum().item()
            if not m:
                continue
            s += calc_loss_batch(inputs, targets, model, device).item() * m
            n += m
    return s / n if n else math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    training = model.training
    model.eval()
    try:
        return calc_loss_loader(train_loader, model, device, eval_batches), calc_loss_loader(
            val_loader, model, device, eval_batches
        )
    finally:
        model.train(training)
