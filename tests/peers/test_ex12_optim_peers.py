"""ex12 beside what we did not write: torch's AdamW, clipping and schedulers, and the schedule of transformers."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, SequentialLR
from transformers import GPT2Config, GPT2LMHeadModel, get_cosine_schedule_with_warmup

from solutions import ex12_optim as ex12

SHAPES = ((3, 4), (5,), (2, 3, 2), (), (1, 7))


def generator(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float32, scale=1.0):
    return torch.randn(shape, generator=generator(seed)).to(dtype) * scale


def twins(dtype=torch.float32):
    """The same parameters twice."""
    ours = [nn.Parameter(normal(*shape, seed=i, dtype=dtype)) for i, shape in enumerate(SHAPES)]
    return ours, [nn.Parameter(parameter.detach().clone()) for parameter in ours]


def give_gradients(ours, theirs, step, scale=1.0, without=()):
    for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        gradient = normal(*mine.shape, seed=1000 * step + i, dtype=mine.dtype, scale=scale)
        mine.grad = None if i in without else gradient
        other.grad = None if i in without else gradient.clone()


def assert_same(ours, theirs, tolerance):
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.05, "weight_decay": 0.3},
        {"lr": 0.02, "betas": (0.5, 0.7), "eps": 0.1, "weight_decay": 0.0},
        {"lr": 0.3, "betas": (0.95, 0.9), "eps": 1e-6, "weight_decay": 1.5},
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_thousand_steps_equal_torchs(dtype, options):
    ours, theirs = twins(dtype)
    mine, other = ex12.AdamW(ours, **options), torch.optim.AdamW(theirs, **{"weight_decay": 0.01, **options})
    tolerance = 2e-5 if dtype == torch.float32 else 1e-11
    for step in range(1000):
        give_gradients(ours, theirs, step, scale=10.0 ** (step % 7 - 3))
        mine.step()
        other.step()
        if step % 100 in (0, 1, 50):
            assert_same(ours, theirs, tolerance)
    assert_same(ours, theirs, tolerance)
    for parameter, twin in zip(ours, theirs, strict=True):
        state, expected = mine.state[parameter], other.state[twin]
        assert state["step"] == expected["step"] == 1000
        assert_same(
            [state["exp_avg"], state["exp_avg_sq"]], [expected["exp_avg"], expected["exp_avg_sq"]], tolerance
        )


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-8, 1e-4, 1.0, 1e6])
def test_gradients_of_any_size_equal_torchs(scale):
    ours, theirs = twins(torch.float64)
    mine, other = ex12.AdamW(ours, lr=0.1), torch.optim.AdamW(theirs, lr=0.1)
    for step in range(20):
        give_gradients(ours, theirs, step, scale=scale)
        mine.step()
        other.step()
    assert_same(ours, theirs, 1e-11)


def groups_of(parameters):
    return [
        {"params": parameters[:2], "weight_decay": 0.5},
        {"params": parameters[2:4], "lr": 0.2, "betas": (0.8, 0.9), "weight_decay": 0.0},
        {"params": parameters[4:], "eps": 0.01},
    ]


def test_groups_missing_gradients_schedule_and_clipping_together_equal_torchs():
    ours, theirs = twins(torch.float64)
    mine = ex12.AdamW(groups_of(ours), lr=0.1, weight_decay=0.1)
    other = torch.optim.AdamW(groups_of(theirs), lr=0.1, weight_decay=0.1)
    for step in range(1000):
        lr = ex12.lr_at(step, 0.05, 0.001, 100, 900)
        for group in (*mine.param_groups, *other.param_groups):
            group["lr"] = lr
        without = [i for i in range(len(SHAPES)) if (step + i) % 4 == 0 or step % 50 == 0]
        give_gradients(ours, theirs, step, scale=0.1 + step % 3, without=without)
        norm = ex12.clip_grad_norm(iter(ours), 2.0)
        assert norm == pytest.approx(nn.utils.clip_grad_norm_(theirs, 2.0).item(), rel=1e-12)
        for parameter, twin in zip(ours, theirs, strict=True):  # torch's own 1e-6 is not to be measured here
            if twin.grad is not None:
                torch.testing.assert_close(parameter.grad, twin.grad, rtol=1e-6, atol=1e-9)
                twin.grad.copy_(parameter.grad)
        mine.step()
        other.step()
    assert_same(ours, theirs, 1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_goes_on_from_our_state_and_we_from_torchs(dtype):
    ours, theirs = twins(dtype)
    mine = ex12.AdamW(groups_of(ours), lr=0.05)
    other = torch.optim.AdamW(groups_of(theirs), lr=0.05, weight_decay=0.01)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-11
    for step in range(30):
        give_gradients(ours, theirs, step, without=[step % 5])
        mine.step()
        other.step()
        if step % 10 == 9:  # each takes over from the other
            saved, received = copy.deepcopy(mine.state_dict()), copy.deepcopy(other.state_dict())
            mine, other = ex12.AdamW(groups_of(ours), lr=7.0), torch.optim.AdamW(groups_of(theirs), lr=7.0)
            mine.load_state_dict(received)
            other.load_state_dict(saved)
    assert_same(ours, theirs, tolerance)


def test_closure_equals_torchs():
    ours, theirs = twins()
    target = [normal(*shape, seed=50 + i) for i, shape in enumerate(SHAPES)]
    optimizers = ex12.AdamW(ours, lr=0.1), torch.optim.AdamW(theirs, lr=0.1)
    for _ in range(10):
        losses = []
        for optimizer, parameters in zip(optimizers, (ours, theirs), strict=True):

            def closure(optimizer=optimizer, parameters=parameters):
                optimizer.zero_grad()
                loss = sum(((p - t) ** 2).sum() for p, t in zip(parameters, target, strict=True))
                loss.backward()
                return loss

            losses.append(optimizer.step(closure))
        torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)
    assert_same(ours, theirs, 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": -1.0},
        {"eps": -1e-9},
        {"weight_decay": -0.1},
        {"betas": (-0.1, 0.9)},
        {"betas": (0.9, -0.1)},
        {"betas": (1.0, 0.9)},
        {"betas": (0.9, 1.0)},
        {"lr": 0.0, "eps": 0.0, "weight_decay": 0.0, "betas": (0.0, 0.0)},
        {},
    ],
)
def test_what_torch_refuses_is_refused(options):
    refused = []
    for kind in (ex12.AdamW, torch.optim.AdamW):
        try:
            kind([nn.Parameter(torch.ones(2))], **options)
            refused.append(False)
        except ValueError:
            refused.append(True)
    assert refused[0] == refused[1]


def rates(schedule_of, steps, lr):
    """What a scheduler of torch sets for steps 0 … steps − 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=lr)
    schedule = schedule_of(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(("warmup", "total"), [(1, 7), (4, 20), (10, 11), (30, 100)])
def test_schedule_equals_torchs_schedulers(warmup, total):
    max_lr, min_lr = 0.3, 0.02

    def schedule(optimizer):
        # torch's warm-up is told the factor of the first step, and how many steps it takes from there to 1.
        up = LinearLR(optimizer, start_factor=1 / warmup, total_iters=max(1, warmup - 1))
        down = CosineAnnealingLR(optimizer, T_max=total - warmup, eta_min=min_lr)
        return SequentialLR(optimizer, [up, down], milestones=[warmup])

    ours = [ex12.lr_at(step, max_lr, min_lr, warmup, total) for step in range(total + 1)]
    assert ours == pytest.approx(rates(schedule, total + 1, max_lr), rel=1e-9)


@pytest.mark.parametrize(("warmup", "total"), [(0, 9), (1, 7), (4, 20), (30, 100)])
def test_schedule_equals_that_of_transformers_where_they_agree(warmup, total):
    theirs = rates(lambda optimizer: get_cosine_schedule_with_warmup(optimizer, warmup, total), total + 5, 0.3)
    ours = [ex12.lr_at(step, 0.3, 0.0, warmup, total) for step in range(total + 5)]
    # Theirs begins at 0, one step behind ours, and lets the first step do nothing.
    assert ours[:warmup] == pytest.approx(theirs[1 : warmup + 1], rel=1e-9)
    assert ours[warmup : total + 1] == pytest.approx(theirs[warmup : total + 1], rel=1e-9, abs=1e-12)
    assert ours[total:] == [0.0] * 5


def test_schedule_by_lambda_drives_torchs_optimizer():
    by_lambda = rates(lambda o: LambdaLR(o, lambda step: ex12.lr_at(step, 1.0, 0.1, 3, 10)), 12, 0.5)
    assert by_lambda == pytest.approx([0.5 * ex12.lr_at(step, 1.0, 0.1, 3, 10) for step in range(12)])


def test_schedule_worked_by_hand():
    half, root = 0.5, math.sqrt(2) / 2
    table = [0.5, 1.0, 1.0, 0.1 + 0.45 * (1 + root), 0.1 + 0.9 * half, 0.1 + 0.45 * (1 - root), 0.1, 0.1]
    assert [ex12.lr_at(step, 1.0, 0.1, 2, 6) for step in range(8)] == pytest.approx(table)
    assert [ex12.lr_at(step, 2.0, 0.0, 0, 4) for step in range(5)] == pytest.approx(
        [2.0, 1 + root, 1.0, 1 - root, 0.0]
    )
    assert [ex12.lr_at(step, 3.0, 1.0, 3, 3) for step in range(5)] == pytest.approx([1.0, 2.0, 3.0, 1.0, 1.0])
    assert [ex12.lr_at(step, 4.0, 1.0, 4, 2) for step in range(6)] == pytest.approx([1.0, 2.0, 3.0, 4.0, 1.0, 1.0])


@settings(derandomize=True, max_examples=120, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 10), st.floats(0, 1))
def test_schedule_rises_then_falls_between_its_limits(warmup, total, max_lr, share):
    min_lr = share * max_lr
    found = [ex12.lr_at(step, max_lr, min_lr, warmup, total) for step in range(max(warmup, total) + 3)]
    assert all(type(lr) is float for lr in found)
    assert found[:warmup] == sorted(found[:warmup])
    assert found[warmup:] == sorted(found[warmup:], reverse=True)
    assert all(0 < lr <= max_lr * (1 + 1e-12) for lr in found[:warmup])
    assert all(min_lr * (1 - 1e-12) <= lr <= max_lr * (1 + 1e-12) for lr in found[warmup:])
    assert found[-1] == min_lr
    if warmup:
        assert found[warmup - 1] == pytest.approx(max_lr)
    if warmup < total:
        assert found[warmup] == pytest.approx(max_lr)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 4), max_size=3), max_size=5),
    st.sampled_from([1e-3, 0.5, 1.0, 7.0, 1e4]),
    st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 1000),
)
def test_clipping_equals_torchs(shapes, max_norm, scale, dtype, seed):
    ours = [nn.Parameter(torch.ones(shape, dtype=dtype)) for shape in shapes]
    theirs = [nn.Parameter(torch.ones(shape, dtype=dtype)) for shape in shapes]
    give_gradients(ours, theirs, seed, scale, without=[seed % 7])
    held = [parameter.grad for parameter in ours]
    found = ex12.clip_grad_norm(iter(ours), max_norm)
    expected = nn.utils.clip_grad_norm_(theirs, max_norm).item()
    assert type(found) is float
    assert found == pytest.approx(expected, rel=1e-5)
    for gradient, mine, other in zip(held, ours, theirs, strict=True):
        assert mine.grad is gradient
        if gradient is not None:
            # torch divides by the norm + 1e-6, which shows where the norm is small.
            torch.testing.assert_close(gradient, other.grad, rtol=1e-5 + 2e-6 / (found + 1e-6), atol=1e-8)


