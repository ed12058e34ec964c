"""ex00 beside torch's own functions: values, gradients, edges."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from solutions import ex00_tensors as ex00

DTYPES = (torch.float32, torch.float64)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def normal(*shape, seed=0, dtype=torch.float32, scale=1.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype) * scale


def same(ours, theirs, tolerance=None):
    tolerance = TOLERANCE[theirs.dtype] if tolerance is None else tolerance
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)


def gradients(call, *inputs):
    """The gradients of a weighted sum of what `call` returns, with respect to its inputs."""
    inputs = [value.detach().clone().requires_grad_(True) for value in inputs]
    result = call(*inputs)
    weights = normal(*result.shape, seed=9, dtype=result.dtype)
    (result * weights).sum().backward()
    return [value.grad for value in inputs]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_and_log_softmax_equal_torch(name, dtype):
    ours, theirs = getattr(ex00, name), getattr(torch, name)
    for shape in ((7,), (3, 5), (2, 5, 7), (1, 1), (4, 1), (2, 3, 4, 5)):
        x = normal(*shape, dtype=dtype, scale=3.0)
        for dim in range(-len(shape), len(shape)):
            same(ours(x, dim), theirs(x, dim))
            same(
                gradients(lambda x, dim=dim: ours(x, dim), x)[0],
                gradients(lambda x, dim=dim: theirs(x, dim), x)[0],
            )


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_and_log_softmax_pass_gradcheck(name):
    x = normal(3, 5, dtype=torch.float64).requires_grad_(True)
    for dim in (0, 1):
        assert torch.autograd.gradcheck(lambda x, dim=dim: getattr(ex00, name)(x, dim), (x,))


def test_ties_for_the_largest_score_do_not_disturb_the_gradient():
    x = torch.tensor([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])
    for name in ("softmax", "log_softmax"):
        ours, theirs = getattr(ex00, name), getattr(torch, name)
        same(
            gradients(lambda x, f=ours: f(x, 1), x)[0],
            gradients(lambda x, f=theirs: f(x, 1), x)[0],
        )


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.floats(-2000, 2000, width=32), min_size=1, max_size=9))
def test_any_scores_up_to_2000_are_finite_and_equal_torch(scores):
    x = torch.tensor(scores)
    probabilities, logarithms = ex00.softmax(x, 0), ex00.log_softmax(x, 0)
    assert probabilities.isfinite().all()
    assert logarithms.isfinite().all()
    same(probabilities, torch.softmax(x, 0))
    same(probabilities.sum(), torch.tensor(1.0))
    same(logarithms, torch.log_softmax(x, 0))
    target = torch.tensor([len(scores) // 2])
    same(ex00.cross_entropy(x[None], target), F.cross_entropy(x[None], target))


def test_minus_infinity_gets_no_probability():
    x = normal(3, 5)
    x[0, 1] = x[1, 0] = x[1, 4] = -torch.inf
    x[2, :4] = -torch.inf
    same(ex00.softmax(x, 1), torch.softmax(x, 1))
    same(ex00.log_softmax(x, 1), torch.log_softmax(x, 1))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(DTYPES), st.sampled_from([-100, -1, 0, 2, 7]), st.integers(0, 10_000))
def test_cross_entropy_equals_torch(data, dtype, ignore_index, seed):
    answers = data.draw(st.integers(3, 150))
    choices = st.one_of(st.integers(0, answers - 1), st.just(ignore_index))
    targets = torch.tensor(data.draw(st.lists(choices, min_size=1, max_size=12)))
    logits = normal(len(targets), answers, seed=seed, dtype=dtype, scale=4.0)
    same(
        ex00.cross_entropy(logits, targets, ignore_index),
        F.cross_entropy(logits, targets, ignore_index=ignore_index),
    )
    if (targets != ignore_index).any():
        same(
            gradients(lambda logits: ex00.cross_entropy(logits, targets, ignore_index), logits)[0],
            gradients(lambda logits: F.cross_entropy(logits, targets, ignore_index=ignore_index), logits)[0],
        )


def test_cross_entropy_of_nothing_is_nan_as_with_torch():
    for rows in (0, 1, 4):
        logits, targets = normal(rows, 5), torch.full((rows,), -100)
        same(ex00.cross_entropy(logits, targets), F.cross_entropy(logits, targets))
        assert math.isnan(ex00.cross_entropy(logits, targets).item())


def test_gradient_of_ignored_rows_is_zero():
    logits, targets = normal(5, 3), torch.tensor([1, -100, 0, -100, 2])
    gradient = gradients(lambda logits: ex00.cross_entropy(logits, targets), logits)[0]
    assert gradient[[1, 3]].eq(0).all()
    assert gradient[[0, 2, 4]].ne(0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(6,), (1, 6), (5, 6), (0, 6), (2, 7, 6), (2, 3, 4, 6)])
def test_linear_equals_torch(shape, dtype):
    x, weight, bias = normal(*shape, dtype=dtype), normal(4, 6, seed=1, dtype=dtype), normal(4, dtype=dtype)
    for inputs in ((x, weight), (x, weight, bias)):
        same(ex00.linear(*inputs), F.linear(*inputs))
        for ours, theirs in zip(gradients(ex00.linear, *inputs), gradients(F.linear, *inputs), strict=True):
            same(ours, theirs)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(2, 9), st.integers(0, 10_000))
def test_accuracy_counts_what_a_loop_counts(rows, answers, seed):
    logits = normal(rows, answers, seed=seed)
    targets = torch.randint(answers, (rows,), generator=torch.Generator().manual_seed(seed))
    right = 0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        right += row.index(max(row)) == target
    share = ex00.accuracy(logits, targets)
    assert type(share) is float
    assert share == pytest.approx(right / rows)


def networks(dtype, frozen=()):
    """One of ours and one of torch's, the same weights in both."""
    ours = ex00.NeuralNetwork(5, 3).to(dtype)
    layers = [nn.Linear(5, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 3)]
    theirs = nn.Sequential(*layers).to(dtype)
    for seed, parameter in enumerate(theirs.parameters()):
        parameter.data = normal(*parameter.shape, seed=seed, dtype=dtype, scale=0.3)
    for name in frozen:
        theirs.get_parameter(name).requires_grad_(False)
        ours.layers.get_parameter(name).requires_grad_(False)
    ours.layers.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_network_equals_one_put_together_from_torch(dtype):
    ours, theirs = networks(dtype)
    x = normal(7, 5, dtype=dtype)
    same(ours(x), theirs(x))
    assert sum(parameter.numel() for parameter in ours.parameters()) == 6 * 30 + 31 * 20 + 21 * 3


