"""The reference of ex15 against transformers' classifier, torch's own padding and a plain torch loop; and training
that was interrupted against training that was not, to the bit."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import random
from collections import Counter

import pytest
import tiktoken
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2ForSequenceClassification

from solutions import ex15_classify as ours
from solutions.ex09_gpt import GPTConfig, GPTModel, count_parameters
from solutions.ex12_optim import AdamW, param_groups
from solutions.ex13_train import TrainConfig
from solutions.ex14_weights import load_gpt2

VOCABULARY, PAD, CLASSES = 61, 60, 3
Point = tuple[int, int, float, float, float, float, float]

MESSAGES = st.lists(st.tuples(st.text(max_size=3), st.integers(0, 3)), max_size=40)


# The messages.


@settings(deadline=None, max_examples=30)
@given(MESSAGES, st.integers(0, 2**32))
def test_balanced_messages_are_as_many_of_each_and_all_from_the_input(
    messages: list[ours.Message], seed: int
) -> None:
    found = ours.balance(messages, seed)
    before, after = Counter(label for _, label in messages), Counter(label for _, label in found)
    assert after == dict.fromkeys(before, min(before.values(), default=0))
    assert Counter(found) <= Counter(messages)
    assert found == ours.balance(messages, seed)


@settings(deadline=None, max_examples=30)
@given(MESSAGES, st.floats(0, 0.7), st.floats(0, 0.3), st.integers(0, 2**32))
def test_a_split_loses_no_message(messages: list[ours.Message], train: float, val: float, seed: int) -> None:
    parts = ours.split_frames(messages, train, val, seed)
    assert Counter(message for part in parts for message in part) == Counter(messages)
    assert [len(part) for part in parts[:2]] == [math.floor(share * len(messages)) for share in (train, val)]
    assert parts == ours.split_frames(messages, train, val, seed)


def test_every_message_may_be_drawn_and_every_place_reached() -> None:
    messages = [(str(number), int(number < 3)) for number in range(12)]
    drawn = Counter(text for seed in range(300) for text, label in ours.balance(messages, seed) if label == 0)
    assert len(drawn) == 9
    assert max(drawn.values()) < 2 * min(drawn.values())
    tested = Counter(text for seed in range(300) for text, _ in ours.split_frames(messages, seed=seed)[2])
    assert len(tested) == 12
    assert max(tested.values()) < 2 * min(tested.values())


# The data set.

TEXTS = ["Win a £1,000 prize now!", "see you at nine", "", "ok", "日本 🙂 café", "a\n\nb\t c " * 6]


def test_rows_are_those_of_torchs_padding_with_gpt2s_vocabulary() -> None:
    try:
        tokenizer = tiktoken.get_encoding("gpt2")
    except Exception as error:
        pytest.skip(f"GPT-2's vocabulary is not at hand: {error}")
    encoded = [torch.tensor(tokenizer.encode(text) or [50256]) for text in TEXTS]
    dataset = ours.SpamDataset([(text, number % 2) for number, text in enumerate(TEXTS)], tokenizer)
    ((ids, lengths, labels),) = DataLoader(dataset, batch_size=len(TEXTS))
    assert torch.equal(ids, pad_sequence(encoded, batch_first=True, padding_value=50256))
    assert lengths.tolist() == [len(row) for row in encoded]
    assert labels.tolist() == [0, 1, 0, 1, 0, 1]
    for room in (1, 4, 30):
        cut = [row[:room] for row in encoded]
        filled = pad_sequence([*cut, torch.zeros(room)], batch_first=True, padding_value=50256)[:-1].long()
        ((ids, lengths, _),) = DataLoader(ours.SpamDataset([(t, 0) for t in TEXTS], tokenizer, room), len(TEXTS))
        assert torch.equal(ids, filled)
        assert lengths.tolist() == [len(row) for row in cut]


# The classifier.


def hub_model(width: int, heads: int, layers: int, context: int, seed: int = 17) -> GPT2ForSequenceClassification:
    """Every number far from its initial value, so that an exchange of any two shows."""
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=width,
        n_head=heads,
        n_layer=layers,
        n_positions=context,
        num_labels=CLASSES,
        pad_token_id=PAD,
        bos_token_id=0,
        eos_token_id=None,
    )
    model = GPT2ForSequenceClassification(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return model


def batch(rows: int, room: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Padded rows whose texts do not contain the pad token, as transformers wants them."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, PAD, (rows, room), generator=generator)
    lengths = torch.randint(1, room + 1, (rows,), generator=generator)
    labels = torch.randint(0, CLASSES, (rows,), generator=generator)
    return ids.masked_fill(torch.arange(room) >= lengths[:, None], PAD), lengths, labels


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("width", "heads", "layers", "context"), [(24, 4, 3, 16), (20, 2, 2, 12), (8, 8, 1, 33)])
def test_logits_loss_and_gradients_are_transformers(
    width: int, heads: int, layers: int, context: int, tied: bool
) -> None:
    theirs = hub_model(width, heads, layers, context)
    gpt = GPTModel(GPTConfig(VOCABULARY, context, width, heads, layers, 0.0, qkv_bias=True), tie_weights=tied)
    load_gpt2(gpt, theirs.transformer.state_dict())
    mine = ours.ClassifierGPT(gpt, CLASSES)
    with torch.no_grad():
        gpt.out_head.weight.copy_(theirs.score.weight)
        gpt.out_head.bias.zero_()
    for seed, room in enumerate((context, 7, 2)):
        ids, lengths, labels = batch(5, room, seed)
        expected = theirs(ids, attention_mask=(torch.arange(room) < lengths[:, None]).long(), labels=labels)
        torch.testing.assert_close(mine(ids, lengths), expected.logits, atol=1e-4, rtol=1e-4)
        loss = ours.calc_class_loss(ids, lengths, labels, mine, "cpu")
        torch.testing.assert_close(loss, expected.loss, atol=1e-4, rtol=1e-4)
        mine.zero_grad()
        theirs.zero_grad()
        loss.backward()
        expected.loss.backward()
        last, theirs_last = gpt.trf_blocks[-1], theirs.transformer.h[-1]
        for one, other in (
            (gpt.out_head.weight, theirs.score.weight),
            (gpt.final_norm.scale, theirs.transformer.ln_f.weight),
            (last.norm2.shift, theirs_last.ln_2.bias),
            (last.att.out_proj.bias, theirs_last.attn.c_proj.bias),
        ):
            torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-3)


def test_what_the_lesson_counts() -> None:
    with torch.device("meta"):
        classifier = ours.ClassifierGPT(GPTModel(GPTConfig(qkv_bias=True)), 2)
    trained = sum(parameter.numel() for parameter in classifier.parameters() if parameter.requires_grad)
    assert (trained, count_parameters(classifier)) == (7_090_946, 124_441_346)
    for number in (trained, count_parameters(classifier)):
        assert f"{number:,}" in (ours.__doc__ or "")
    held = [p for group in param_groups(classifier, 0.1) for p in group["params"]]
    assert sum(parameter.numel() for parameter in held) == trained


def test_the_numbers_of_the_lesson() -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).double(), torch.tensor([0, 1, 1])
    each = F.cross_entropy(logits, labels, reduction="none").tolist()
    assert [f"{loss:.3f}" for loss in each] == ["0.127", "0.313", "1.313"]
    assert (f"{sum(each) / 3:.3f}", f"{(each[0] + each[1]) / 2:.3f}") == ("0.584", "0.220")
    assert f"{((each[0] + each[1]) / 2 + each[2]) / 2:.3f}" == "0.767"
    for number in ("0.127", "0.313", "1.313", "0.584", "0.220", "0.767", "0.667"):
        assert number in (ours.__doc__ or "")


# Training.


def classifier(seed: int = 5, dropout: float = 0.1) -> ours.ClassifierGPT:
    torch.manual_seed(seed)
    return ours.ClassifierGPT(GPTModel(GPTConfig(VOCABULARY, 12, 16, 2, 2, dropout, qkv_bias=True)), CLASSES)


def rows(count: int, seed: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The label is that of the last real token but one; short texts have label 0."""
    ids, lengths, _ = batch(count, 9, seed)
    labels = [int(row[length - 2]) % CLASSES if length > 1 else 0 for row, length in zip(ids, lengths, strict=True)]
    return list(zip(ids, lengths, torch.tensor(labels), strict=True))


