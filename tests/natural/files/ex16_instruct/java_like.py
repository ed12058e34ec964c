# right: a class for everything, getters and builders, while loops over indices.
import torch
from torch.utils.data import Dataset

from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, seed_loader, steps_per_epoch
from .ex15_classify import training_steps

PREAMBLE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
RESPONSE_HEADING = "\n\n### Response:\n"
END_OF_TEXT = "<|endoftext|>"
NEW_PARAGRAPH = "\n\n"


class PromptBuilder:
    def __init__(self):
        self.buffer = []

    def append(self, text):
        self.buffer.append(text)
        return self

    def build(self):
        return "".join(self.buffer)


def format_prompt(entry):
    builder = PromptBuilder().append(PREAMBLE)
    builder.append(NEW_PARAGRAPH).append("### Instruction:\n").append(entry["instruction"])
    try:
        given = entry["input"]
    except KeyError:
        given = None
    if given is not None and len(given) > 0:
        builder.append(NEW_PARAGRAPH).append("### Input:\n").append(given)
    return builder.build()


class EncodedEntry:
    def __init__(self, promptIds, answerIds):
        self.promptIds = promptIds
        self.answerIds = answerIds

    def getAllIds(self):
        result = []
        result.extend(self.promptIds)
        result.extend(self.answerIds)
        return result

    def getPromptLength(self):
        return len(self.promptIds)


class InstructionDataset(Dataset):
    def __init__(self, entries, tokenizer):
        super().__init__()
        self.encodedEntries = []
        for i in range(len(entries)):
            promptIds = tokenizer.encode(format_prompt(entries[i]) + RESPONSE_HEADING)
            answerIds = tokenizer.encode(entries[i]["output"])
            self.encodedEntries.append(EncodedEntry(promptIds, answerIds))

    def __len__(self):
        return len(self.encodedEntries)

    def __getitem__(self, index):
        encoded = self.encodedEntries[index]
        return encoded.getAllIds(), encoded.getPromptLength()


class RowBuilder:
    def __init__(self, ids, promptLength, width, padId, ignoreIndex, maskPrompt):
        self.inputRow = []
        self.targetRow = []
        position = 0
        while position < width:
            if position < len(ids):
                self.inputRow.append(ids[position])
            else:
                self.inputRow.append(padId)
            nextPosition = position + 1
            if nextPosition < len(ids):
                target = ids[nextPosition]
            elif nextPosition == len(ids):
                target = padId
            else:
                target = ignoreIndex
            if maskPrompt and nextPosition < promptLength:
                target = ignoreIndex
            self.targetRow.append(target)
            position += 1


def collate(batch, pad_token_id, ignore_index=-100, max_length=None, mask_prompt=False, device="cpu"):
    width = 0
    for ids, _ in batch:
        width = max(width, len(ids))
    if max_length is not None:
        width = min(width, max_length)
        rowNumber = 0
        for _, promptLength in batch:
            if promptLength > max_length:
                message = "prompt of row " + str(rowNumber) + " is too long: " + str(promptLength)
                raise ValueError(message + ", max_length is " + str(max_length))
            rowNumber += 1
    inputRows = []
    targetRows = []
    for ids, promptLength in batch:
        row = RowBuilder(ids, promptLength, width, pad_token_id, ignore_index, mask_prompt)
        inputRows.append(row.inputRow)
        targetRows.append(row.targetRow)
    return torch.tensor(inputRows, device=device), torch.tensor(targetRows, device=device)


def extract_response(text, prompt):
    if text.find(prompt) != 0:
        raise ValueError("The prompt is not at the beginning of the text.")
    answer = ""
    position = len(prompt)
    while position < len(text) and text[position : position + len(END_OF_TEXT)] != END_OF_TEXT:
        answer = answer + text[position]
        position += 1
    answer = answer.strip()
    headingWithoutLineBreaks = RESPONSE_HEADING.strip()
    if answer[: len(headingWithoutLineBreaks)] == headingWithoutLineBreaks:
        answer = answer[len(headingWithoutLineBreaks) :].strip()
    return answer


class TargetCounter:
    IGNORED = -100

    @staticmethod
    def count(targets):
        return int((targets != TargetCounter.IGNORED).sum().item())

    @staticmethod
    def countAll(batches):
        total = 0
        for _, targets in batches:
            total += TargetCounter.count(targets)
        return total


def update_instruct(model, batches, optimizer, learning_rate, max_norm, device):
    model.train()
    for parameterGroup in optimizer.param_groups:
        parameterGroup["lr"] = learning_rate
    optimizer.zero_grad()
    totalCount = TargetCounter.countAll(batches)
    numberOfTokens = 0
    for inputs, targets in batches:
        numberOfTokens += inputs.shape[0] * inputs.shape[1]
        count = TargetCounter.count(targets)
        if count > 0:
            share = count / totalCount
            (calc_loss_batch(inputs, targets, model, device) * share).backward()
    if totalCount == 0:
        return numberOfTokens
    clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return numberOfTokens


class InstructTrainer:
    def __init__(self, model, trainLoader, valLoader, optimizer, config, device):
        self.model = model
        self.trainLoader = trainLoader
        self.valLoader = valLoader
        self.optimizer = optimizer
        self.config = config
        self.device = device
        self.stepsPerEpoch = steps_per_epoch(len(trainLoader), config.accumulate)

    def evaluate(self, history, learningRate):
        seed_loader(self.trainLoader, self.config.seed)
        losses = evaluate_model(self.model, self.trainLoader, self.valLoader, self.device, self.config.eval_batches)
        point = Evaluation(history.step, history.tokens_seen, losses[0], losses[1], learningRate)
        history.evaluations.append(point)

    def run(self, history, sample, onStep):
        for group, learningRate in training_steps(self.trainLoader, self.config, history):
            count = update_instruct(
                self.model, group, self.optimizer, learningRate, self.config.max_norm, self.device
            )
            history.step = history.step + 1
            history.tokens_seen = history.tokens_seen + count
            if history.step % self.config.eval_every == 0:
                self.evaluate(history, learningRate)
            endOfEpoch = history.step % self.stepsPerEpoch == 0
            if endOfEpoch and sample is not None:
                history.samples.append(sample(self.model))
            if onStep is not None:
                onStep(history)


def train_instruct(
    model, train_loader, val_loader, optimizer, config, device="cpu", sample=None, on_step=None, history=None
):
    if history is None:
        history = History()
    InstructTrainer(model, train_loader, val_loader, optimizer, config, device).run(history, sample, on_step)
    return history
