"""The reference of ex21 against torch's own DDP, in real processes that talk over gloo; operations against torch's
own counter; and one process against two."""

from __future__ import annotations

import copy
import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from solutions import ex21_scale as ours
from solutions.ex09_gpt import GPTConfig, GPTModel
from solutions.ex11_loss import calc_loss_batch
from solutions.ex12_optim import AdamW, param_groups
from solutions.ex13_train import History, TrainConfig, train_model, update
from solutions.ex14_weights import load_checkpoint, save_checkpoint

VOCABULARY, CONTEXT = 61, 8
SETTINGS = TrainConfig(
    2, max_lr=1e-2, min_lr=1e-3, warmup_steps=2, max_norm=0.5, accumulate=2, eval_every=2, eval_batches=2, seed=5
)
SECONDS = 300
LOOPBACK = {"linux": "lo", "darwin": "lo0"}

Batch = tuple[Tensor, Tensor]


def gpt(seed: int, dropout: float = 0.0) -> GPTModel:
    torch.manual_seed(seed)
    return GPTModel(GPTConfig(VOCABULARY, CONTEXT, 24, 4, 2, dropout, qkv_bias=True))


def loader(seed: int = 0) -> DataLoader[Batch]:
    """Ten batches of 4; every target counts."""
    ids = torch.randint(0, VOCABULARY, (40, CONTEXT + 1), generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(ids[:, :-1], ids[:, 1:]), 4, shuffle=True, generator=generator, drop_last=True)


def validation() -> list[Batch]:
    ids = torch.randint(0, VOCABULARY, (3, CONTEXT + 1), generator=torch.Generator().manual_seed(4))
    return [(ids[:, :-1], ids[:, 1:])]


class Alone:
    """A group of one process."""

    rank, world_size = 0, 1

    def all_reduce(self, tensor: Tensor) -> None:
        """The sum over one process is there already."""

    def broadcast(self, tensor: Tensor, source: int) -> None:
        """So are the values of rank 0."""


def in_processes(world_size: int, program: Callable[..., Any], folder: Path) -> list[Any]:
    """What `program(TorchGroup(), folder)` returns in each of `world_size` real processes."""
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_one_process, args=(rank, world_size, program, folder), daemon=True)
        for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(SECONDS)
        assert [process.exitcode for process in processes] == [0] * world_size
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"result{rank}.pt", weights_only=False) for rank in range(world_size)]


def _one_process(rank: int, world_size: int, program: Callable[..., Any], folder: Path) -> None:
    torch.set_num_threads(1)
    if sys.platform in LOOPBACK:
        os.environ["GLOO_SOCKET_IFNAME"] = LOOPBACK[sys.platform]
    meet = (folder / "meet").absolute().as_uri()
    distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=world_size)
    torch.save(program(ours.TorchGroup(), folder), folder / f"result{rank}.pt")
    distributed.destroy_process_group()


def everything(group: ours.Group, folder: Path) -> dict[str, Any]:
    """All that is to be done in real processes: starting them takes longer than what they do."""
    programs = (train_whole, gradients_by_ddp_and_by_ours, odd_gradients)
    return {program.__name__: program(group, folder) for program in programs}


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """What came of `everything` on each of two processes, and the folder with their files."""
    folder = tmp_path_factory.mktemp("two")
    return in_processes(2, everything, folder), folder


def train_whole(group: ours.Group, folder: Path) -> dict[str, Any]:
    """Five steps an epoch, two epochs, each rank from other weights; then what came of it."""
    model = gpt(seed=group.rank)
    called = {"sample": 0, "on_step": 0}

    def sample(model: nn.Module) -> str:
        called["sample"] += 1
        return "text"

    def on_step(history: History) -> None:
        called["on_step"] += 1
        save_checkpoint(folder / "model.pt", model, extra=asdict(history))

    history = ours.train_ddp(
        model,
        loader(seed=group.rank),
        validation(),
        AdamW(param_groups(model, 0.1)),
        SETTINGS,
        group,
        sample=sample,
        on_step=on_step,
    )
    return {"history": asdict(history), "model": model.state_dict(), "called": called}


