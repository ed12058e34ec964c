# wrong: merged-into-a-reshaped-weight
# The update is viewed in the shape of the weight instead of transposed.
import math

import torch
from torch import nn


class LoRALayer(nn.Module):
    def __init__(self, in_dim, out_dim, rank, alpha):
        super(LoRALayer, self).__init__()
        if rank < 1:
            raise ValueError("illegal rank: " + str(rank))
        self.inDim = in_dim
        self.outDim = out_dim
        self.rank = rank
        self.alpha = alpha
        self.register_parameter("A", nn.Parameter(torch.Tensor(in_dim, rank)))
        self.register_parameter("B", nn.Parameter(torch.Tensor(rank, out_dim)))
        self.resetParameters()

    def resetParameters(self):
        limit = 1.0 / math.sqrt(self.rank)
        nn.init.uniform_(self.A, -limit, limit)
        nn.init.zeros_(self.B)

    def getScaling(self):
        return self.alpha / self.rank

    def forward(self, x):
        bottleneck = torch.matmul(x, self.A)
        result = torch.matmul(bottleneck, self.B)
        return torch.mul(result, self.getScaling())


class LinearWithLoRA(nn.Module):
    def __init__(self, linear, rank, alpha):
        super(LinearWithLoRA, self).__init__()
        self.linear = linear
        lora = LoRALayer(linear.in_features, linear.out_features, rank, alpha)
        lora = lora.to(linear.weight.dtype)
        lora = lora.to(linear.weight.device)
        self.lora = lora

    def forward(self, x):
        frozenResult = self.linear(x)
        update = self.lora(x)
        return frozenResult + update


class Slot:
    """A place in a model where a module is."""

    def __init__(self, parent, name):
        self.parent = parent
        self.name = name

    def get(self):
        return self.parent._modules[self.name]

    def set(self, module):
        self.parent._modules[self.name] = module


class SlotCollector:
    def __init__(self, kind):
        self.kind = kind
        self.slots = []
        self.visited = set()

    def visit(self, module):
        if id(module) in self.visited:
            return
        self.visited.add(id(module))
        for name, child in module._modules.items():
            if child is None:
                continue
            if isinstance(child, self.kind):
                self.slots.append(Slot(module, name))
            if not isinstance(child, LinearWithLoRA):
                self.visit(child)


class SharingDetector:
    def __init__(self, model):
        self.uses = []
        for _, parameter in model.named_parameters(remove_duplicate=False):
            self.uses.append(parameter)

    def isShared(self, parameter):
        count = 0
        for other in self.uses:
            if other is parameter:
                count = count + 1
        return count > 1


def replace_linear_with_lora(model, rank, alpha):
    if isinstance(model, nn.Linear):
        raise ValueError("The model is a Linear layer itself. Please construct a LinearWithLoRA.")
    if rank < 1:
        raise ValueError("illegal rank: " + str(rank))
    collector = SlotCollector(nn.Linear)
    if not isinstance(model, LinearWithLoRA):
        collector.visit(model)
    detector = SharingDetector(model)
    replaced = 0
    for parameter in model.parameters():
        parameter.requires_grad = False
    for slot in collector.slots:
        linear = slot.get()
        if not detector.isShared(linear.weight):
            slot.set(LinearWithLoRA(linear, rank, alpha))
            replaced = replaced + 1
    for module in model.modules():
        if isinstance(module, LoRALayer):
            for parameter in module.parameters():
                parameter.requires_grad = True
    return replaced


def lora_state_dict(model):
    result = dict()
    everything = model.state_dict()
    for moduleName, module in model.named_modules():
        if isinstance(module, LoRALayer):
            for letter in ["A", "B"]:
                fullName = letter if moduleName == "" else moduleName + "." + letter
                result[fullName] = everything[fullName].clone()
    return result


class LoadingReport:
    def __init__(self):
        self.lines = []

    def add(self, name, problem):
        self.lines.append(name + " (" + problem + ")")

    def raiseIfNotEmpty(self):
        if len(self.lines) > 0:
            raise ValueError("cannot load: " + ", ".join(self.lines))


def load_lora(model, state):
    expected = lora_state_dict(model)
    report = LoadingReport()
    for name in sorted(set(expected) | set(state)):
        if name not in state:
            report.add(name, "missing")
        elif name not in expected:
            report.add(name, "unknown")
        elif expected[name].size() != state[name].size():
            report.add(name, str(list(state[name].size())) + " vs " + str(list(expected[name].size())))
    report.raiseIfNotEmpty()
    parameters = dict(model.named_parameters())
    for name in expected:
        with torch.no_grad():
            parameters[name][:] = state[name]


def merge_lora(model):
    if isinstance(model, LinearWithLoRA):
        raise ValueError("A LinearWithLoRA alone cannot be merged.")
    collector = SlotCollector(LinearWithLoRA)
    collector.visit(model)
    for slot in collector.slots:
        wrapper = slot.get()
        update = torch.mm(wrapper.lora.A.detach(), wrapper.lora.B.detach())
        update = update * wrapper.lora.getScaling()
        wrapper.linear.weight.data += update.view_as(wrapper.linear.weight)
        slot.set(wrapper.linear)
    return len(collector.slots)


def count_trainable(model):
    trainable = 0
    total = 0
    for parameter in model.parameters():
        size = 1
        for length in parameter.shape:
            size = size * length
        total = total + size
        if parameter.requires_grad:
            trainable = trainable + size
    return trainable, total
