"""The reference of ex18 against torch's distributions, transformers' loss, a plain loop, and the theory."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import math
import random
import re
from functools import partial
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from solutions import ex18_dpo as ours
from solutions.ex09_gpt import GPTConfig, GPTModel
from solutions.ex13_train import TrainConfig
from solutions.ex16_instruct import RESPONSE_HEADING, format_prompt

VOCABULARY, END = 40, 39


def gpt(seed: int = 5, drop_rate: float = 0.0) -> GPTModel:
    torch.manual_seed(seed)
    sizes = {"context_length": 16, "emb_dim": 16, "n_heads": 2, "n_layers": 2}
    model = GPTModel(GPTConfig(VOCABULARY, drop_rate=drop_rate, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return model


def pairs(count: int, seed: int) -> list[ours.Pair]:
    """Prompts of 1 to 5 ids, answers of 0 to 7, with the id of the end among them."""
    chance = random.Random(seed)

    def ids(low: int, high: int) -> list[int]:
        return [chance.randrange(VOCABULARY) for _ in range(chance.randint(low, high))]

    return [(ids(1, 5), ids(0, 7), ids(0, 7)) for _ in range(count)]


def loader(count: int, seed: int, shuffle: bool = True) -> DataLoader:
    return DataLoader(
        pairs(count, seed),
        batch_size=2,
        shuffle=shuffle,
        generator=torch.Generator().manual_seed(99),
        collate_fn=partial(ours.collate_preferences, pad_token_id=END),
    )


def alone(model: nn.Module, prompt: list[int], answer: list[int]) -> Tensor:
    """The log probability of one answer, token by token, by torch's own distribution, in float64."""
    ids = [*prompt, *answer, END]
    logits = model(torch.tensor([ids]))[0].double()
    said = torch.distributions.Categorical(logits=logits)
    every = said.log_prob(torch.tensor([*ids[1:], 0]))
    return every[len(prompt) - 1 : -1].sum()


@pytest.mark.parametrize("seed", range(10))
def test_log_probabilities_are_those_of_each_answer_alone(seed: int) -> None:
    """So neither padding nor the other rows of a batch matter."""
    model, given = gpt(seed).eval(), pairs(5, seed)
    batch = ours.collate_preferences(given, END)
    for number, side in enumerate(("chosen", "rejected"), start=1):
        mine = ours.sequence_logprobs(model(batch[side]), batch[side], batch[f"{side}_mask"])
        theirs = torch.stack([alone(model, pair[0], pair[number]) for pair in given])
        torch.testing.assert_close(mine.double(), theirs, atol=1e-4, rtol=1e-5)


def test_log_probabilities_are_transformers_loss() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    torch.manual_seed(3)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=VOCABULARY, **sizes)).eval()
    given = pairs(6, seed=3)
    batch = ours.collate_preferences(given, END)
    ids, mask = batch["chosen"], batch["chosen_mask"]
    mine = ours.sequence_logprobs(model(ids).logits, ids, mask)
    for row in range(len(given)):
        labels = ids[row].masked_fill(~mask[row], -100)
        loss = model(ids[row][None], labels=labels[None]).loss
        assert mine[row].item() == pytest.approx(-loss.item() * mask[row].sum().item(), rel=1e-5)


