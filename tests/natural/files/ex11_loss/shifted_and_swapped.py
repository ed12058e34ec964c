# wrong: shifted-once-more, losses-exchanged
# The targets are shifted though they came shifted, and the validation loss is returned first.
import math
import torch
import torch.nn.functional as F


def calc_loss_batch(input_batch, target_batch, model, device):
    logits = model(input_batch.to(device))
    shift_logits = logits[..., :-1, :].contiguous()
    shift_labels = target_batch.to(device)[..., 1:].contiguous()
    return F.cross_entropy(shift_logits.view(-1, shift_logits.size(-1)), shift_labels.view(-1))


def calc_loss_loader(data_loader, model, device, num_batches=None):
    loss, tokens = 0.0, 0
    with torch.no_grad():
        for i, (x, y) in enumerate(data_loader):
            if num_batches is not None and i >= num_batches:
                break
            n = int((y != -100).sum())
            if n > 0:
                loss += calc_loss_batch(x, y, model, device).item() * n
                tokens += n
    return loss / tokens if tokens > 0 else math.nan


def perplexity(loss):
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    was_training = model.training
    model.eval()
    try:
        train_loss = calc_loss_loader(train_loader, model, device, eval_batches)
        val_loss = calc_loss_loader(val_loader, model, device, eval_batches)
        return val_loss, train_loss
    finally:
        model.train(was_training)