def test_groups_of_gpt2():
    config = GPT2Config(
        vocab_size=23, n_positions=8, n_embd=12, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=0
    )
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config)
    decaying, others = ex12.param_groups(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert model.lm_head.weight is model.transformer.wte.weight
    assert decaying["weight_decay"] == 0.1
    assert others["weight_decay"] == 0.0
    assert [names[id(p)] for p in others["params"]] == [
        name for name in names.values() if name.endswith("bias") or ".ln_" in name
    ]
    assert [names[id(p)] for p in decaying["params"]] == [
        name for name in names.values() if not (name.endswith("bias") or ".ln_" in name)
    ]
    counted = sum(parameter.numel() for group in (decaying, others) for parameter in group["params"])
    assert counted == model.num_parameters()


def test_gpt2_trains_as_with_torchs_parts():
    config = GPT2Config(
        vocab_size=23, n_positions=8, n_embd=12, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=0
    )
    config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0.0
    torch.manual_seed(0)
    ours = GPT2LMHeadModel(config).double()
    theirs = copy.deepcopy(ours)
    assert theirs.lm_head.weight is theirs.transformer.wte.weight
    matrices = [parameter for parameter in theirs.parameters() if parameter.dim() >= 2]
    vectors = [parameter for parameter in theirs.parameters() if parameter.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.2}, {"params": vectors, "weight_decay": 0.0}]
    mine, other = ex12.AdamW(ex12.param_groups(ours, 0.2), lr=1.0), torch.optim.AdamW(groups, lr=1.0)
    for step in range(40):
        ids = torch.randint(23, (3, 8), generator=generator(step))
        losses = []
        for model, optimizer in ((ours, mine), (theirs, other)):
            for group in optimizer.param_groups:
                group["lr"] = ex12.lr_at(step, 0.01, 0.001, 5, 40)
            optimizer.zero_grad()
            loss = model(ids, labels=ids).loss
            loss.backward()
            losses.append(loss.item())
            clip = ex12.clip_grad_norm if model is ours else nn.utils.clip_grad_norm_
            clip(model.parameters(), 0.5)
            optimizer.step()
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert_same(list(ours.parameters()), list(theirs.parameters()), 1e-4)
