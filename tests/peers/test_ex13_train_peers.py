"""The reference of ex13 against a plain torch loop with torch's own optimizer, schedule, clipping and loss."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from solutions import ex13_train as ours
from solutions.ex04_data import create_dataloader
from solutions.ex09_gpt import GPTConfig, GPTModel
from solutions.ex12_optim import AdamW, param_groups

VOCABULARY = 31
Point = tuple[int, int, float, float, float]


class Recurrent(nn.Module):
    """A small language model out of torch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 12)
        self.layer = nn.GRU(12, 20, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(20, VOCABULARY)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.dropout(self.layer(self.embedding(ids))[0]))


def gpt() -> GPTModel:
    return GPTModel(GPTConfig(VOCABULARY, context_length=8, emb_dim=16, n_heads=2, n_layers=2, drop_rate=0.2))


def made(make: Callable[[], nn.Module], seed: int = 5) -> nn.Module:
    torch.manual_seed(seed)
    return make()


def ids(count: int, seed: int) -> Tensor:
    return torch.randint(VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed))


def loaders() -> tuple[DataLoader, DataLoader]:
    """11 windows in batches of 2, the last one short, shuffled; and 5 windows to judge by."""
    generator = torch.Generator().manual_seed(99)
    training = create_dataloader(
        ids(8 * 11 + 1, seed=1), 2, max_length=8, stride=8, shuffle=True, drop_last=False, generator=generator
    )
    validation = create_dataloader(
        ids(8 * 5 + 1, seed=2), 2, max_length=8, stride=8, shuffle=False, drop_last=False, generator=generator
    )
    assert (len(training), len(validation)) == (6, 3)
    return training, validation


def plain_loss(model: nn.Module, pairs: list[tuple[Tensor, Tensor]]) -> float:
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(inputs).flatten(0, 1) for inputs, _ in pairs])
    model.train()
    return F.cross_entropy(logits, torch.cat([targets.flatten() for _, targets in pairs])).item()


def plain_loop(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    training: DataLoader,
    validation: DataLoader,
    config: ours.TrainConfig,
) -> list[Point]:
    """The same training, written down as one would with torch alone. The optimizer's rate is 1."""
    steps_an_epoch = math.ceil(len(training) / config.accumulate)
    total, warmup = config.num_epochs * steps_an_epoch, config.warmup_steps

    def rate(step: int) -> float:
        if step < warmup:
            return config.max_lr * (step + 1) / warmup
        share = min(1.0, (step - warmup) / max(1, total - warmup))
        return config.min_lr + (config.max_lr - config.min_lr) * math.cos(share * math.pi / 2) ** 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    training.generator.manual_seed(config.seed)
    to_look_at = list(training)[: config.eval_batches]
    to_judge = list(validation)[: config.eval_batches]
    curve, step, tokens = [], 0, 0
    for epoch in range(config.num_epochs):
        training.generator.manual_seed(config.seed + epoch + 1)
        remaining = list(training)
        while remaining:
            group, remaining = remaining[: config.accumulate], remaining[config.accumulate :]
            model.train()
            optimizer.zero_grad()
            for inputs, targets in group:
                loss = F.cross_entropy(model(inputs).transpose(1, 2), targets)
                (loss / len(group)).backward()
                tokens += inputs.shape[0] * inputs.shape[1]
            nn.utils.clip_grad_norm_(model.parameters(), config.max_norm)
            rate_now = optimizer.param_groups[0]["lr"]
            optimizer.step()
            schedule.step()
            step += 1
            if step % config.eval_every == 0:
                losses = plain_loss(model, to_look_at), plain_loss(model, to_judge)
                curve.append((step, tokens, *losses, rate_now))
    return curve


def curve(history: ours.History) -> list[Point]:
    return [dataclasses.astuple(evaluation) for evaluation in history.evaluations]


def assert_same_curve(mine: list[Point], theirs: list[Point]) -> None:
    assert [point[:2] for point in mine] == [point[:2] for point in theirs]
    for one, other in zip(mine, theirs, strict=True):
        assert one[2:] == pytest.approx(other[2:], rel=1e-4)


