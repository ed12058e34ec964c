"""Classification: teach a pretrained GPT to sort messages.

You need: your GPTModel (exercise 9), cross-entropy (exercise 0), the training loop (exercise 13).

WHY
A pretrained model has read so much that its vectors say what a text is about. To ask "is this message spam?" you
need not train a model from nothing. You replace its head: instead of one logit for each of V tokens, one for each
of C classes. Then you train a small part of it on a few hundred labelled messages, for minutes instead of weeks.

THE MESSAGES
A message is a pair (text, label), and the label is a number from 0 to C−1. Real collections are lopsided. If 87 of
100 messages are no spam, a model that always answers "no spam" is right 87 times in 100 and has learned nothing. So
take as many of each label as there are of the rarest. Then shuffle and split: a part to learn from, a part to watch
while you try things (validation), a part for the very end (test).

Files of messages are often lines of label, tab, text. Read them with quoting off (`csv.QUOTE_NONE`), because a
lone quotation mark in one message would otherwise swallow the next ones. Name the encoding, do not let Python guess
it. The scripts of this course do that; here the messages are there already.

PADDING
Texts differ in length, and a batch is a rectangle. So shorter ones are filled up at the end with a *pad* token.
All three parts get the length of the longest training text, which is why the split comes before the padding: from
validation and test you learn nothing, not even how long a text can be. What is longer is cut at its end. Where the
longest text does not fit into the model's context, its context_length is the max_length to hand over.

    max_length 4, pad token 0

    text                    ids            row             length
    "win cash now"          5 9 2          5  9  2  0      3
    ""                                     0  0  0  0      1
    "see you at nine"       7 3 8 4        7  3  8  4      4
    "win win cash at nine"  5 5 9 8 4      5  5  9  8      4

An empty text has no token that could be read, so a single pad token stands in for it and counts: its length is 1.

WHICH TOKEN IS READ
The last one of a text has seen all of the text, so its logits are the verdict. In the first row above that is
column 2. The last *column* is a pad token:

    column      0     1     2     3
    token       5     9     2     0
    sees        5    5 9  5 9 2  5 9 2 0
                            │     └─ another token, at another position
                            └─ the verdict

A pad token can see the text too, and training can teach it to pass a verdict. But how far it is from the text
depends on how long the longest message happened to be. Pad the same text to another length, and the verdict is
another one. Read at the last real token, it is the same whatever follows: the causal mask hides the pads. What
is padding is decided by the length, never by the value. The pad id may be a token of the text as well.

THE HEAD, AND WHAT IS TRAINED
In this order:

    1. freeze everything      requires_grad = False: what the model knows of language stays
    2. put in a new head      an nn.Linear from D to C; what is new requires a gradient
    3. unfreeze               the last block and the final norm, so that the vectors can adapt to the task

If the head came first, step 1 would freeze it, and the one layer that knows nothing would never learn. Where the
old head was tied to the token table, the table keeps its numbers: the new head is a tensor of its own.

The optimizer should hold only what trains, so make it after the three steps. Your `param_groups` of exercise 12
leaves out what is frozen. For GPT-2 small and two classes that is the last block, the final norm and the head:
7,087,872 + 1,536 + 1,538 = 7,090,946 of 124,441,346 numbers.

LOSS AND ACCURACY
The loss is the cross-entropy of the C logits. Accuracy is the share of messages whose largest logit is the right
one. It is what you want to know, but it moves in jumps and has no gradient: you train on the loss. Both are means
over messages. The last batch is often smaller, so the mean of the batches' means would be another number.

A SMALL EXAMPLE
Two classes. Three messages with the logits (2, 0), (0, 1), (1, 0) and the labels 0, 1, 1.

    −ln p(label)   ln(1 + e⁻²) = 0.127    ln(1 + e⁻¹) = 0.313    ln(1 + e¹) = 1.313
    loss           (0.127 + 0.313 + 1.313) / 3 = 0.584
    accuracy       2 of 3 = 0.667

In batches of 2 and 1 the mean of the means would be (0.220 + 1.313) / 2 = 0.767, and the accuracy (1 + 0) / 2.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", chapter 6. There the messages are a pandas table; here they
are a list. There the verdict is read at the last column, which for most rows is a pad token; here it is read at the
last real token, so a data set says how long each text is. There accuracy is the mean over messages and the loss
the mean over batches; here both are over messages. The loop is that of exercise 13, with its schedule, clipping,
accumulation and going on. What is the same in every loop from now on is given: `training_steps`.

TWO QUESTIONS (the answers are at the end of this file)
1. Nothing tells the attention which tokens are padding. Why does it do no harm? And if the pads came first?
2. You are handed a classifier with an accuracy of 0.9. What do you have to know before you are glad?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex15` trains a small classifier and pads one and the same message to
several lengths. Predict first: how much does the verdict change if it is read at the last real token? And at the
last column?

Shapes: B messages in a batch, L = max_length, C classes, D the width of the model, V its vocabulary.
Read on: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification". Radford et al. 2018,
"Improving Language Understanding by Generative Pre-Training", section 3.2.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from .ex00_tensors import cross_entropy
from .ex09_gpt import GPTModel
from .ex12_optim import clip_grad_norm, lr_at
from .ex13_train import TrainConfig, seed_loader, steps_per_epoch

# A text and its label.
Message = tuple[str, int]

# What a loader gives, one after the other: ids (B, L), lengths (B,) and labels (B,), all int64.
ClassBatch = tuple[Tensor, Tensor, Tensor]


class Tokenizer(Protocol):
    """What a tokenizer has to offer here: your BPETokenizer has it, and tiktoken's. Given."""

    def encode(self, text: str) -> list[int]:  # given
        """The ids of a text."""