def softplus(x: float) -> float:
    """−ln σ(−x), with Python's floats alone."""
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("spread", [1.0, 30.0, 2000.0])
def test_the_loss_and_its_gradient_are_the_papers(beta: float, spread: float) -> None:
    generator = torch.Generator().manual_seed(int(spread))
    parts = [torch.randn(9, generator=generator, dtype=torch.float64) * spread for _ in range(4)]
    policy_chosen, policy_rejected = parts[0].requires_grad_(), parts[1].requires_grad_()
    result = ours.dpo_loss(*parts, beta=beta)
    margins = [beta * ((a - c) - (b - d)) for a, b, c, d in zip(*(part.tolist() for part in parts), strict=True)]
    assert result.loss.item() == pytest.approx(sum(map(softplus, map(float.__neg__, margins))) / 9, rel=1e-9)
    assert result.margin == pytest.approx(sum(margins) / 9, rel=1e-9)
    assert result.accuracy == sum(margin > 0 for margin in margins) / 9
    result.loss.backward()
    pulls = torch.tensor(margins, dtype=torch.float64).neg().sigmoid() * beta / 9
    torch.testing.assert_close(policy_chosen.grad, -pulls)
    torch.testing.assert_close(policy_rejected.grad, pulls)


def test_the_best_policy_is_the_one_of_the_theory() -> None:
    """Preferences that follow rewards lead to π_reference · e^(reward/β) over a constant: equation 4."""
    beta, rewards = 0.5, torch.tensor([0.4, -0.3, 0.0, 0.9], dtype=torch.float64)
    reference = torch.tensor([0.5, 0.2, 0.2, 0.1], dtype=torch.float64).log()
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-14)
    both = [pair for one, other in combinations(range(4), 2) for pair in ((one, other), (other, one))]

    def expected_loss() -> Tensor:
        optimizer.zero_grad()
        policy = logits.log_softmax(0)
        total = torch.zeros((), dtype=torch.float64)
        for good, bad in both:
            parts = (policy[good], policy[bad], reference[good], reference[bad])
            result = ours.dpo_loss(*(part[None] for part in parts), beta=beta)
            total = total + torch.sigmoid(rewards[good] - rewards[bad]) * result.loss
        total.backward()
        return total

    optimizer.step(expected_loss)
    best = (reference + rewards / beta).softmax(0)
    torch.testing.assert_close(logits.detach().softmax(0), best, atol=1e-6, rtol=1e-6)


def test_it_starts_at_ln_2() -> None:
    policy = gpt().train()
    reference = copy.deepcopy(policy)
    result = ours.dpo_loss_batch(ours.collate_preferences(pairs(4, seed=1), END), policy, reference)
    assert result.loss.item() == pytest.approx(math.log(2), rel=1e-6)
    assert not result.chosen_rewards.any()
    assert not result.rejected_rewards.any()
    assert (result.margin, result.accuracy) == (0.0, 0.0)


def plain_loop(
    policy: nn.Module,
    reference: nn.Module,
    training: DataLoader,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
) -> list[float]:
    """The same training, pair by pair, as one would write it with torch alone. The optimizer's rate is 1."""
    given: list[ours.Pair] = training.dataset
    total = config.num_epochs * math.ceil(len(training) / config.accumulate)

    def rate(step: int) -> float:
        return config.min_lr + (config.max_lr - config.min_lr) * math.cos(step / total * math.pi / 2) ** 2

    def losses(numbers: list[int]) -> Tensor:
        margins = []
        for prompt, chosen, rejected in (given[number] for number in numbers):
            with torch.no_grad():
                held = alone(reference, prompt, chosen) - alone(reference, prompt, rejected)
            margins.append(0.3 * (alone(policy, prompt, chosen) - alone(policy, prompt, rejected) - held))
        margin = torch.stack(margins)
        return F.binary_cross_entropy_with_logits(margin, torch.ones_like(margin))

    schedule, curve = torch.optim.lr_scheduler.LambdaLR(optimizer, rate), []
    for epoch in range(config.num_epochs):
        training.generator.manual_seed(config.seed + epoch + 1)
        order = [number for batch in training.batch_sampler for number in batch]
        size = training.batch_size * config.accumulate
        for start in range(0, len(order), size):
            optimizer.zero_grad()
            losses(order[start : start + size]).backward()
            nn.utils.clip_grad_norm_(policy.parameters(), config.max_norm)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                curve.append(losses(list(range(len(given)))).item())
    return curve


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_the_curve_is_that_of_a_plain_loop(kind: type[torch.optim.Optimizer], accumulate: int) -> None:
    config = TrainConfig(2, max_lr=2e-2, min_lr=2e-3, max_norm=0.5, accumulate=accumulate, eval_every=1)
    mine, theirs, reference = gpt(), gpt(), gpt()
    training = loader(7, seed=11)
    mine_optimizer = kind(mine.parameters(), lr=1.0)
    history = ours.train_dpo(mine, reference, training, loader(7, 11, False), mine_optimizer, config, beta=0.3)
    expected = plain_loop(theirs, reference, _Ordered(training), kind(theirs.parameters(), lr=1.0), config)
    assert len(history.evaluations) == len(expected) >= 4
    assert [point.train_loss for point in history.evaluations] == pytest.approx(expected, rel=1e-4)
    assert [point.val_loss for point in history.evaluations] == pytest.approx(expected, rel=1e-4)
    assert expected[-1] < expected[0]


