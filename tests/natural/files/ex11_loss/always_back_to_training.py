# wrong: always-left-in-training-mode
# model.eval() at the start, model.train() at the end, as in the book.
import math
import torch


def calc_loss_batch(input_batch, target_batch, model, device):
    input_batch, target_batch = input_batch.to(device), target_batch.to(device)
    logits = model(input_batch)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), target_batch.flatten())


def calc_loss_loader(data_loader, model, device, num_batches=None):
    total_loss, n_tokens = 0.0, 0
    with torch.no_grad():
        for i, (input_batch, target_batch) in enumerate(data_loader):
            if num_batches is not None and not i < num_batches:
                break
            weight = (target_batch != -100).sum().item()
            if weight > 0:
                total_loss += weight * calc_loss_batch(input_batch, target_batch, model, device).item()
                n_tokens += weight
    return float("nan") if n_tokens == 0 else total_loss / n_tokens


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return float("inf")


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    model.eval()
    try:
        with torch.no_grad():
            train_loss = calc_loss_loader(train_loader, model, device, num_batches=eval_batches)
            val_loss = calc_loss_loader(val_loader, model, device, num_batches=eval_batches)
    finally:
        model.train()
    return train_loss, val_loss