def loaders(count: int = 15) -> tuple[DataLoader, DataLoader]:
    """The last batch of each is short."""
    training = DataLoader(rows(count, 1), 4, shuffle=True, generator=torch.Generator().manual_seed(99))
    return training, DataLoader(rows(7, 2), 3, generator=torch.Generator())


def measured(model: nn.Module, batches: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[float, float]:
    """Loss and accuracy, of everything at once and in float64."""
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(ids, lengths).double() for ids, lengths, _ in batches])
    model.train()
    labels = torch.cat([labels for _, _, labels in batches])
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).double().mean().item()


def plain_loop(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    training: DataLoader,
    validation: DataLoader,
    config: TrainConfig,
) -> list[Point]:
    """The same training, written down as one would with torch alone. The optimizer's rate is 1."""
    total = config.num_epochs * math.ceil(len(training) / config.accumulate)

    def rate(step: int) -> float:
        if step < config.warmup_steps:
            return config.max_lr * (step + 1) / config.warmup_steps
        share = min(1.0, (step - config.warmup_steps) / max(1, total - config.warmup_steps))
        return config.min_lr + (config.max_lr - config.min_lr) * math.cos(share * math.pi / 2) ** 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    training.generator.manual_seed(config.seed)
    to_look_at, to_judge = list(training)[: config.eval_batches], list(validation)[: config.eval_batches]
    curve, step, seen = [], 0, 0
    for epoch in range(config.num_epochs):
        training.generator.manual_seed(config.seed + epoch + 1)
        remaining = list(training)
        while remaining:
            group, remaining = remaining[: config.accumulate], remaining[config.accumulate :]
            model.train()
            optimizer.zero_grad()
            for ids, lengths, labels in group:
                (F.cross_entropy(model(ids, lengths), labels) / len(group)).backward()
                seen += len(labels)
            nn.utils.clip_grad_norm_(trained, config.max_norm)
            rate_now = optimizer.param_groups[0]["lr"]
            optimizer.step()
            schedule.step()
            step += 1
            if step % config.eval_every == 0:
                (loss, accuracy), (val_loss, val_accuracy) = measured(model, to_look_at), measured(model, to_judge)
                curve.append((step, seen, loss, val_loss, accuracy, val_accuracy, rate_now))
    return curve


