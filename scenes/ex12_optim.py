"""The scene of ex12: plain gradient descent and your AdamW in one narrow valley, and what your schedule adds.

The loss is (x² + STEEP · y²) / 2. As with mini-batches, a gradient is right only on average: there is noise on it.
Many walkers go down at once, each with noise of its own, and what is shown is their mean.
"""

import torch
from torch import nn

STEEP, START = 100.0, (4.0, 0.5)
NOISE, WALKERS = 2.0, 400
# Gradient descent diverges across the valley from 2 / STEEP on: this is nearly the most that it can take.
RATE_OF_DESCENT, MAX_RATE, MIN_RATE = 1.9 / STEEP, 0.2, 0.002
LATER, WARMUP, STEPS = 20, 10, 120
CURVATURE = torch.tensor([1.0, STEEP])


def look(subject, draw, observe):
    schedule = [subject.lr_at(step, MAX_RATE, MIN_RATE, WARMUP, STEPS) for step in range(STEPS)]
    descent = gradient_descent()
    adamw = with_adamw(subject, [MAX_RATE] * STEPS)
    scheduled = with_adamw(subject, schedule)
    observe("panel", losses(descent, adamw, scheduled))
    observe("panel", rates(schedule, adamw, scheduled))


def noisy_gradients():
    """A function that gives the gradients at the points of all walkers. The noise is the same for everybody."""
    generator = torch.Generator().manual_seed(12)
    return lambda points: points * CURVATURE + NOISE * torch.randn(points.shape, generator=generator)


def gradient_descent():
    """Where the walkers are before the first step and after each."""
    gradients = noisy_gradients()
    seen = [torch.tensor(START).repeat(WALKERS, 1)]
    for _ in range(STEPS):
        seen.append(seen[-1] - RATE_OF_DESCENT * gradients(seen[-1]))
    return torch.stack(seen)


def with_adamw(subject, rates):
    """The same with AdamW, at these learning rates. It treats every number by itself, hence every walker."""
    gradients = noisy_gradients()
    points = nn.Parameter(torch.tensor(START).repeat(WALKERS, 1))
    optimizer = subject.AdamW([points], lr=rates[0], weight_decay=0.0)
    seen = [points.detach().clone()]
    for rate in rates:
        for group in optimizer.param_groups:
            group["lr"] = rate
        points.grad = gradients(points.detach())
        optimizer.step()
        seen.append(points.detach().clone())
    return torch.stack(seen)


def mean_losses(seen):
    return (seen.square() * CURVATURE).sum(dim=-1).mean(dim=-1) / 2


def losses(descent, adamw, scheduled):
    """The loss over the steps."""
    values = torch.stack([mean_losses(seen) for seen in (descent, adamw, scheduled)])
    slow, fast = (float(seen[LATER, :, 0].mean().abs()) for seen in (descent, adamw))
    return {
        "kind": "curves",
        "title": f"The loss in the valley, a mean over {WALKERS} walkers with noisy gradients",
        "x": list(range(STEPS + 1)),
        "names": ["gradient descent", "AdamW, lr constant", "AdamW, your lr_at"],
        "values": values,
        "across": "steps",
        "log": True,
        "note": f"Was your prediction right? After {LATER} steps gradient descent still has {slow:.1f} of "
        f"{START[0]:.1f} to go, AdamW {fast:.1f}. One lr has to suit the steep walls too, and a step length for "
        "each weight does not.",
    }


def rates(schedule, adamw, scheduled):
    """The schedule itself."""
    constant, lowered = (float(mean_losses(seen)[-1]) for seen in (adamw, scheduled))
    return {
        "kind": "curves",
        "title": "Your lr_at: warm-up, then a cosine",
        "x": list(range(len(schedule))),
        "names": ["learning rate"],
        "values": [schedule],
        "across": "step",
        "note": f"At a constant lr the noise keeps the weights moving, and the loss ends at {constant:.2g}. With "
        f"your schedule they settle, and it ends at {lowered:.2g}.",
    }