@dataclass(frozen=True)
class ClassifierEvaluation:
    """One point of the curve. Given. All are plain Python numbers.

    step            after how many steps, counted from 1 over the whole training
    examples_seen   how many messages the model had been trained on by then
    train_loss      the loss on training batches
    val_loss        the loss on validation batches
    train_accuracy  the accuracy on the same training batches, 0 to 1
    val_accuracy    the accuracy on the same validation batches, 0 to 1
    learning_rate   that of the step just made
    """

    step: int
    examples_seen: int
    train_loss: float
    val_loss: float
    train_accuracy: float
    val_accuracy: float
    learning_rate: float


@dataclass
class ClassifierHistory:
    """How far training is, and what was seen on the way. Given.

    step           how many steps were made
    examples_seen  how many messages the model was trained on; one that comes again counts again
    evaluations    the curve, oldest first
    """

    step: int = 0
    examples_seen: int = 0
    evaluations: list[ClassifierEvaluation] = field(default_factory=list)


def balance(messages: Sequence[Message], seed: int) -> list[Message]:
    """As many messages of each label as there are of the rarest.

    Arguments
        messages  pairs (text, label)
        seed      decides which ones stay
    Returns
        a new list: label by label, the smallest label first

    Make one `random.Random(seed)`. For each label, the smallest first, call its `sample(all with this label, n)`,
    where n is how many messages the rarest label has, and join what comes.

    Example: 5 messages with the labels 1, 0, 0, 1, 0 become 4, with the labels 0, 0, 1, 1.

    Fine print
        A label that no message has does not count. No messages give an empty list. Messages that are equal are
        different messages all the same. Python's global random state should stay as it is.

    Source: Raschka, section 6.2.
    """
    raise NotImplementedError


def split_frames(
    messages: Sequence[Message], train_share: float = 0.7, val_share: float = 0.1, seed: int = 123
) -> tuple[list[Message], list[Message], list[Message]]:
    """Shuffle, and split into training, validation and test.

    Arguments
        messages     pairs (text, label)
        train_share  the share that is learned from
        val_share    the share to watch; both shares together are at most 1
        seed         decides the order
    Returns
        (training, validation, test), three new lists

    Shuffle a copy of the list with `random.Random(seed).shuffle`. The first int(n · train_share) of the n messages
    are for training, the next int(n · val_share) for validation, and all the rest for the test.

    Example: 13 messages are split into 9, 1 and 3.

    Fine print
        A part may be empty. Python's global random state should stay as it is.

    Source: Raschka, section 6.2, `random_split`.
    """
    raise NotImplementedError


