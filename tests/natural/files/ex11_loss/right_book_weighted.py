# right: the book's loop with torch's cross_entropy, weighted, and a break by index.
import math
import torch


def calc_loss_batch(input_batch, target_batch, model, device):
    input_batch, target_batch = input_batch.to(device), target_batch.to(device)
    logits = model(input_batch)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target_batch.flatten())
    return loss


def calc_loss_loader(data_loader, model, device, num_batches=None):
    total_loss = 0.
    total_tokens = 0
    with torch.no_grad():
        for i, (input_batch, target_batch) in enumerate(data_loader):
            if num_batches is not None and i == num_batches:
                break
            n = torch.count_nonzero(target_batch != -100).item()
            if n == 0:
                continue
            loss = calc_loss_batch(input_batch, target_batch, model, device)
            total_loss += n * loss.item()
            total_tokens += n
    if total_tokens == 0:
        return float("nan")
    return total_loss / total_tokens


def perplexity(loss):
    if loss > 709.782712893384:
        return float("inf")
    return math.exp(loss)


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            train_loss = calc_loss_loader(train_loader, model, device, num_batches=eval_batches)
            val_loss = calc_loss_loader(val_loader, model, device, num_batches=eval_batches)
    finally:
        if was_training:
            model.train()
    return train_loss, val_loss