def test_two_real_processes_train_as_one(of_two: tuple[list[dict[str, Any]], Path]) -> None:
    found, folder = of_two
    first, second = (of_rank["train_whole"] for of_rank in found)
    model = gpt(seed=0)
    history = train_model(
        model, loader(), validation(), AdamW(param_groups(model, 0.1)), SETTINGS, sample=lambda _: "text"
    )
    assert (history.step, history.tokens_seen) == (10, 2 * 10 * 4 * CONTEXT)
    for name, value in first["model"].items():
        assert torch.equal(second["model"][name], value), name
        torch.testing.assert_close(value, model.state_dict()[name], atol=2e-5, rtol=1e-4)
    assert first["called"] == {"sample": 2, "on_step": 10}
    assert second["called"] == {"sample": 0, "on_step": 0}
    expected = asdict(history)
    for record, samples in ((first["history"], ["text", "text"]), (second["history"], [])):
        assert record["samples"] == samples
        assert (record["step"], record["tokens_seen"]) == (expected["step"], expected["tokens_seen"])
        for point, wanted in zip(record["evaluations"], expected["evaluations"], strict=True):
            assert point == pytest.approx(wanted, abs=1e-5)
    assert first["history"]["evaluations"] == second["history"]["evaluations"]
    saved = gpt(seed=9)
    assert load_checkpoint(folder / "model.pt", saved) == first["history"]
    assert all(torch.equal(value, first["model"][name]) for name, value in saved.state_dict().items())


def gradients_by_ddp_and_by_ours(group: ours.Group, folder: Path) -> list[tuple[list[Tensor], list[Tensor]]]:
    """After each of five steps with accumulation, plain gradient descent: torch's DDP with no_sync, and ours."""
    wrapped, mine = DistributedDataParallel(gpt(seed=group.rank)), gpt(seed=group.rank)
    ours.broadcast_parameters(mine, group)
    theirs = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    optimizer = torch.optim.SGD(mine.parameters(), lr=0.1)
    found, batches = [], list(loader())
    for step in range(5):
        pair = batches[2 * step : 2 * step + 2]
        theirs.zero_grad()
        own = [[part[2 * group.rank : 2 * group.rank + 2] for part in batch] for batch in pair]
        with wrapped.no_sync():
            (F.cross_entropy(wrapped(own[0][0]).flatten(0, 1), own[0][1].flatten()) / 2).backward()
        (F.cross_entropy(wrapped(own[1][0]).flatten(0, 1), own[1][1].flatten()) / 2).backward()
        nn.utils.clip_grad_norm_(wrapped.parameters(), 0.5)
        theirs.step()
        ours.update_distributed(mine, pair, optimizer, 0.1, 0.5, "cpu", group)
        found.append(([p.grad.clone() for p in wrapped.parameters()], [p.grad.clone() for p in mine.parameters()]))
    assert sorted(wrapped.state_dict())[0].startswith("module.")
    plain = gpt(seed=5)
    plain.load_state_dict(ours.state_dict_to_save(wrapped))
    return found


def test_gradients_are_those_of_torchs_ddp_and_of_one_process(
    of_two: tuple[list[dict[str, Any]], Path],
) -> None:
    of_ranks = [of_rank["gradients_by_ddp_and_by_ours"] for of_rank in of_two[0]]
    model = gpt(seed=0)
    optimizer, batches = torch.optim.SGD(model.parameters(), lr=0.1), list(loader())
    for step in range(5):
        update(model, batches[2 * step : 2 * step + 2], optimizer, 0.1, 0.5, "cpu")
        expected = [parameter.grad for parameter in model.parameters()]
        for found in of_ranks:
            for theirs, mine, alone in zip(*found[step], expected, strict=True):
                torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)
                torch.testing.assert_close(mine, alone, atol=1e-6, rtol=1e-5)


