# wrong: share-in-percent, tokens-of-this-process
# The share is in percent, and the tokens are those of this process alone.
import torch

from .ex00_tensors import cross_entropy
from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, seed_loader, steps_per_epoch
from .ex15_classify import training_steps


class FlopCounter:
    FORWARD_AND_BACKWARD = 3
    OPERATIONS_PER_WEIGHT = 2

    def countWeights(self, numberOfWeights):
        return self.FORWARD_AND_BACKWARD * self.OPERATIONS_PER_WEIGHT * numberOfWeights

    def countAttention(self, layers, width, length):
        return 12 * layers * width * length


def flops_per_token(num_parameters, n_layers, emb_dim, context_length):
    counter = FlopCounter()
    result = counter.countWeights(num_parameters)
    result = result + counter.countAttention(n_layers, emb_dim, context_length)
    return result


def share_of_peak(tokens_per_second, flops_per_token, peak_flops):
    achieved = float(tokens_per_second) * float(flops_per_token)
    return achieved / float(peak_flops) * 100.0


def mixed_precision_loss(inputs, targets, model, device, dtype):
    isFullPrecision = dtype is None or dtype is torch.float32
    if isFullPrecision:
        return calc_loss_batch(inputs, targets, model, device)
    movedInputs = inputs.to(device)
    movedTargets = targets.to(device)
    deviceType = torch.device(device).type
    autocast = torch.autocast(device_type=deviceType, dtype=dtype)
    with autocast:
        logits = model(movedInputs)
    logits = logits.to(torch.float32)
    flatLogits = torch.flatten(logits, 0, 1)
    flatTargets = torch.flatten(movedTargets)
    return cross_entropy(flatLogits, flatTargets)


class Sharder:
    def __init__(self, worldSize):
        self.worldSize = worldSize

    def rowsPerProcess(self, numberOfRows):
        if numberOfRows % self.worldSize > 0:
            raise ValueError(str(numberOfRows) + " rows, " + str(self.worldSize) + " processes")
        return numberOfRows // self.worldSize

    def take(self, tensor, rank):
        count = self.rowsPerProcess(tensor.shape[0])
        rows = []
        for i in range(rank * count, rank * count + count):
            rows.append(tensor[i])
        return torch.stack(rows)


def shard(tensor, rank, world_size):
    return Sharder(world_size).take(tensor, rank)


def broadcast_parameters(model, group):
    tensors = []
    for module in model.modules():
        for tensor in list(module._parameters.values()) + list(module._buffers.values()):
            alreadyThere = any(tensor is other for other in tensors)
            if tensor is not None and not alreadyThere:
                tensors.append(tensor)
    for tensor in tensors:
        group.broadcast(tensor, 0)


class GradientAverager:
    def __init__(self, group):
        self.group = group

    def average(self, parameter):
        if parameter.grad is None:
            parameter.grad = torch.zeros(parameter.shape, dtype=parameter.dtype, device=parameter.device)
        self.group.all_reduce(parameter.grad)
        parameter.grad = parameter.grad * (1.0 / self.group.world_size)


def average_gradients(model, group):
    averager = GradientAverager(group)
    for parameter in model.parameters():
        if parameter.requires_grad is True:
            averager.average(parameter)


def update_distributed(model, batches, optimizer, learning_rate, max_norm, device, group, dtype=None):
    model.train()
    for parameterGroup in optimizer.param_groups:
        parameterGroup["lr"] = learning_rate
    optimizer.zero_grad()
    numberOfTokens = 0
    numberOfBatches = len(batches)
    for i in range(numberOfBatches):
        inputs, targets = batches[i]
        ownInputs = shard(inputs, group.rank, group.world_size)
        ownTargets = shard(targets, group.rank, group.world_size)
        loss = mixed_precision_loss(ownInputs, ownTargets, model, device, dtype)
        scaledLoss = loss * (1.0 / numberOfBatches)
        scaledLoss.backward()
        numberOfTokens = numberOfTokens + ownInputs.shape[0] * ownInputs.shape[1]
    average_gradients(model, group)
    clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return numberOfTokens


def state_dict_to_save(model):
    prefix = "module."
    result = {}
    for key, value in model.state_dict().items():
        newKey = key
        if key.find(prefix) == 0:
            newKey = key.replace(prefix, "", 1)
        result[newKey] = value
    return result


class DistributedTrainer:
    def __init__(self, model, optimizer, config, group, device, dtype):
        self.model = model
        self.optimizer = optimizer
        self.config = config
        self.group = group
        self.device = device
        self.dtype = dtype

    def isMain(self):
        return self.group.rank == 0

    def step(self, batches, learningRate):
        maxNorm = self.config.max_norm
        return update_distributed(
            self.model, batches, self.optimizer, learningRate, maxNorm, self.device, self.group, self.dtype
        )

    def evaluate(self, trainLoader, valLoader):
        seed_loader(trainLoader, self.config.seed)
        return evaluate_model(self.model, trainLoader, valLoader, self.device, self.config.eval_batches)


def train_ddp(
    model, train_loader, val_loader, optimizer, config, group, device="cpu", dtype=None, sample=None, on_step=None, history=None
):  # fmt: skip
    if history is None:
        history = History()
    trainer = DistributedTrainer(model, optimizer, config, group, device, dtype)
    broadcast_parameters(model, group)
    stepsPerEpoch = steps_per_epoch(len(train_loader), config.accumulate)
    for batches, learningRate in training_steps(train_loader, config, history):
        tokens = trainer.step(batches, learningRate)
        history.step = history.step + 1
        history.tokens_seen = history.tokens_seen + tokens
        if history.step % config.eval_every == 0:
            losses = trainer.evaluate(train_loader, val_loader)
            history.evaluations.append(
                Evaluation(history.step, history.tokens_seen, losses[0], losses[1], learningRate)
            )
        if trainer.isMain() and sample is not None:
            if history.step % stepsPerEpoch == 0:
                history.samples.append(sample(model))
        if trainer.isMain() and on_step is not None:
            on_step(history)
    return history
