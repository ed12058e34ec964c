# right: accumulators, guards and trainers as classes; camelCase; one-hot vectors pick the log probabilities.
import math
from dataclasses import dataclass, field

import torch
from torch.utils.data import Dataset

from .ex12_optim import clip_grad_norm
from .ex13_train import seed_loader
from .ex15_classify import training_steps
from .ex16_instruct import RESPONSE_HEADING, format_prompt


class EncodedPair:
    def __init__(self, promptIds, chosenIds, rejectedIds):
        self.promptIds = promptIds
        self.chosenIds = chosenIds
        self.rejectedIds = rejectedIds

    def toTuple(self):
        return self.promptIds[:], self.chosenIds[:], self.rejectedIds[:]


class PreferenceDataset(Dataset):
    def __init__(self, entries, tokenizer):
        self.pairs = []
        for entry in entries:
            promptText = format_prompt(entry) + RESPONSE_HEADING
            self.pairs.append(
                EncodedPair(
                    tokenizer.encode(promptText),
                    tokenizer.encode(entry["chosen"]),
                    tokenizer.encode(entry["rejected"]),
                )
            )

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index].toTuple()


class SideBuilder:
    def __init__(self, padTokenId, maxLength):
        self.padTokenId = padTokenId
        self.maxLength = maxLength
        self.rows = []
        self.spans = []

    def addRow(self, promptIds, answerIds):
        row = promptIds + answerIds + [self.padTokenId]
        if self.maxLength is not None:
            row = row[: self.maxLength]
        self.rows.append(row)
        self.spans.append((len(promptIds), len(row)))

    def getLongest(self):
        return max(len(row) for row in self.rows)

    def buildIds(self, width):
        result = torch.empty(len(self.rows), width, dtype=torch.int64)
        result.fill_(self.padTokenId)
        for i, row in enumerate(self.rows):
            for j, token in enumerate(row):
                result[i, j] = token
        return result

    def buildMask(self, width):
        result = torch.zeros(len(self.rows), width, dtype=torch.bool)
        for i, (start, end) in enumerate(self.spans):
            result[i, start:end] = True
        return result


def collate_preferences(batch, pad_token_id, max_length=None, device="cpu"):
    chosenBuilder = SideBuilder(pad_token_id, max_length)
    rejectedBuilder = SideBuilder(pad_token_id, max_length)
    for i in range(len(batch)):
        promptIds, chosenIds, rejectedIds = batch[i]
        if max_length is not None and len(promptIds) >= max_length:
            raise ValueError("prompt " + str(i) + " has length " + str(len(promptIds)) + " >= " + str(max_length))
        chosenBuilder.addRow(promptIds, chosenIds)
        rejectedBuilder.addRow(promptIds, rejectedIds)
    width = max(chosenBuilder.getLongest(), rejectedBuilder.getLongest())
    result = {}
    for side, builder in (("chosen", chosenBuilder), ("rejected", rejectedBuilder)):
        result[side] = builder.buildIds(width).to(device)
        result[side + "_mask"] = builder.buildMask(width).to(device)
    return result


def sequence_logprobs(logits, ids, mask):
    numberOfRows, length, vocabularySize = logits.shape
    for row in range(numberOfRows):
        if int(mask[row, 1:].sum()) == 0:
            raise ValueError("row " + str(row) + " is empty")
    maximum = logits.detach().max(dim=-1, keepdim=True).values
    shifted = logits - maximum
    logProbabilities = shifted - shifted.exp().sum(dim=-1, keepdim=True).log()
    oneHot = torch.nn.functional.one_hot(ids[:, 1 : length + 1], vocabularySize).to(logits.dtype)
    perToken = (logProbabilities[:, 0 : length - 1] * oneHot).sum(dim=-1)
    weights = mask[:, 1:].to(logits.dtype)
    return (perToken * weights).sum(dim=-1)


@dataclass(frozen=True)
class DPOResult:
    loss: torch.Tensor
    chosen_rewards: torch.Tensor
    rejected_rewards: torch.Tensor
    margin: float
    accuracy: float


class RewardCalculator:
    def __init__(self, beta):
        self.beta = beta

    def reward(self, ofPolicy, ofReference):
        return self.beta * (ofPolicy - ofReference)


def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1):
    calculator = RewardCalculator(beta)
    chosenReward = calculator.reward(policy_chosen, reference_chosen)
    rejectedReward = calculator.reward(policy_rejected, reference_rejected)
    margin = torch.sub(chosenReward, rejectedReward)
    loss = torch.neg(torch.nn.LogSigmoid()(margin)).mean()
    correct = 0
    for value in margin.tolist():
        if value > 0:
            correct = correct + 1
    return DPOResult(
        loss=loss,
        chosen_rewards=chosenReward.clone().detach(),
        rejected_rewards=rejectedReward.clone().detach(),
        margin=margin.mean().item(),
        accuracy=correct / len(margin),
    )