CONFIGS = {
    "one batch a step": TrainConfig(2, max_lr=5e-3, min_lr=5e-4, eval_every=3),
    "groups with a leftover": TrainConfig(3, max_lr=5e-3, warmup_steps=2, accumulate=3, eval_every=2),
    "clipping always": TrainConfig(2, max_lr=5e-3, max_norm=0.1, accumulate=2, eval_every=1, eval_batches=2),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_the_curve_is_that_of_a_plain_torch_loop(config: TrainConfig, kind: type) -> None:
    mine, theirs = classifier(), classifier()
    frozen = {name: value.clone() for name, value in mine.named_parameters() if not value.requires_grad}
    torch.manual_seed(17)
    history = ours.train_classifier(mine, *loaders(), kind(param_groups(mine, 0.1), lr=1.0), config)
    torch.manual_seed(17)
    expected = plain_loop(theirs, kind(param_groups(theirs, 0.1), lr=1.0), *loaders(), config)
    assert expected
    for one, other in zip(history.evaluations, expected, strict=True):
        assert dataclasses.astuple(one) == pytest.approx(other, rel=1e-4)
    for (name, one), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")
        assert name not in frozen or torch.equal(one, frozen[name]), name


class Stop(Exception):
    """Raised by an on_step, as a full disk or Ctrl-C would be."""


CONFIG = TrainConfig(2, max_lr=5e-3, warmup_steps=2, max_norm=0.5, accumulate=3, eval_every=2, eval_batches=2)


def in_one_go() -> tuple[ours.ClassifierHistory, nn.Module]:
    model = classifier()
    torch.manual_seed(17)
    return ours.train_classifier(model, *loaders(19), AdamW(param_groups(model, 0.1)), CONFIG), model


@pytest.mark.parametrize("stop_after", range(1, 5))
def test_interrupted_is_as_in_one_go_to_the_bit(stop_after: int) -> None:
    """Everything goes through bytes, as it would through a file, and into objects that are new."""
    whole, whole_model = in_one_go()
    assert whole.step == 4
    model = classifier()
    torch.manual_seed(17)
    optimizer = AdamW(param_groups(model, 0.1))
    saved: list[tuple[str, bytes]] = []

    def on_step(history: ours.ClassifierHistory) -> None:
        if history.step == stop_after:
            buffer = io.BytesIO()
            states = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "rng": torch.get_rng_state(),
            }
            torch.save(states, buffer)
            saved.append((json.dumps(dataclasses.asdict(history)), buffer.getvalue()))
            raise Stop

    with pytest.raises(Stop):
        ours.train_classifier(model, *loaders(19), optimizer, CONFIG, on_step=on_step)
    fields, states = json.loads(saved[0][0]), torch.load(io.BytesIO(saved[0][1]), weights_only=True)
    fields["evaluations"] = [ours.ClassifierEvaluation(**evaluation) for evaluation in fields["evaluations"]]
    again = classifier(seed=6)
    again.load_state_dict(states["model"])
    optimizer = AdamW(param_groups(again, 0.1))
    optimizer.load_state_dict(states["optimizer"])
    prepared, history = loaders(19), ours.ClassifierHistory(**fields)
    torch.set_rng_state(states["rng"])
    assert ours.train_classifier(again, *prepared, optimizer, CONFIG, history=history) is history
    assert history == whole
    for name, value in again.state_dict().items():
        assert torch.equal(value, whole_model.state_dict()[name]), name


