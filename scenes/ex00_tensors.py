"""The scene of ex00: two spirals of points, and what the learner's network answers elsewhere, after more and more
steps.
"""

import math

import torch

STEPS = (0, 50, 500)
LEARNING_RATE = 0.3
POINTS = 40  # of each spiral
RADIUS, EDGE = 2.0, 2.2  # of the spirals, and of the map
ROWS, COLUMNS = 11, 22


def look(subject, draw, observe):
    x, targets = spirals()
    torch.manual_seed(10)  # the first weights, the same in every run
    model = subject.NeuralNetwork(2, 2)
    maps, lines, right, taken = [], [], [], 0
    for steps in STEPS:
        while taken < steps:
            subject.train_step(model, x, targets, LEARNING_RATE)
            taken += 1
        with torch.no_grad():
            logits, everywhere = model(x), model(plane())
            maps.append(subject.softmax(everywhere, 1)[:, 1].reshape(ROWS, COLUMNS))
            loss, share = subject.cross_entropy(logits, targets).item(), subject.accuracy(logits, targets)
        right.append(round(share * len(x)))
        lines.append(f"{steps:>5} {loss:>10.3f} {share:>10.0%}")
    observe(
        "panel",
        {
            "kind": "maps",
            "title": "Where your network answers x (shaded) and where o (blank)",
            "names": [f"after {steps} steps" for steps in STEPS],
            "values": torch.stack(maps),
            "points": torch.cat([on_the_map(x), targets[:, None]], dim=1),
            "note": "Was your prediction right? At first the map ignores the points, and "
            f"{right[0]} of {len(x)} are right by chance; at the end it is {right[-1]}.",
        },
    )
    observe(
        "panel",
        {
            "kind": "text",
            "title": "Your cross_entropy and your accuracy, on all points",
            "lines": [f"{'steps':>5} {'loss':>10} {'accuracy':>10}", *lines],
            "note": "A network that gives both classes equal odds has a loss of ln 2 = 0.693.",
        },
    )


def spirals():
    """Points on two spirals, the second one turned by half a circle: float (2 · POINTS, 2), and their classes."""
    along = torch.linspace(0.0, 1.0, POINTS) ** 0.7  # about evenly spaced
    angle, radius = 2 * math.pi * along, RADIUS * (0.15 + 0.85 * along)
    one = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
    return torch.cat([one, -one]), torch.arange(2 * POINTS) // POINTS


def plane():
    """The middle of each field of the map, as inputs."""
    down, across = torch.linspace(EDGE, -EDGE, ROWS), torch.linspace(-EDGE, EDGE, COLUMNS)
    return torch.stack([across.expand(ROWS, COLUMNS), down[:, None].expand(ROWS, COLUMNS)], dim=2).flatten(0, 1)


def on_the_map(x):
    """Row and column of each input."""
    return torch.stack([(EDGE - x[:, 1]) * (ROWS - 1), (x[:, 0] + EDGE) * (COLUMNS - 1)], dim=1) / (2 * EDGE)
