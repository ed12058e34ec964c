# right: as short as it goes, a recursive mean.
import math, torch
from itertools import islice
from torch.nn.functional import cross_entropy as ce

def calc_loss_batch(input_batch, target_batch, model, device): return ce(model(input_batch.to(device)).flatten(0, 1), target_batch.to(device).flatten())

def calc_loss_loader(data_loader, model, device, num_batches=None):
    def go(it, mean=math.nan, n=0):
        for x, y in it:
            k = int((y != -100).sum())
            if k: return go(it, ((mean if n else 0) * n + float(calc_loss_batch(x, y, model, device)) * k) / (n + k), n + k)
        return mean
    with torch.no_grad(): return go(iter(islice(data_loader, num_batches)))

def perplexity(loss): return float(torch.exp(torch.as_tensor(loss, dtype=torch.float64)))

def evaluate_model(model, train_loader, val_loader, device, eval_batches=None):
    t = model.training; model.eval()
    try: return *(calc_loss_loader(l, model, device, eval_batches) for l in (train_loader, val_loader)),
    finally: model.train(t)