class ModeGuard:
    def __init__(self, model):
        self.model = model
        self.savedMode = model.training

    def __enter__(self):
        self.model.eval()
        return self.model

    def __exit__(self, errorType, error, traceback):
        self.model.train(self.savedMode)
        return False


class BatchScorer:
    def __init__(self, batch, device):
        self.batch = {}
        for key in batch.keys():
            self.batch[key] = batch[key].to(device)

    def score(self, model, side):
        ids = self.batch[side]
        return sequence_logprobs(model(ids), ids, self.batch[side + "_mask"])


def dpo_loss_batch(batch, policy, reference, beta=0.1, device="cpu"):
    scorer = BatchScorer(batch, device)
    policyChosen = scorer.score(policy, "chosen")
    policyRejected = scorer.score(policy, "rejected")
    with ModeGuard(reference), torch.no_grad():
        referenceChosen = scorer.score(reference, "chosen")
        referenceRejected = scorer.score(reference, "rejected")
    return dpo_loss(policyChosen, policyRejected, referenceChosen, referenceRejected, beta)


class WeightedMean:
    def __init__(self):
        self.sum = 0.0
        self.weight = 0

    def add(self, value, weight):
        self.sum = self.sum + value * weight
        self.weight = self.weight + weight

    def get(self):
        if self.weight == 0:
            return math.nan
        return self.sum / self.weight


def evaluate_dpo(policy, reference, loader, beta=0.1, device="cpu", num_batches=None):
    lossMean = WeightedMean()
    marginMean = WeightedMean()
    accuracyMean = WeightedMean()
    with ModeGuard(policy), torch.no_grad():
        iterator = iter(loader)
        done = 0
        while num_batches is None or done < num_batches:
            try:
                batch = next(iterator)
            except StopIteration:
                break
            result = dpo_loss_batch(batch, policy, reference, beta, device)
            weight = batch["chosen"].shape[0]
            lossMean.add(result.loss.item(), weight)
            marginMean.add(result.margin, weight)
            accuracyMean.add(result.accuracy, weight)
            done = done + 1
    return lossMean.get(), marginMean.get(), accuracyMean.get()


def update_dpo(policy, reference, batches, optimizer, learning_rate, max_norm, beta=0.1, device="cpu"):
    policy.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.zero_grad()
    numberOfPairs = 0
    for batch in batches:
        numberOfPairs = numberOfPairs + batch["chosen"].shape[0]
    for batch in batches:
        result = dpo_loss_batch(batch, policy, reference, beta, device)
        weight = batch["chosen"].shape[0] / numberOfPairs
        weightedLoss = result.loss * weight
        weightedLoss.backward()
    clip_grad_norm(policy.parameters(), max_norm)
    optimizer.step()
    return numberOfPairs


@dataclass(frozen=True)
class DPOEvaluation:
    step: int
    pairs_seen: int
    train_loss: float
    val_loss: float
    train_margin: float
    val_margin: float
    train_accuracy: float
    val_accuracy: float
    learning_rate: float


@dataclass
class DPOHistory:
    step: int = 0
    pairs_seen: int = 0
    evaluations: list = field(default_factory=list)


class DPOTrainer:
    def __init__(self, policy, reference, optimizer, config, beta, device):
        self.policy = policy
        self.reference = reference
        self.optimizer = optimizer
        self.config = config
        self.beta = beta
        self.device = device

    def doStep(self, batches, learningRate):
        return update_dpo(
            self.policy,
            self.reference,
            batches,
            self.optimizer,
            learningRate,
            self.config.max_norm,
            self.beta,
            self.device,
        )

    def evaluate(self, loader):
        limit = self.config.eval_batches
        return evaluate_dpo(self.policy, self.reference, loader, self.beta, self.device, limit)


def train_dpo(
    policy,
    reference,
    train_loader,
    val_loader,
    optimizer,
    config,
    beta=0.1,
    device="cpu",
    on_step=None,
    history=None,
):
    if history is None:
        history = DPOHistory()
    trainer = DPOTrainer(policy, reference, optimizer, config, beta, device)
    for batches, learningRate in training_steps(train_loader, config, history):
        numberOfPairs = trainer.doStep(batches, learningRate)
        history.step = history.step + 1
        history.pairs_seen = history.pairs_seen + numberOfPairs
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            t = trainer.evaluate(train_loader)
            v = trainer.evaluate(val_loader)
            history.evaluations.append(
                DPOEvaluation(history.step, history.pairs_seen, t[0], v[0], t[1], v[1], t[2], v[2], learningRate)
            )
        if on_step is not None:
            on_step(history)
    return history