class SpamDataset(Dataset):
    """Messages as rows of equal length.

    Arguments
        messages      pairs (text, label)
        tokenizer     its `encode` makes the ids of a text
        max_length    L, the length of every row; None: that of the longest of these texts
        pad_token_id  what shorter rows are filled up with, at their end

    Attribute
        max_length    L as an int, also if None was given

    Of a longer text the first L ids stay. An empty text becomes one pad token, which counts as a real one.

    Example: the table of the lesson.

    Source: Raschka, section 6.3.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        tokenizer: Tokenizer,
        max_length: int | None = None,
        pad_token_id: int = 50256,
    ) -> None:
        """Encode every text, and settle max_length.

        Fine print
            ValueError: max_length is given and below 1. The message should name it.
            Each text should be encoded once, here and not whenever it is asked for. With max_length=None, no
            messages or none but empty ones give a max_length of 1.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        """The number of messages."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        """One message.

        Arguments
            index  0 … len − 1
        Returns
            (ids, length, label): ids int64 (L,), length and label as ints. length is the number of real tokens,
            1 … L; the first `length` entries of ids are the text, the others padding.

        A DataLoader makes of this: ids (B, L), lengths (B,), labels (B,), all int64.

        Example: the first row of the lesson's table is (tensor([5, 9, 2, 0]), 3, its label).

        Fine print
            IndexError: index is len or above. A `for` loop over the data set ends by it.
            Whoever changes the ids that came should change nothing here.
        """
        raise NotImplementedError


class ClassifierGPT(nn.Module):
    """A GPT with a head for classes.

    Arguments
        gpt          a GPTModel, pretrained or not, tied or not. It is changed: from now on it has the new head.
        num_classes  C

    Attribute
        gpt          that very model

    Example: with gpt = GPTModel(GPTConfig(qkv_bias=True)), ClassifierGPT(gpt, 2) has the 7,090,946 numbers to train
    that the lesson counts.

    Source: Raschka, section 6.5.
    """

    def __init__(self, gpt: GPTModel, num_classes: int) -> None:
        """Freeze all of gpt, give it a new `out_head`, and unfreeze its last block and its final_norm.

        The new head should be an `nn.Linear` from D to C with a bias; how torch fills it is fine. All other numbers
        stay.

        Fine print
            The head should be made on the device and in the dtype of the model. If a parameter was frozen before,
            in the last block too, that does not matter: afterwards it is as said above.
        """
        super().__init__()
        raise NotImplementedError

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The logits of the classes, at the last real token of each row.

        Arguments
            ids      int64 (B, L)
            lengths  int64 (B,), each 1 … L, on the device of ids
        Returns
            float (B, C)

        Row b is what gpt says at column lengths[b] − 1. No softmax.

        Example: with ids (2, 4) and the lengths 3 and 1, row 0 is read at column 2, row 1 at column 0.

        Fine print
            What comes after the last real token should make no difference.
        """
        raise NotImplementedError


def calc_class_loss(
    ids: Tensor, lengths: Tensor, labels: Tensor, classifier: nn.Module, device: torch.device | str
) -> Tensor:
    """The loss of one batch, ready for `backward`.

    Arguments
        ids         int64 (B, L)
        lengths     int64 (B,)
        labels      int64 (B,), each 0 … C−1
        classifier  your ClassifierGPT, or another module that makes logits (B, C) of ids and lengths
        device      where the classifier is; all three should be moved there with `.to(device)`
    Returns
        float (): the mean of −ln p(label) over the B messages

    Example: the three messages of the lesson give 0.584.

    Fine print
        The classifier is called once, in whichever mode it is. Logits of any size give a finite loss.

    Source: Raschka, section 6.6.
    """
    raise NotImplementedError


def evaluate_classifier(
    data_loader: Iterable[ClassBatch],
    classifier: nn.Module,
    device: torch.device | str,
    num_batches: int | None = None,
) -> tuple[float, float]:
    """The loss and the accuracy on many batches.

    Arguments
        data_loader  gives batches (ids, lengths, labels): a DataLoader, a list, a generator
        classifier   as in calc_class_loss
        device       as in calc_class_loss
        num_batches  how many batches to look at, from the first on; None: all. If there are fewer, all.
    Returns
        (loss, accuracy), two Python floats. Both are means over the messages of these batches together, not
        over batches.

    Example: the lesson's messages in batches of 2 and 1 give (0.584, 0.667).

    Fine print
        (nan, nan) if there is no message. The classifier should be called once a batch, in evaluation mode and
        without a graph. Afterwards it should be in the mode it came in, with all its parts, also after an error.
        You may take it that all its parts come in the same mode.

    Source: Raschka, section 6.6.
    """
    raise NotImplementedError


def calc_accuracy_loader(
    data_loader: Iterable[ClassBatch],
    classifier: nn.Module,
    device: torch.device | str,
    num_batches: int | None = None,
) -> float:
    """The share of messages that are put into the right class.

    All arguments are those of evaluate_classifier. It returns the accuracy alone, a Python float, nan if there is
    no message.

    Example: 0.667 for the lesson's messages.

    Source: Raschka, section 6.6.
    """
    raise NotImplementedError