@pytest.mark.parametrize("frozen", [(), ("0.weight", "2.bias")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_many_training_steps_equal_torch_sgd(dtype, frozen):
    ours, theirs = networks(dtype, frozen)
    optimizer = torch.optim.SGD([p for p in theirs.parameters() if p.requires_grad], lr=0.05)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    for step in range(30):
        x = normal(8, 5, seed=step, dtype=dtype)
        targets = torch.randint(3, (8,), generator=torch.Generator().manual_seed(step))
        targets[step % 8] = -100
        loss = F.cross_entropy(theirs(x), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found = ex00.train_step(ours, x, targets, 0.05)
        assert type(found) is float
        assert found == pytest.approx(loss.item(), rel=tolerance)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        same(mine.detach(), other.detach(), tolerance)
        assert mine.requires_grad == other.requires_grad
        assert mine.is_leaf


def test_sgd_step_equals_torch_sgd_and_keeps_gradients():
    ours = [nn.Parameter(normal(3, 4)), nn.Parameter(normal(5)), nn.Parameter(normal(2, 3, 2))]
    theirs = [nn.Parameter(parameter.detach().clone()) for parameter in ours]
    for step in range(50):
        for mine, other in zip(ours[:2], theirs[:2], strict=True):
            mine.grad = normal(*mine.shape, seed=step)
            other.grad = mine.grad.clone()
        assert ex00.sgd_step(iter(ours), 0.03) is None
        torch.optim.SGD(theirs, lr=0.03).step()
    for mine, other in zip(ours, theirs, strict=True):
        same(mine.detach(), other.detach())
    same(ours[0].grad, theirs[0].grad)
    assert ours[2].grad is None


def test_training_separates_what_can_be_separated():
    torch.manual_seed(1)
    x = torch.cat([normal(20, 2) * 0.5 + torch.tensor([2.0, -1.0]), normal(20, 2, seed=1) * 0.5])
    targets = torch.arange(40) // 20
    model = ex00.NeuralNetwork(2, 2)
    losses = [ex00.train_step(model, x, targets, 0.5) for _ in range(100)]
    assert losses[-1] < 0.1 < losses[0]
    assert ex00.accuracy(model(x), targets) > 0.95
