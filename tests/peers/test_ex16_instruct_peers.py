"""The reference of ex16 against transformers' own shift and loss, GPT-2's vocabulary, the same entries without any
padding, one large batch in float64, and the loop of ex13."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import tiktoken
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel

from solutions import ex16_instruct as ours
from solutions.ex09_gpt import GPTConfig, GPTModel
from solutions.ex10_generate import generate
from solutions.ex11_loss import calc_loss_batch, calc_loss_loader
from solutions.ex12_optim import AdamW, param_groups
from solutions.ex13_train import History, TrainConfig, train_model, update

VOCABULARY = 31
PAD = 0
END_OF_TEXT_ID = 50256


def random_batch(seed: int, rows: int = 4, longest: int = 12) -> list[ours.Item]:
    """Items with ids that are sometimes the pad's."""
    chosen = random.Random(seed)
    batch = []
    for _ in range(rows):
        length = chosen.randint(2, longest)
        batch.append(([chosen.randrange(VOCABULARY) for _ in range(length)], chosen.randint(1, length)))
    return batch


def gpt(dropout: float = 0.0, seed: int = 5) -> GPTModel:
    torch.manual_seed(seed)
    model = GPTModel(GPTConfig(VOCABULARY, context_length=16, emb_dim=16, n_heads=2, n_layers=2, drop_rate=dropout))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model


@pytest.fixture(scope="module")
def gpt2_encoding() -> tiktoken.Encoding:
    try:
        return tiktoken.get_encoding("gpt2")
    except Exception as error:
        pytest.skip(f"GPT-2's vocabulary cannot be loaded, TIKTOKEN_CACHE_DIR may name it: {type(error).__name__}")


@pytest.fixture(scope="module")
def entries() -> list[dict[str, str]]:
    """The 1,100 entries of the book."""
    folder = os.environ.get("GPT_KATA_TEXTS")
    path = Path(folder or ".") / "instruction-data.json"
    if not folder or not path.exists():
        pytest.skip("GPT_KATA_TEXTS names no folder with instruction-data.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_form_letter_by_letter() -> None:
    assert ours.format_prompt({"instruction": "Add.", "input": "1, 2", "output": "3"}) + ours.RESPONSE_HEADING == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        "\n\n### Instruction:\nAdd.\n\n### Input:\n1, 2\n\n### Response:\n"
    )
    assert "Input" not in ours.format_prompt({"instruction": "Add.", "input": "", "output": "3"})


def test_the_example_of_the_lesson() -> None:
    batch = [([5, 6, 7, 8, 4], 3), ([5, 3, 2], 2)]
    no = -100
    inputs, targets = ours.collate(batch, 0)
    assert inputs.tolist() == [[5, 6, 7, 8, 4], [5, 3, 2, 0, 0]]
    assert targets.tolist() == [[6, 7, 8, 4, 0], [3, 2, 0, no, no]]
    assert ours.collate(batch, 0, mask_prompt=True)[1].tolist() == [[no, no, 8, 4, 0], [no, 2, 0, no, no]]
    inputs, targets = ours.collate(batch, 0, max_length=3)
    assert (inputs.tolist(), targets.tolist()) == ([[5, 6, 7], [5, 3, 2]], [[6, 7, 8], [3, 2, 0]])


def per_token(model: nn.Module, batch: list[ours.Item], mask_prompt: bool) -> Iterator[Tensor]:
    """The loss of every token to be learned, from each item by itself, without padding or shifted targets."""
    for ids, prompt_length in batch:
        log_probabilities = model(torch.tensor([ids]))[0].log_softmax(dim=-1)
        for place, following in enumerate([*ids[1:], PAD], start=1):
            if not mask_prompt or place >= prompt_length:
                yield -log_probabilities[place - 1, following]


