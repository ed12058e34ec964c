"""Instructions: from a model that continues text to one that answers.

You need: `calc_loss_batch` and −100 (exercise 11), `update` and `train_model` (exercise 13), `training_steps`
(exercise 15, given), and how a DataLoader calls its `collate_fn`: with a list of items, for one batch.

WHY
A pretrained GPT continues text. Ask it "What is the capital of France?" and it may well go on with "What is
the capital of Spain?", because lists of questions look like that. It knows the answer, but has never been
shown that a question asks for one. Fine-tuning shows it: a thousand instructions, each with a good answer, all
written in the same form. The loss is the old one, the next token. Only the text is new.

THE FORM
Every entry has an instruction, perhaps an input to work on, and an output. It becomes this text:

    Below is an instruction that describes a task. Write a response that
    appropriately completes the request.            (one line, up to here)

    ### Instruction:
    Correct the spelling.

    ### Input:                                      (left out, heading and
    freind                                           all, without an input)

    ### Response:
    friend<|endoftext|>

Everything above the answer is the *prompt*, and the heading "### Response:" is its last line. When somebody
asks later, the model is given exactly the prompt, heading included, and goes on from there. The end-of-text
token after the answer is how the model learns to stop.

A BATCH OF UNEQUAL LENGTHS
Entries differ in length, and a tensor is a rectangle. So the shorter rows are padded on the right, only up to
the longest row of *this* batch. The usual pad id is that of end-of-text, as GPT-2 has no other to spare.
Targets are the inputs, moved by one: at every position the token that comes next. There are then four kinds:

    next token                 target               why
    a token of the prompt      itself, or −100      the prompt is given; whether learning to write it
                                                    helps is a choice: mask_prompt
    a token of the answer      itself               this is what should be learned
    the first end-of-text      itself               the model should learn to stop
    padding after that         −100                 nothing to learn: it is not text

A target of −100 does not count: your loss of exercise 11 leaves it out. What decides is the *position* of a target
and not its value: an end-of-text id within a text is text and counts, though the pads have the same id.

Attention needs no further mask. The padding is on the right, and under the causal mask a token sees only what
is to its left. A DataLoader makes such batches if it is told how, with `functools.partial` for the arguments:

    DataLoader(data, 8, shuffle=True, collate_fn=partial(collate, pad_token_id=50256))

A SMALL EXAMPLE
Two items. The first has the ids 5 6 7 8 4, three of them the prompt; the second 5 3 2, two of them the prompt.
The pad id is 0, and · stands for −100.

    inputs             targets            with mask_prompt      with max_length=3
    5  6  7  8  4      6  7  8  4  0      ·  ·  8  4  0         5  6  7      6  7  8
    5  3  2  0  0      3  2  0  ·  ·      ·  2  0  ·  ·         5  3  2      3  2  0

The first token of the answer, 8 and 2, is a target in every column: the prompt's last token has to predict it.
In the last column the first row is cut. Its target is still the next token, 8, and no end-of-text: its answer
did not end there, and the model should not learn that it did.

WHO WEIGHS HOW MUCH
In exercise 13 each batch of a group weighed the same. Pretraining batches all have the same number of tokens,
so there each token weighed the same too. Here one batch may hold three words of answers and the next three
hundred, and a token should not weigh more because its neighbours are few. So sum the losses of all tokens of
the group, and divide once by how many count in the whole group:

    batch    tokens that count    mean loss
    1        1                    4.0
    2        7                    2.0

    here           (1 · 4.0 + 7 · 2.0) / 8 = 2.25      each token weighs 1/8
    exercise 13    (4.0 + 2.0) / 2         = 3.0       the one token weighs 1/2, each of the seven 1/14

The gradient is then that of one large batch, which is what accumulation is meant to imitate. For a group of a
single batch both rules are the same.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", sections 7.2 to 7.7. There the prompt ends before
"### Response:", and the model has to write the heading itself; here the heading belongs to the prompt, so that
nothing is left to it but the answer. There pads are found by their value: of all targets in a row that have the
pad's id, the first counts and the others do not, also where they are text. There the length of the prompt is not
kept; exercise 7.2 asks for it. And the book does not accumulate.

TWO QUESTIONS (the answers are at the end of this file)
1. Prompt and output are encoded one by one and the ids joined, not the joined text encoded. What could go wrong
   otherwise, when the prompt is masked?
2. With mask_prompt and max_length = 100, may a prompt have 100 ids? What is learned from it?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex16` trains a small model on four instructions twice: with your
targets, and with every end-of-text among them hidden. Predict what the second model writes once its answer is
complete.

Shapes: B rows in a batch, T the longest of them, or max_length if that is less.
Read on: Ouyang et al. 2022, "Training language models to follow instructions with human feedback". Taori et al.
2023, "Stanford Alpaca", for the form. Shi et al. 2024, "Instruction Tuning With Loss Over Instructions", for
masking the prompt or not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import nn
from torch.utils.data import Dataset

from .ex11_loss import calc_loss_batch, evaluate_model
from .ex12_optim import clip_grad_norm
from .ex13_train import Batch, Evaluation, History, TrainConfig, seed_loader, steps_per_epoch
from .ex15_classify import Tokenizer, training_steps

# What the prompt begins with.
PREAMBLE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
# What comes between `format_prompt` and the answer. It belongs to the prompt.
RESPONSE_HEADING = "\n\n### Response:\n"
# How the token that ends a text looks when it is decoded.
END_OF_TEXT = "<|endoftext|>"

# The ids of a prompt and its answer, and how many of them are the prompt.
Item = tuple[list[int], int]


def format_prompt(entry: Mapping[str, str]) -> str:
    """The text of an entry up to the heading "### Response:", without it.

    Arguments
        entry  has the keys "instruction" and "output", and perhaps "input"
    Returns
        PREAMBLE, then "\\n\\n### Instruction:\\n" and the instruction; then, only if there is an input that is
        not empty, "\\n\\n### Input:\\n" and the input

    Instruction and input should be left as they are, white space included.

    Example: for the instruction "Add." and the input "1, 2" it ends in

        "\\n\\n### Instruction:\\nAdd.\\n\\n### Input:\\n1, 2"

    Source: Taori et al. 2023, in the form of Raschka, section 7.2.
    """
    prompt = f"{PREAMBLE}\n\n### Instruction:\n{entry['instruction']}"
    if entry.get("input"):
        prompt += f"\n\n### Input:\n{entry['input']}"
    return prompt


class InstructionDataset(Dataset):
    """Entries as ids, each with the length of its prompt.

    Arguments
        entries    mappings as for `format_prompt`
        tokenizer  anything with `encode(text) -> list[int]`: your BPETokenizer, or tiktoken's

    The ids of an entry should be those of its prompt, that is `format_prompt(entry) + RESPONSE_HEADING`, and then
    those of its output, as two calls of `encode` give them. No end-of-text yet: `collate` appends it.

    Everything should be encoded once, when the data set is made.

    Source: Raschka, section 7.3.
    """

    def __init__(self, entries: Sequence[Mapping[str, str]], tokenizer: Tokenizer) -> None:
        """Encode every prompt and every output."""
        self.items: list[Item] = []
        for entry in entries:
            prompt = tokenizer.encode(format_prompt(entry) + RESPONSE_HEADING)
            self.items.append((prompt + tokenizer.encode(entry["output"]), len(prompt)))

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        """The entry with this number, counted from 0.

        Arguments
            index  0 or more, and less than the length
        Returns
            (ids, prompt_length): a list of Python ints, and how many of them are the prompt

        Example: a prompt that gives 4 ids and an output that gives [8, 9] make a list of 6 ids, and 4.

        Fine print
            The list should be a new one each time: whoever changes it does not change the data set.
        """
        ids, prompt_length = self.items[index]
        return list(ids), prompt_length


def collate(
    batch: Sequence[Item],
    pad_token_id: int,
    ignore_index: int = -100,
    max_length: int | None = None,
    mask_prompt: bool = False,
    device: torch.device | str = "cpu",
) -> Batch:
    """One batch as a rectangle: inputs, and targets one token ahead.

    Arguments
        batch         at least one pair (ids, prompt_length)
        pad_token_id  end-of-text: appended once to each row, then used as padding
        ignore_index  the target where nothing is learned
        max_length    the most columns, 1 or more; None: no limit
        mask_prompt   ignore the prompt's own targets?
        device        where both tensors should be
    Returns
        (inputs, targets), int64 (B, T); T is the length of the longest `ids`, or max_length if that is less

    Example: the small one of the lesson.

    Fine print
        Rows are cut after the shift: a target is the next token, also in the last column.
        The end-of-text that was appended is a target; padding is not. The position decides, never the value.
        A prompt of 1 id, or of none, has no target to hide.
        ValueError: a prompt is longer than max_length, masked or not, so that no token of its answer would be a
        target. The message should name the row, counted from 0, the length of its prompt, and max_length.

    Source: Raschka, section 7.3.
    """
    longest = max(len(ids) for ids, _ in batch)
    width = longest if max_length is None else min(longest, max_length)
    inputs = torch.full((len(batch), width), pad_token_id)
    targets = torch.full((len(batch), width), ignore_index)
    for row, (ids, prompt_length) in enumerate(batch):
        if max_length is not None and prompt_length > max_length:
            raise ValueError(
                f"the prompt of row {row} has {prompt_length} ids, which leaves no room for an answer "
                f"when max_length is {max_length}"
            )
        whole = torch.tensor([*ids, pad_token_id])
        length = min(len(ids), width)
        first = max(prompt_length - 1, 0) if mask_prompt else 0
        inputs[row, :length] = whole[:length]
        targets[row, first:length] = whole[first + 1 : length + 1]
    return inputs.to(device), targets.to(device)


def extract_response(text: str, prompt: str) -> str:
    """What the model answered, out of all the text that there is after it wrote.

    Arguments
        text    the prompt and what the model wrote after it, decoded
        prompt  what the model was given, with the heading or without
    Returns
        what comes after the prompt, up to the first END_OF_TEXT if there is one, without white space at its ends

    Example: extract_response("Add.\\n\\n### Response:\\n 3 <|endoftext|>", "Add.\\n\\n### Response:\\n") is "3".

    Fine print
        If what the model wrote begins with "### Response:", because the prompt lacked it, that heading is left
        out, once. Anywhere later it is part of the answer.
        END_OF_TEXT within the prompt ends nothing.
        ValueError: the text does not begin with the prompt. The message should contain the word "prompt".

    Source: Raschka, section 7.7.
    """
    if not text.startswith(prompt):
        raise ValueError("the text does not begin with the prompt")
    response = text[len(prompt) :].partition(END_OF_TEXT)[0].strip()
    return response.removeprefix(RESPONSE_HEADING.strip()).strip()


def update_instruct(
    model: nn.Module,
    batches: Sequence[Batch],
    optimizer: torch.optim.Optimizer,
    learning_rate: float,
    max_norm: float,
    device: torch.device | str,
) -> int:
    """One step of the optimizer, in which every token that counts weighs the same.

    Arguments and result are those of `update` in exercise 13, and all is done as there and in the same order. But
    the gradient should be that of this one number: the sum of the losses of all targets that count in the group,
    divided by how many count in the whole group. A target counts where it is not −100.

    Example: for the two batches of the lesson it is the gradient of 2.25, not of 3.0.

    Fine print
        The result is the number of all input tokens, padding included, as a Python int.
        As there, each batch should go backward before the next one goes forward.
        A batch in which no target counts should have no influence on the step. (The mean of its losses is nan.)
        If no target of the whole group counts, the optimizer should not step, and the weights should stay.

    Source: the lesson above.
    """
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.zero_grad()
    counts = [int((targets != -100).sum()) for _, targets in batches]
    for (inputs, targets), count in zip(batches, counts, strict=True):
        if count:
            loss = calc_loss_batch(inputs, targets, model, device)
            (loss * count / sum(counts)).backward()
    if any(counts):
        clip_grad_norm(model.parameters(), max_norm)
        optimizer.step()
    return sum(inputs.numel() for inputs, _ in batches)


def train_instruct(
    model: nn.Module,
    train_loader: Iterable[Batch],
    val_loader: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    device: torch.device | str = "cpu",
    sample: Callable[[nn.Module], str] | None = None,
    on_step: Callable[[History], None] | None = None,
    history: History | None = None,
) -> History:
    """Train on instructions, from the beginning or from where a history is.

    Arguments and result are those of `train_model` in exercise 13. Each step that `training_steps` gives should be
    one `update_instruct`. After each, in this order:

    1. Count step and tokens_seen on.
    2. If step is a multiple of config.eval_every: `seed_loader(train_loader, config.seed)`, then append an
       Evaluation, by `evaluate_model` on config.eval_batches.
    3. After the last step of an epoch, append the sample, if any.
    4. Call on_step, if any.

    Example: 5 batches, config.accumulate = 2, two epochs, eval_every = 2: evaluations after steps 2, 4 and 6,
    samples after steps 3 and 6.

    Fine print
        A training that is finished, has 0 epochs or no batches returns at once. One that stops and goes on with
        its history should be the same as one in one go, to the last bit. Errors of on_step come out.

    Source: Raschka, section 7.6.
    """
    history = History() if history is None else history
    per_epoch = steps_per_epoch(len(train_loader), config.accumulate)
    for batches, learning_rate in training_steps(train_loader, config, history):
        history.tokens_seen += update_instruct(model, batches, optimizer, learning_rate, config.max_norm, device)
        history.step += 1
        if history.step % config.eval_every == 0:
            seed_loader(train_loader, config.seed)
            losses = evaluate_model(model, train_loader, val_loader, device, config.eval_batches)
            history.evaluations.append(Evaluation(history.step, history.tokens_seen, *losses, learning_rate))
        if sample is not None and history.step % per_epoch == 0:
            history.samples.append(sample(model))
        if on_step is not None:
            on_step(history)
    return history


# ANSWERS
# 1. A tokenizer may join the end of the prompt and the beginning of the output into one token. Then no place
#    divides them: hiding that token loses the start of the answer, and keeping it teaches the end of the prompt.
#    It would also be a token that never comes up when the model is asked, as the prompt is encoded alone then.
# 2. Yes. The prompt's last id is in the last column, and its target is the first token of the answer. That one
#    token is learned, and nothing else.
