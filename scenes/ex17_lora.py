"""The scene of ex17: what a product of thin matrices can draw, and what it cannot.

Three linear layers should each learn to add a picture of 7 by 7 numbers to their weight. Your LoRA is trained on
that with plain gradient descent, merged, and what it added is drawn.
"""

import torch
from torch import nn

SIZE, STEPS, RATE = 7, 350, 0.1
RANKS = (1, 2, 7)
SHADES = " ░▒▓█"


def pictures():
    """What each layer should add to its weight: of rank 1, 2 and 7."""
    stripes, cross = torch.zeros(SIZE, SIZE), torch.zeros(SIZE, SIZE)
    stripes[:, 1::2] = 1.0
    cross[SIZE // 2, :] = cross[:, SIZE // 2] = 1.0
    return {"stripes": stripes, "cross": cross, "diagonal": torch.eye(SIZE)}


def learn(subject, wanted, rank):
    """Train, merge, and return what was added to each weight and how many numbers of each layer were trained."""
    torch.default_generator.manual_seed(17)
    layers = nn.ModuleDict({name: nn.Linear(SIZE, SIZE, bias=False) for name in wanted})
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    targets = {name: (before[name] + wanted[name]).T for name in wanted}
    subject.replace_linear_with_lora(layers, rank, alpha=rank)
    trained, _ = subject.count_trainable(layers)
    every = torch.eye(SIZE)
    parameters = [parameter for parameter in layers.parameters() if parameter.requires_grad]
    for _ in range(STEPS):
        loss = sum((layers[name](every) - targets[name]).square().sum() for name in wanted)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter -= RATE * gradient
    subject.merge_lora(layers)
    return {name: layers[name].weight.detach() - before[name] for name in wanted}, trained // len(wanted)


def drawn(picture):
    """Seven lines of fourteen characters, darker where a number is larger."""
    levels = (picture.clamp(0, 1) * (len(SHADES) - 1)).round().long().tolist()
    return ["".join(2 * SHADES[level] for level in row) for row in levels]


def missing(learned, wanted):
    """How much of a picture is missing, of the sum of its squares, in percent."""
    return 100 * float((learned - wanted).square().sum() / wanted.square().sum())


def look(subject, draw, observe):
    wanted = pictures()
    learned, trained = {}, {}
    for rank in RANKS:
        learned[rank], trained[rank] = learn(subject, wanted, rank)
    lines = ["          " + "".join(f"{name:<19}" for name in wanted).rstrip()]
    for label, shown in (("wanted", wanted), ("rank 1", learned[1])):
        rows = zip(*(drawn(shown[name]) for name in wanted), strict=True)
        lines += ["", *("          " + "   ".join(f"|{part}|" for part in parts) for parts in rows)]
        lines[-4] = f"{label:<10}" + lines[-4][10:]
    observe(
        "panel",
        {
            "kind": "text",
            "title": "What your LoRA has added to three weights",
            "lines": lines,
            "note": "Darker is larger. The stripes are one row, seven times. The cross has two kinds of row, and "
            "the diagonal seven.",
        },
    )
    numbers = [str(number) for number in range(SIZE)]
    observe(
        "panel",
        {
            "kind": "shades",
            "title": "The cross at rank 1, in percent of its largest number",
            "rows": numbers,
            "columns": numbers,
            "values": (learned[1]["cross"] / learned[1]["cross"].max()).clamp(0, 1),
            "note": "Row 3 is three times any other row: at rank 1 all rows are multiples of one row.",
        },
    )
    observe(
        "panel",
        {
            "kind": "text",
            "title": "How much of each picture is missing, in percent of the sum of its squares",
            "lines": [
                "rank  numbers trained" + "".join(f"  {name:>8}" for name in wanted),
                *(
                    f"{rank:>4}  {f'{trained[rank]} for {SIZE * SIZE}':>15}"
                    + "".join(f"  {abs(missing(learned[rank][name], wanted[name])):>8.0f}" for name in wanted)
                    for rank in RANKS
                ),
            ],
            "note": "Was your prediction right? Hu et al. find that what fine-tuning adds to a large model is more "
            "like the cross than like the diagonal: a small rank is enough.",
        },
    )