@pytest.mark.parametrize("mask_prompt", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_padding_changes_no_loss(seed: int, mask_prompt: bool) -> None:
    model, batch = gpt().double(), random_batch(seed)
    inputs, targets = ours.collate(batch, PAD, mask_prompt=mask_prompt)
    expected = torch.stack(list(per_token(model, batch, mask_prompt))).mean()
    torch.testing.assert_close(calc_loss_batch(inputs, targets, model, "cpu"), expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("mask_prompt", [False, True])
def test_the_loss_is_that_of_transformers(mask_prompt: bool) -> None:
    """transformers shifts by itself, within the loss, and takes −100 for what does not count, too."""
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=VOCABULARY, n_embd=16, n_head=2, n_layer=2, n_positions=16, bos_token_id=0)
    theirs = GPT2LMHeadModel(config).eval()

    class Logits(nn.Module):
        def forward(self, ids: Tensor) -> Tensor:
            return theirs(ids).logits

    for seed in range(4):
        batch = random_batch(seed)
        longest = max(len(ids) for ids, _ in batch) + 1
        whole = torch.full((len(batch), longest), PAD)
        labels, attended = torch.full_like(whole, -100), torch.zeros_like(whole)
        for row, (ids, prompt_length) in enumerate(batch):
            whole[row, : len(ids)] = torch.tensor(ids)
            labels[row, : len(ids) + 1] = whole[row, : len(ids) + 1]
            attended[row, : len(ids) + 1] = 1
            if mask_prompt:
                labels[row, :prompt_length] = -100
        expected = theirs(input_ids=whole, attention_mask=attended, labels=labels).loss
        inputs, targets = ours.collate(batch, PAD, mask_prompt=mask_prompt)
        torch.testing.assert_close(
            calc_loss_batch(inputs, targets, Logits(), "cpu"), expected, atol=1e-6, rtol=1e-6
        )


class Recorder(torch.optim.Optimizer):
    """Keeps the gradients that it is to step with, and does not step."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model.parameters(), {"lr": 0.1})
        self.found: list[Tensor] = []

    def step(self, closure: object = None) -> None:
        self.found = [parameter.grad.clone() for group in self.param_groups for parameter in group["params"]]


def gradients(rule: object, model: nn.Module, batches: list[ours.Batch]) -> list[Tensor]:
    optimizer = Recorder(model)
    rule(model, batches, optimizer, 0.1, 1e9, "cpu")
    return optimizer.found


@pytest.mark.parametrize("mask_prompt", [False, True])
def test_a_group_is_one_large_batch(mask_prompt: bool) -> None:
    model, items = gpt().double(), random_batch(11, rows=9)
    sizes = [items[:4], items[4:5], items[5:]]
    make = partial(ours.collate, pad_token_id=PAD, mask_prompt=mask_prompt)
    several = gradients(ours.update_instruct, model, [make(part) for part in sizes])
    one = gradients(ours.update_instruct, model, [make(items)])
    alone = gradients(ours.update_instruct, model, [make([item]) for item in items])
    as_in_pretraining = gradients(update, model, [make(part) for part in sizes])
    for other in (one, alone, gradients(update, model, [make(items)])):
        for left, right in zip(several, other, strict=True):
            torch.testing.assert_close(left, right, atol=1e-10, rtol=1e-8)
    assert max((a - b).abs().max().item() for a, b in zip(several, as_in_pretraining, strict=True)) > 1e-3


def test_the_group_of_the_lesson() -> None:
    """One token with a loss of 4.0, and seven with a mean of 2.0."""

    class Given(nn.Module):
        """Logits whose target, always 0, has the loss that stands in the parameter."""

        def __init__(self) -> None:
            super().__init__()
            self.losses = nn.Parameter(torch.tensor([0.0, 4.0, 2.0]))

        def forward(self, ids: Tensor) -> Tensor:
            losses = self.losses[ids]
            return torch.stack([-losses, torch.log1p(-torch.exp(-losses))], dim=-1)

    first = torch.tensor([[0, 0, 1]]), torch.tensor([[-100, -100, 0]])
    second = torch.full((1, 7), 2), torch.zeros(1, 7, dtype=torch.int64)
    model = Given()
    means = [calc_loss_batch(*batch, model, "cpu").item() for batch in (first, second)]
    assert means == pytest.approx([4.0, 2.0])
    assert calc_loss_loader([first, second], model, "cpu") == pytest.approx(2.25)
    (here,) = gradients(ours.update_instruct, model, [first, second])
    (there,) = gradients(update, model, [first, second])
    # The gradient of one token's loss, times its weight: 1/8 here; there 1/2 for the first, 1/14 for the others.
    torch.testing.assert_close(here[1] * 8, there[1] * 2)
    torch.testing.assert_close(here[2] / 7 * 8, there[2] / 7 * 14)


def test_a_group_without_targets_moves_nothing() -> None:
    model = gpt()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    inputs, targets = ours.collate(random_batch(1), PAD)
    ours.update_instruct(model, [(inputs, targets)], optimizer, 0.1, 1.0, "cpu")
    before, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict()["state"])
    tokens = ours.update_instruct(model, [(inputs, torch.full_like(targets, -100))], optimizer, 0.1, 1.0, "cpu")
    assert tokens == inputs.numel()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    for number, kept in optimizer.state_dict()["state"].items():
        assert all(torch.equal(kept[key], state[number][key]) for key in kept)


def windows(count: int, batch_size: int) -> list[ours.Batch]:
    """Batches in which every target counts, all of one size."""
    generator = torch.Generator().manual_seed(count)
    ids = torch.randint(VOCABULARY, (count, batch_size, 2, 8), generator=generator)
    return [(pair[:, 0], pair[:, 1]) for pair in ids]


def test_on_equal_batches_it_is_the_loop_of_ex13() -> None:
    settings = TrainConfig(3, max_lr=0.02, warmup_steps=2, accumulate=3, eval_every=2, eval_batches=2)
    histories = []
    for train in (train_model, ours.train_instruct):
        model = gpt(dropout=0.1)
        torch.manual_seed(8)
        optimizer = AdamW(param_groups(model, 0.1))
        calls = {"sample": lambda _: "text"}
        histories.append(train(model, windows(7, 3), windows(2, 3), optimizer, settings, **calls))
    left, right = histories
    assert (left.step, left.tokens_seen, left.samples) == (right.step, right.tokens_seen, right.samples)
    for one, other in zip(left.evaluations, right.evaluations, strict=True):
        assert (one.step, one.tokens_seen, one.learning_rate) == (
            other.step,
            other.tokens_seen,
            other.learning_rate,
        )
        assert (one.train_loss, one.val_loss) == pytest.approx((other.train_loss, other.val_loss), abs=1e-5)


class Stop(Exception):
    """Raised to interrupt a training."""


def test_interrupted_to_the_bit() -> None:
    make = partial(ours.collate, pad_token_id=PAD, mask_prompt=True, max_length=14)
    items = random_batch(2, rows=11)
    settings = TrainConfig(3, max_lr=0.02, warmup_steps=3, accumulate=2, eval_every=2)

    def training(history: History, stop_at: int | None) -> tuple[History, GPTModel]:
        model = gpt(dropout=0.2)
        optimizer = AdamW(param_groups(model, 0.1))
        loader = DataLoader(items, 2, shuffle=True, collate_fn=make, generator=torch.Generator().manual_seed(1))
        torch.manual_seed(4)

        def on_step(history: History) -> None:
            if history.step == stop_at:
                raise Stop

        try:
            ours.train_instruct(model, loader, [make(items)], optimizer, settings, on_step=on_step, history=history)
        except Stop:
            loader.generator.manual_seed(99)
            ours.train_instruct(model, loader, [make(items)], optimizer, settings, history=history)
        return history, model

    whole, whole_model = training(History(), None)
    assert whole.step == 9
    for stop_at in (2, 5, 6):
        again, model = training(History(), stop_at)
        assert again == whole
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), whole_model.parameters(), strict=True))


def test_all_entries_of_the_book(entries: list[dict[str, str]], gpt2_encoding: tiktoken.Encoding) -> None:
    assert len(entries) == 1100
    data = ours.InstructionDataset(entries, gpt2_encoding)
    assert len(data) == 1100
    for entry, (ids, prompt_length) in zip(entries, (data[number] for number in range(1100)), strict=True):
        prompt = ours.format_prompt(entry) + ours.RESPONSE_HEADING
        # No output begins with white space, so the boundary is where GPT-2's pattern would cut anyway.
        assert ids == gpt2_encoding.encode(prompt + entry["output"])
        assert gpt2_encoding.decode(ids[:prompt_length]) == prompt
        said = gpt2_encoding.decode([*ids, END_OF_TEXT_ID, END_OF_TEXT_ID])
        assert ours.extract_response(said, prompt) == entry["output"].strip()
    make = partial(ours.collate, pad_token_id=END_OF_TEXT_ID, mask_prompt=True)
    learned = 0
    for inputs, targets in DataLoader(data, batch_size=8, collate_fn=make):
        assert inputs.shape == targets.shape
        learned += int((targets != -100).sum())
    assert learned == sum(len(ids) - prompt_length + 1 for ids, prompt_length in (data[n] for n in range(1100)))


@pytest.mark.slow
def test_the_loss_on_held_out_answers_falls(
    entries: list[dict[str, str]], gpt2_encoding: tiktoken.Encoding
) -> None:
    data = ours.InstructionDataset(entries, gpt2_encoding)
    items = [data[number] for number in range(len(data))]
    # Only the ids that occur, so that the vocabulary stays small.
    number_of = {id_: n for n, id_ in enumerate(sorted({END_OF_TEXT_ID, *(i for ids, _ in items for i in ids)}))}
    items = [([number_of[id_] for id_ in ids], prompt_length) for ids, prompt_length in items]
    make = partial(ours.collate, pad_token_id=number_of[END_OF_TEXT_ID], mask_prompt=True, max_length=128)
    torch.manual_seed(1)
    model = GPTModel(
        GPTConfig(len(number_of), context_length=128, emb_dim=48, n_heads=4, n_layers=2, drop_rate=0.0)
    )
    generator = torch.Generator().manual_seed(1)
    training = DataLoader(items[:480], 8, shuffle=True, collate_fn=make, generator=generator)
    held_out = DataLoader(items[1000:], 20, collate_fn=make)
    before = calc_loss_loader(held_out, model.eval(), "cpu")
    settings = TrainConfig(1, max_lr=4e-3, min_lr=4e-4, warmup_steps=5, accumulate=1, eval_every=30, eval_batches=2)
    history = ours.train_instruct(model, training, held_out, AdamW(param_groups(model, 0.1)), settings)
    after = calc_loss_loader(held_out, model.eval(), "cpu")
    assert history.step == 60
    assert [point.step for point in history.evaluations] == [30, 60]
    assert before > 7.5
    assert after < before - 1.5


def test_answers_of_a_model_are_extracted() -> None:
    """A model that knows its two answers by heart is asked with `generate`, and what it says is extracted."""
    letters = ["\x00", *sorted(set(ours.PREAMBLE + ours.RESPONSE_HEADING + "Hello.Bye.Say it### Instruction:\n"))]

    class Letters:
        def encode(self, text: str) -> list[int]:
            return [letters.index(letter) for letter in text]

    entries = [{"instruction": "Say it", "output": "Hello."}]
    data = ours.InstructionDataset(entries, Letters())
    inputs, targets = ours.collate([data[0]], 0, mask_prompt=True)

    class Knowing(nn.Module):
        """Says at each place what the targets say."""

        def forward(self, ids: Tensor) -> Tensor:
            following = torch.cat([inputs[0, :1], targets[0].clamp(min=0)])[1 : ids.shape[1] + 1]
            return F.one_hot(following, len(letters)).float()[None]

    prompt = ours.format_prompt(entries[0]) + ours.RESPONSE_HEADING
    ids = torch.tensor([Letters().encode(prompt)])
    out = generate(Knowing(), ids, 20, context_length=1000, eos_id=0)
    said = "".join(letters[number] for number in out[0].tolist()).replace("\x00", ours.END_OF_TEXT)
    assert ours.extract_response(said, prompt) == "Hello."