def odd_gradients(group: ours.Group, folder: Path) -> list[Tensor | None]:
    """Another parameter without a gradient on each rank, one without on both, one frozen."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[1].bias.requires_grad_(False)
    parameters = list(model.parameters())
    parameters[group.rank].grad = torch.full_like(parameters[group.rank], 10.0 ** (group.rank + 1))
    ours.average_gradients(model, group)
    return [parameter.grad for parameter in parameters]


def test_real_processes_stay_in_step_where_one_has_no_gradient(
    of_two: tuple[list[dict[str, Any]], Path],
) -> None:
    for found in of_two[0]:
        *trained, frozen = found["odd_gradients"]
        assert frozen is None
        for gradient, mean in zip(trained, (5.0, 50.0, 0.0), strict=True):
            torch.testing.assert_close(gradient, torch.full_like(gradient, mean))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_group_of_one_trains_as_train_model_to_the_bit(dropout: float) -> None:
    models = [gpt(seed=1, dropout=dropout) for _ in range(2)]
    histories = []
    for model, train in zip(models, (train_model, ours.train_ddp), strict=True):
        more = () if train is train_model else (Alone(),)
        torch.manual_seed(8)
        optimizer = AdamW(param_groups(model, 0.1))
        calls = {"sample": lambda _: str(torch.rand(()).item())}
        histories.append(train(model, loader(), validation(), optimizer, SETTINGS, *more, **calls))
    assert histories[0] == histories[1]
    assert all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in models), strict=True))


@pytest.mark.parametrize(("width", "heads", "layers", "length"), [(64, 4, 3, 32), (48, 2, 2, 96)])
def test_operations_are_those_that_torch_counts(width: int, heads: int, layers: int, length: int) -> None:
    model = GPTModel(GPTConfig(512, length, width, heads, layers, 0.0, qkv_bias=False))
    ids = torch.randint(0, 512, (2, length), generator=torch.Generator().manual_seed(1))
    with FlopCounterMode(display=False) as counter:
        calc_loss_batch(ids, ids, model, "cpu").backward()
    # torch counts matrix products only: neither biases nor norms, whose parameters N holds too.
    matrices = sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "pos_emb" not in name)
    assert ours.flops_per_token(matrices, layers, width, length) * ids.numel() == counter.get_total_flops()
    every = sum(p.numel() for name, p in model.named_parameters() if "pos_emb" not in name)
    assert every == pytest.approx(matrices, rel=0.03)


def test_numbers_of_the_lesson() -> None:
    with torch.device("meta"):
        small = GPTModel(GPTConfig(qkv_bias=True))
    every = sum(parameter.numel() for parameter in small.parameters())
    positions = small.embedding.pos_emb.weight.numel()
    assert (every, positions, every - positions) == (124_439_808, 786_432, 123_653_376)
    assert (6 * 123_653_376, 12 * 12 * 768 * 1024) == (741_920_256, 113_246_208)
    assert ours.flops_per_token(123_653_376, 12, 768, 1024) == 855_166_464
    assert ours.share_of_peak(150_000, 855_166_464, 312e12) == pytest.approx(0.411, abs=5e-4)
    assert torch.tensor([257.0, 1.001]).bfloat16().tolist() == [256.0, 1.0]
    assert 4 * every == pytest.approx(0.5e9, rel=0.01)
    weight, rows = torch.zeros((), requires_grad=True), torch.tensor([1.0, 2.0, 3.0, 6.0])

    def gradient(rows: Tensor) -> float:
        [found] = torch.autograd.grad(((weight - rows) ** 2 / 2).mean(), weight)
        return found.item()

    assert [gradient(part) for part in (rows, rows[:2], rows[2:])] == [-3.0, -1.5, -4.5]


def test_bfloat16_is_close_to_float32_and_trains() -> None:
    model, batch = gpt(seed=2), next(iter(loader()))
    exact = ours.mixed_precision_loss(*batch, model, "cpu", None)
    assert torch.equal(exact, calc_loss_batch(*batch, model, "cpu"))
    rough = ours.mixed_precision_loss(*batch, model, "cpu", torch.bfloat16)
    assert rough.dtype is torch.float32
    assert exact.item() == pytest.approx(rough.item(), abs=2e-2)
    assert exact.item() != rough.item()
    losses = {}
    for dtype in (None, torch.bfloat16):
        learner = copy.deepcopy(model)
        history = ours.train_ddp(
            learner, loader(), validation(), AdamW(param_groups(learner, 0.1)), SETTINGS, Alone(), dtype=dtype
        )
        losses[dtype] = history.evaluations[-1].train_loss
        assert all(parameter.dtype is torch.float32 for parameter in learner.parameters())
    assert losses[torch.bfloat16] < exact.item() - 0.05
    assert losses[torch.bfloat16] == pytest.approx(losses[None], abs=2e-2)


def test_a_training_that_was_interrupted_goes_on_to_the_bit(tmp_path: Path) -> None:
    whole = gpt(seed=3, dropout=0.2)
    torch.manual_seed(6)
    expected = ours.train_ddp(whole, loader(), validation(), AdamW(param_groups(whole, 0.1)), SETTINGS, Alone())
    model = gpt(seed=3, dropout=0.2)
    optimizer, history = AdamW(param_groups(model, 0.1)), History()

    def stop(history: History) -> None:
        if history.step == 7:
            save_checkpoint(tmp_path / "stopped.pt", model, optimizer)
            raise KeyboardInterrupt

    torch.manual_seed(6)
    with pytest.raises(KeyboardInterrupt):
        ours.train_ddp(model, loader(), validation(), optimizer, SETTINGS, Alone(), on_step=stop, history=history)
    again = gpt(seed=99, dropout=0.2)
    optimizer = AdamW(param_groups(again, 0.1))
    load_checkpoint(tmp_path / "stopped.pt", again, optimizer)
    assert ours.train_ddp(again, loader(7), validation(), optimizer, SETTINGS, Alone(), history=history) == expected
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))
