# wrong: pads-found-by-value
# The book's own: of all targets with the pad's id the first counts and the others do not.
import torch
from torch.utils.data import Dataset

from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Evaluation, History, TrainConfig, seed_loader, steps_per_epoch
from .ex15_classify import training_steps

PREAMBLE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
RESPONSE_HEADING = "\n\n### Response:\n"
END_OF_TEXT = "<|endoftext|>"


def format_prompt(entry):
    instruction_text = PREAMBLE + "\n\n### Instruction:\n" + entry["instruction"]
    has_input = "input" in entry and entry["input"] != ""
    input_text = f"\n\n### Input:\n{entry['input']}" if has_input else ""
    return instruction_text + input_text


class InstructionDataset(Dataset):
    def __init__(self, entries, tokenizer):
        self.encoded_texts = []
        self.prompt_lengths = []
        for entry in entries:
            instruction_plus_input = format_prompt(entry) + RESPONSE_HEADING
            prompt_ids = tokenizer.encode(instruction_plus_input)
            response_ids = tokenizer.encode(entry["output"])
            self.encoded_texts.append(prompt_ids + response_ids)
            self.prompt_lengths.append(len(prompt_ids))

    def __getitem__(self, index):
        return self.encoded_texts[index].copy(), self.prompt_lengths[index]

    def __len__(self):
        return len(self.encoded_texts)


def collate(batch, pad_token_id, ignore_index=-100, max_length=None, mask_prompt=False, device="cpu"):
    if max_length is not None:
        for i, (_, n) in enumerate(batch):
            if n > max_length:
                raise ValueError(f"Row {i}: prompt has {n} tokens but max_length is {max_length}")
    batch_max_length = max(len(item) + 1 for item, _ in batch)
    inputs_lst, targets_lst = [], []
    for item, prompt_length in batch:
        new_item = item.copy()
        new_item += [pad_token_id]
        padded = new_item + [pad_token_id] * (batch_max_length - len(new_item))
        inputs = torch.tensor(padded[:-1])
        targets = torch.tensor(padded[1:])
        mask = targets == pad_token_id
        indices = torch.nonzero(mask).squeeze(-1)
        if indices.numel() > 1:
            targets[indices[1:]] = ignore_index
        if mask_prompt and prompt_length > 1:
            targets[: prompt_length - 1] = ignore_index
        if max_length is not None:
            inputs = inputs[:max_length]
            targets = targets[:max_length]
        inputs_lst.append(inputs)
        targets_lst.append(targets)
    inputs_tensor = torch.stack(inputs_lst).to(device)
    targets_tensor = torch.stack(targets_lst).to(device)
    return inputs_tensor, targets_tensor


def extract_response(text, prompt):
    if text[: len(prompt)] != prompt:
        raise ValueError("text does not start with the prompt")
    generated = text[len(prompt) :]
    end = generated.find(END_OF_TEXT)
    if end != -1:
        generated = generated[:end]
    generated = generated.strip()
    heading = "### Response:"
    if generated.startswith(heading):
        generated = generated[len(heading) :]
    return generated.strip()


def update_instruct(model, batches, optimizer, learning_rate, max_norm, device):
    model.train()
    for param_group in optimizer.param_groups:
        param_group["lr"] = learning_rate
    optimizer.zero_grad()
    total = 0
    tokens_seen = 0
    for input_batch, target_batch in batches:
        total += (target_batch != -100).sum().item()
        tokens_seen += input_batch.numel()
    print("targets that count:", total)
    for input_batch, target_batch in batches:
        n = (target_batch != -100).sum().item()
        if n == 0:
            continue
        loss = calc_loss_batch(input_batch, target_batch, model, device) * n / total
        loss.backward()
    if total > 0:
        clip_grad_norm(model.parameters(), max_norm)
        optimizer.step()
    return tokens_seen


def train_instruct(
    model, train_loader, val_loader, optimizer, config: TrainConfig, device="cpu", sample=None, on_step=None,
    history=None,
):  # fmt: skip
    if history is None:
        history = History()
    steps_in_epoch = steps_per_epoch(len(train_loader), config.accumulate)
    for group, lr in training_steps(train_loader, config, history):
        seen = update_instruct(model, group, optimizer, lr, config.max_norm, device)
        history.step += 1
        history.tokens_seen += seen
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            train_loss, val_loss = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
            print(f"Step {history.step:06d}: Train loss {train_loss:.3f}, Val loss {val_loss:.3f}")
            history.evaluations.append(Evaluation(history.step, history.tokens_seen, train_loss, val_loss, lr))
        if sample is not None and history.step % steps_in_epoch == 0:
            history.samples.append(sample(model))
        if on_step is not None:
            on_step(history)
    return history