def update_classifier(
    classifier: nn.Module,
    batches: Sequence[ClassBatch],
    optimizer: torch.optim.Optimizer,
    learning_rate: float,
    max_norm: float,
    device: torch.device | str,
) -> int:
    """One step of the optimizer, from a group of one or more batches.

    Arguments
        batches  the group: at least one batch (ids, lengths, labels)
        others   as for the `update` of exercise 13
    Returns
        the number of messages in the group, as a Python int

    As in that `update`: training mode and empty gradients; for each batch, calc_class_loss divided by the number
    of batches, and `backward`; all gradients clipped together; the learning rate into every group of the optimizer;
    one step.

    Example: with two batches of 4 messages and one of 3 it returns 11. The gradient is (g₁ + g₂ + g₃) / 3.

    Fine print
        Gradients that were there before should not count, those of frozen parameters neither: they may be left over
        from pretraining, and the optimizer does not know them.
    """
    raise NotImplementedError


def training_steps(
    loader: Iterable[Any], config: TrainConfig, history: Any
) -> Iterator[tuple[list[Any], float]]:  # given
    """The loop of ex13 without its inside: for each step still to be made, its batches and its learning rate.

    Given. What `history.step` says is done is passed over; the order of each epoch follows from config.seed, as in
    ex13. The caller makes the step and counts history.step on by 1 before it asks for the next.
    """
    per_epoch = steps_per_epoch(len(loader), config.accumulate)
    total_steps = config.num_epochs * per_epoch
    for epoch in range(1, config.num_epochs + 1):
        done = history.step - (epoch - 1) * per_epoch
        if done >= per_epoch:
            continue
        seed_loader(loader, config.seed + epoch)
        batches = islice(iter(loader), done * config.accumulate, None)
        while group := list(islice(batches, config.accumulate)):
            yield group, lr_at(history.step, config.max_lr, config.min_lr, config.warmup_steps, total_steps)


def train_classifier(
    classifier: nn.Module,
    train_loader: Iterable[ClassBatch],
    val_loader: Iterable[ClassBatch],
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    device: torch.device | str = "cpu",
    on_step: Callable[[ClassifierHistory], None] | None = None,
    history: ClassifierHistory | None = None,
) -> ClassifierHistory:
    """Train a classifier, from the beginning or from where a history is.

    Arguments
        as for ex13's train_model; the optimizer holds what trains, and there is no sample
    Returns
        the history; if one was handed in, that very object, changed

    For each step that `training_steps` gives: update_classifier; count step and examples_seen on; if step is a
    multiple of config.eval_every, seed_loader(train_loader, config.seed), then append a ClassifierEvaluation, with
    config.eval_batches of each loader; call on_step(history), if there is one.

    Example: 7 messages in batches of 2 are 4 steps an epoch. With eval_every=3, two epochs give evaluations at
    steps 3 and 6, with 6 and 11 examples seen.

    Fine print
        Errors of on_step should come out. A training that is finished, has 0 epochs or no batches returns at
        once. A training that stops and goes on should be the same as one in one go, to the last bit. The loop
        should leave torch's global random state to the dropout.

    Source: Raschka, section 6.7.
    """
    raise NotImplementedError


def classify_review(
    text: str,
    classifier: nn.Module,
    tokenizer: Tokenizer,
    max_length: int,
    pad_token_id: int = 50256,
    device: torch.device | str = "cpu",
) -> tuple[int, float]:
    """The label of a text, and how sure the classifier is.

    Arguments
        text          any text, also empty
        classifier    as in calc_class_loss
        tokenizer     as for SpamDataset
        max_length    as for SpamDataset; that of the training set
        pad_token_id  as for SpamDataset
        device        where the classifier is
    Returns
        (label, probability): the class with the largest logit, a Python int, and its softmax, a Python float

    The text should go into the classifier as a SpamDataset would give it, in a batch of one.

    Example: logits (0, 1) give (1, 0.731), because e¹ / (e⁰ + e¹) is 0.731.

    Fine print
        Evaluation mode, no graph, and the mode as it was afterwards, as in evaluate_classifier.

    Source: Raschka, section 6.8.
    """
    raise NotImplementedError


# ANSWERS
# 1. The pads come after the text, and under the causal mask no token sees what comes after it. In front of the
#    text every token would see them, and all positions would move: attention would need a mask for them.
# 2. How many messages have each label. If nine in ten have label 0, always answering 0 is as good. And on which
#    messages it was measured: on those it was trained on, or those you chose the settings by, it says little.