class _Ordered:
    """A loader whose `batch_sampler` gives the numbers of the pairs in the order in which the loader gives them."""

    def __init__(self, loader: DataLoader) -> None:
        self.dataset, self.generator, self.batch_size = loader.dataset, loader.generator, loader.batch_size
        numbers = list(range(len(loader.dataset)))
        self.batch_sampler = DataLoader(
            numbers, loader.batch_size, shuffle=True, generator=loader.generator, collate_fn=list
        )

    def __len__(self) -> int:
        return len(self.batch_sampler)


class Stop(Exception):
    """Raised by an on_step, as a full disk or Ctrl-C would be."""


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
def test_interrupted_is_as_in_one_go_to_the_bit(stop_after: int) -> None:
    """Everything goes through bytes, as it would through a file, and into objects that are new."""
    config = TrainConfig(3, max_lr=5e-3, warmup_steps=2, accumulate=2, eval_every=2, eval_batches=2)

    references = [gpt(6), gpt(6), gpt(6)]

    def train(policy: nn.Module, optimizer: torch.optim.Optimizer, **named: object) -> ours.DPOHistory:
        rest = references.pop(), loader(7, 11), loader(5, 12, False), optimizer, config, 0.3
        return ours.train_dpo(policy, *rest, **named)

    whole_policy = gpt(drop_rate=0.3)
    torch.manual_seed(17)
    whole = train(whole_policy, torch.optim.AdamW(whole_policy.parameters()))
    policy = gpt(drop_rate=0.3)
    optimizer = torch.optim.AdamW(policy.parameters())
    saved: list[tuple[str, bytes]] = []

    def on_step(history: ours.DPOHistory) -> None:
        if history.step == stop_after:
            states = {"policy": policy.state_dict(), "optimizer": optimizer.state_dict()}
            buffer = io.BytesIO()
            torch.save(states | {"rng": torch.get_rng_state()}, buffer)
            saved.append((json.dumps(dataclasses.asdict(history)), buffer.getvalue()))
            raise Stop

    torch.manual_seed(17)
    with pytest.raises(Stop):
        train(policy, optimizer, on_step=on_step)
    fields, states = json.loads(saved[0][0]), torch.load(io.BytesIO(saved[0][1]), weights_only=True)
    fields["evaluations"] = [ours.DPOEvaluation(**point) for point in fields["evaluations"]]
    again = gpt(8, drop_rate=0.3)
    again.load_state_dict(states["policy"])
    optimizer_again = torch.optim.AdamW(again.parameters())
    optimizer_again.load_state_dict(states["optimizer"])
    torch.set_rng_state(states["rng"])
    history = train(again, optimizer_again, history=ours.DPOHistory(**fields))
    assert history == whole
    for name, value in again.state_dict().items():
        assert torch.equal(value, whole_policy.state_dict()[name]), name