def assert_same_weights(mine: nn.Module, theirs: nn.Module) -> None:
    for (name, one), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


CONFIGS = {
    "one batch a step": ours.TrainConfig(2, max_lr=5e-3, min_lr=5e-4, eval_every=3),
    "groups with a leftover": ours.TrainConfig(3, max_lr=5e-3, warmup_steps=2, accumulate=4, eval_every=2),
    "clipping always": ours.TrainConfig(2, max_lr=5e-3, max_norm=0.1, accumulate=2, eval_every=1, eval_batches=2),
    "clipping never": ours.TrainConfig(2, max_lr=5e-3, max_norm=1e6, accumulate=5, eval_every=2, seed=7),
    "warmup only": ours.TrainConfig(2, max_lr=5e-3, warmup_steps=20, accumulate=3, eval_every=4),
}


@pytest.mark.parametrize("make", [Recurrent, gpt])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_curve_is_that_of_a_plain_torch_loop(config: ours.TrainConfig, make: Callable[[], nn.Module]) -> None:
    mine, theirs = made(make), made(make)
    torch.manual_seed(17)
    history = ours.train_model(mine, *loaders(), torch.optim.AdamW(mine.parameters(), lr=1.0), config)
    torch.manual_seed(17)
    expected = plain_loop(theirs, torch.optim.AdamW(theirs.parameters(), lr=1.0), *loaders(), config)
    assert expected
    assert_same_curve(curve(history), expected)
    assert_same_weights(mine, theirs)


def test_the_curve_is_that_of_plain_gradient_descent() -> None:
    """AdamW divides by the size of the gradient and so hides a wrong factor; plain gradient descent shows it."""
    config = ours.TrainConfig(3, max_lr=0.5, min_lr=0.1, max_norm=1e6, accumulate=4, eval_every=1)
    mine, theirs = made(Recurrent), made(Recurrent)
    torch.manual_seed(17)
    history = ours.train_model(mine, *loaders(), torch.optim.SGD(mine.parameters(), lr=1.0), config)
    torch.manual_seed(17)
    expected = plain_loop(theirs, torch.optim.SGD(theirs.parameters(), lr=1.0), *loaders(), config)
    assert_same_curve(curve(history), expected)
    assert_same_weights(mine, theirs)


def test_every_group_of_the_optimizer_follows_the_schedule() -> None:
    config = ours.TrainConfig(2, max_lr=5e-3, warmup_steps=2, accumulate=2, eval_every=2)
    mine, theirs = made(gpt), made(gpt)
    torch.manual_seed(17)
    history = ours.train_model(mine, *loaders(), AdamW(param_groups(mine, 0.1), lr=0.7), config)
    torch.manual_seed(17)
    groups = torch.optim.AdamW(param_groups(theirs, 0.1), lr=1.0)
    assert_same_curve(curve(history), plain_loop(theirs, groups, *loaders(), config))
    assert_same_weights(mine, theirs)


class Stop(Exception):
    """Raised by an on_step, as a full disk or Ctrl-C would be."""


CONFIG = ours.TrainConfig(2, max_lr=5e-3, warmup_steps=2, max_norm=0.5, accumulate=2, eval_every=2, eval_batches=2)


def in_one_go() -> tuple[ours.History, nn.Module]:
    model = made(gpt)
    torch.manual_seed(17)
    optimizer = AdamW(param_groups(model, 0.1))
    return ours.train_model(model, *loaders(), optimizer, CONFIG, sample=text_of), model


def text_of(model: nn.Module) -> str:
    """A sample: it draws from the global random state, and leaves the model in evaluation mode."""
    logits = model.eval()(ids(8, seed=3)[None])
    return str(torch.multinomial(logits.softmax(-1)[0, -1], 5).tolist())