class Words:
    """A token is a word, and the words are numbers."""

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]


def test_it_learns_and_a_review_gets_the_verdict_whatever_the_padding() -> None:
    """A message is spam if one of the words 1 to 5 is in it, and otherwise one of 6 to 10 is."""
    source = random.Random(3)

    def message(label: int) -> ours.Message:
        words = source.choices(range(11, 30), k=source.randrange(1, 7))
        words.insert(source.randrange(len(words) + 1), source.randrange(1, 6) + 5 * (1 - label))
        return " ".join(map(str, words)), label

    messages = ours.balance([message(int(number % 3 == 0)) for number in range(900)], 1)
    training, validation, test = ours.split_frames(messages, 0.7, 0.2, 1)
    data = ours.SpamDataset(training, Words(), None, PAD)
    others = [ours.SpamDataset(part, Words(), data.max_length, PAD) for part in (validation, test)]
    torch.manual_seed(5)
    gpt = GPTModel(GPTConfig(VOCABULARY, 12, 32, 2, 2, 0.0))
    with torch.no_grad():
        gpt.embedding.tok_emb.weight.mul_(40)
    model = ours.ClassifierGPT(gpt, 2)
    optimizer = AdamW(param_groups(model, 0.0))
    config = TrainConfig(4, max_lr=5e-3, min_lr=5e-4, warmup_steps=5, eval_every=25)
    loader = DataLoader(data, 16, shuffle=True, generator=torch.Generator())
    history = ours.train_classifier(model, loader, DataLoader(others[0], 32), optimizer, config)
    assert history.evaluations[0].val_loss > history.evaluations[-1].val_loss
    assert history.evaluations[-1].val_accuracy > 0.9
    assert ours.calc_accuracy_loader(DataLoader(others[1], 32), model, "cpu") > 0.9
    for text, _ in test[:20]:
        label, probability = ours.classify_review(text, model, Words(), data.max_length, PAD)
        for room in (len(text.split()), 12):
            other_label, other = ours.classify_review(text, model, Words(), room, PAD)
            assert other_label == label
            assert other == pytest.approx(probability, abs=1e-5)