def test_pairs_that_were_never_seen_come_out_right() -> None:
    """Preferred is whatever ends in an even id. The policy learns that, and applies it to other prompts."""
    chance = random.Random(2)

    def pair() -> ours.Pair:
        prompt = [chance.randrange(30) for _ in range(4)]
        common = [chance.randrange(30) for _ in range(chance.randint(1, 3))]
        even = 2 * chance.randrange(15)
        return prompt, [*common, even], [*common, even + 1]

    together = partial(ours.collate_preferences, pad_token_id=END)
    training = DataLoader(
        [pair() for _ in range(160)], 16, shuffle=True, generator=torch.Generator(), collate_fn=together
    )
    unseen = DataLoader([pair() for _ in range(64)], 16, collate_fn=together)
    policy = gpt()
    reference = copy.deepcopy(policy)
    config = TrainConfig(4, max_lr=5e-3, min_lr=1e-4, eval_every=20)
    optimizer = torch.optim.AdamW(policy.parameters())
    history = ours.train_dpo(policy, reference, training, unseen, optimizer, config)
    assert ours.evaluate_dpo(reference, reference, unseen) == pytest.approx((math.log(2), 0.0, 0.0))
    assert history.evaluations[-1].val_loss < 0.5
    assert history.evaluations[-1].val_accuracy > 0.9


class Characters:
    """A tokenizer that anybody can check."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode()


def test_the_texts_come_back() -> None:
    tokenizer = Characters()
    entries = [
        {"instruction": "Say hello.", "input": "", "chosen": "Good day, sir.", "rejected": "Hi ☺"},
        {"instruction": "Translate.", "input": "Straße", "chosen": "A street.", "rejected": ""},
    ]
    dataset = ours.PreferenceDataset(entries, tokenizer)
    batch = ours.collate_preferences([dataset[0], dataset[1]], pad_token_id=0)
    for row, entry in enumerate(entries):
        for side in ("chosen", "rejected"):
            text = tokenizer.decode(batch[side][row].tolist())
            assert text.rstrip("\0") == format_prompt(entry) + RESPONSE_HEADING + entry[side]
            counted = batch[side][row][batch[f"{side}_mask"][row]].tolist()
            assert tokenizer.decode(counted) == entry[side] + "\0"


def lesson_rows(label: str) -> list[list[str]]:
    """What is written behind this label in the tables of the lesson, from the first one to the last."""
    found = re.findall(rf"^    {re.escape(label)}  +(\S.*)$", ours.__doc__ or "", re.MULTILINE)
    assert found, label
    return [row.split() for row in found]


def test_the_lesson() -> None:
    """The numbers and the drawing in the docstring of the module."""
    parts = [torch.tensor([share], dtype=torch.float64).log() for share in (0.2, 0.1, 0.1, 0.2)]
    result = ours.dpo_loss(*parts, beta=0.1)
    minus = "\N{MINUS SIGN}"
    for label, number in (
        ("reward, chosen", result.chosen_rewards.item()),
        ("reward, rejected", result.rejected_rewards.item()),
        ("margin", result.margin),
        ("loss", result.loss.item()),
    ):
        assert lesson_rows(label)[-1][-1] == f"{number:.4f}".replace("-", minus)
    margins = [float(cell.replace(minus, "-")) for cell in lesson_rows("margin")[0]]
    assert lesson_rows("loss")[1] == [f"{softplus(-margin):.3f}" for margin in margins]
    assert lesson_rows("pull")[0] == [f"{1 / (1 + math.exp(margin)):.2f}" for margin in margins]
    batch = ours.collate_preferences([([5, 6], [8, 9], [4])], 0)
    for side in ("chosen", "rejected"):
        assert lesson_rows(side)[0] == [str(token) for token in batch[side][0].tolist()]
        marks = ["x" if counts else "." for counts in batch[f"{side}_mask"][0].tolist()]
        assert lesson_rows(f"{side}_mask")[0][:5] == marks