def stopped_and_gone_on(stop_after: int, keep_random_state: bool = True) -> tuple[ours.History, nn.Module]:
    """Everything goes through bytes, as it would through a file, and into objects that are new."""
    model = made(gpt)
    torch.manual_seed(17)
    optimizer = AdamW(param_groups(model, 0.1))
    saved: list[tuple[str, bytes]] = []

    def on_step(history: ours.History) -> None:
        if history.step == stop_after:
            states = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "rng": torch.get_rng_state(),
            }
            buffer = io.BytesIO()
            torch.save(states, buffer)
            saved.append((json.dumps(dataclasses.asdict(history)), buffer.getvalue()))
            raise Stop

    with pytest.raises(Stop):
        ours.train_model(model, *loaders(), optimizer, CONFIG, sample=text_of, on_step=on_step)
    text, data = saved[0]
    fields, states = json.loads(text), torch.load(io.BytesIO(data), weights_only=True)
    fields["evaluations"] = [ours.Evaluation(**evaluation) for evaluation in fields["evaluations"]]
    history = ours.History(**fields)
    model_again = made(gpt, seed=6)
    model_again.load_state_dict(states["model"])
    optimizer_again = AdamW(param_groups(model_again, 0.1))
    optimizer_again.load_state_dict(states["optimizer"])
    again = loaders()
    if keep_random_state:
        torch.set_rng_state(states["rng"])
    returned = ours.train_model(model_again, *again, optimizer_again, CONFIG, sample=text_of, history=history)
    assert returned is history
    return history, model_again


@pytest.mark.parametrize("stop_after", range(1, 7))
def test_interrupted_is_as_in_one_go_to_the_bit(stop_after: int) -> None:
    whole, whole_model = in_one_go()
    history, model = stopped_and_gone_on(stop_after)
    assert whole.step == 6
    assert history == whole
    for name, value in model.state_dict().items():
        assert torch.equal(value, whole_model.state_dict()[name]), name


def test_without_the_random_state_it_is_not() -> None:
    """So the test above would see it if anything were drawn, or left out, while batches are passed over."""
    whole, _ = in_one_go()
    history, _ = stopped_and_gone_on(1, keep_random_state=False)
    assert curve(history) != curve(whole)


def test_a_gpt_memorizes_what_can_be_memorized() -> None:
    """A cycle of 31 ids: each tells the next, so the loss goes from ln 31 towards 0, on new text too."""
    cycle = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(4))
    training = create_dataloader(
        cycle.repeat(12), 8, max_length=8, stride=5, generator=torch.Generator().manual_seed(1)
    )
    validation = create_dataloader(cycle.roll(3).repeat(2), 4, max_length=8, stride=8, shuffle=False)
    config = ours.TrainConfig(10, max_lr=2e-2, min_lr=1e-4, warmup_steps=5, eval_every=9)
    model = made(gpt)
    history = ours.train_model(model, training, validation, AdamW(param_groups(model, 0.0)), config)
    first, last = history.evaluations[0], history.evaluations[-1]
    assert first.val_loss > 1.5
    assert last.val_loss < 0.5
    assert last.train_loss < 0.5


def test_the_lesson() -> None:
    """The table in the docstring of the module."""
    generator = torch.Generator().manual_seed(0)
    pairs = [tuple(torch.randint(VOCABULARY, (2, 2, 4), generator=generator)) for _ in range(5)]
    config = ours.TrainConfig(2, max_lr=1.0, min_lr=0.1, warmup_steps=2, accumulate=2, eval_every=2)
    model = made(Recurrent)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    seen: list[tuple[int, int, str]] = []

    def on_step(history: ours.History) -> None:
        seen.append((history.step, history.tokens_seen, f"{optimizer.param_groups[0]['lr']:.2f}"))

    history = ours.train_model(
        model, pairs, pairs[:1], optimizer, config, sample=lambda _: "hello", on_step=on_step
    )
    for label, found in zip(("step", "tokens seen", "learning rate"), zip(*seen, strict=True), strict=True):
        row = re.search(rf"^    {label}  +([\d. ]+)$", ours.__doc__ or "", re.MULTILINE)
        assert row and row[1].split() == [str(number) for number in found]
    assert [(point.step, point.tokens_seen) for point in history.evaluations] == [(2, 32), (4, 56), (6, 80)]
    assert history.samples == ["hello", "hello"]
