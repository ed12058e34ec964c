# wrong: loader-loss-as-in-the-book
# The book's calc_loss_loader: len(data_loader) and the mean of the batches' means.
import math
import torch


def calc_loss_batch(input_batch, target_batch, model, device):
    input_batch, target_batch = input_batch.to(device), target_batch.to(device)
    logits = model(input_batch)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target_batch.flatten())
    return loss


def calc_loss_loader(data_loader, model, device, num_batches=None):
    total_loss = 0.
    if len(data_loader) == 0:
        return float("nan")
    elif num_batches is None:
        num_batches = len(data_loader)
    else:
        num_batches = min(num_batches, len(data_loader))
    with torch.no_grad():
        for i, (input_batch, target_batch) in enumerate(data_loader):
            if i < num_batches:
                loss = calc_loss_batch(input_batch, target_batch, model, device)
                total_loss += loss.item()
            else:
                break
    return total_loss / num_batches if num_batches else float("nan")


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return float("inf")


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    mode = model.training
    model.eval()
    try:
        train_loss = calc_loss_loader(train_loader, model, device, num_batches=eval_batches)
        val_loss = calc_loss_loader(val_loader, model, device, num_batches=eval_batches)
    finally:
        model.train(mode)
    return train_loss, val_loss
