"""The scene of ex18: a policy learns to say "warm" rather than "hot", from a single pair.

Its only parameter is how hot it likes its tea. That is too little to do what was meant: the pair pulls it towards
the cold, where the margin is larger still, and a word wins that nobody has preferred.
"""

import copy

import torch
from torch import nn

WORDS = ("(end)", "the", "tea", "is", "quite", "hot", "warm", "cold")
END, THE, TEA, IS, QUITE, HOT, WARM, COLD = range(len(WORDS))
FOLLOWS = {THE: TEA, TEA: IS, IS: QUITE, HOT: END, WARM: END, COLD: END}
SHOWN = (0, 5, 10, 20, 40, 80)


class Taste(nn.Module):
    """After "quite" comes hot, warm or cold, as the parameter has it; all the rest is certain."""

    def __init__(self):
        super().__init__()
        self.heat = nn.Parameter(torch.tensor(1.0))
        table = torch.full((len(WORDS), len(WORDS)), -9.0)
        for word, following in FOLLOWS.items():
            table[word, following] = 9.0
        table[QUITE, [HOT, WARM, COLD]] = 0.0
        degrees = torch.zeros(len(WORDS), len(WORDS))
        degrees[QUITE, [HOT, WARM, COLD]] = torch.tensor([1.0, 0.5, -1.0])
        self.register_buffer("table", table)
        self.register_buffer("degrees", degrees)

    def forward(self, ids):
        return (self.table + self.heat * self.degrees)[ids]


class GradientDescent(torch.optim.Optimizer):
    """The plainest one. It leaves out `Optimizer.__init__`, which would take seconds to import torch's compiler."""

    def __init__(self, parameters):
        self.param_groups, self.defaults, self.state = [{"params": list(parameters), "lr": 0.0}], {}, {}

    def zero_grad(self, set_to_none=True):
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    @torch.no_grad()
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            parameter -= self.param_groups[0]["lr"] * parameter.grad


def after_quite(policy):
    """How likely hot, warm and cold are after "quite"."""
    with torch.no_grad():
        return policy(torch.tensor([[QUITE]]))[0, 0, [HOT, WARM, COLD]].softmax(-1)


def look(subject, draw, observe):
    batch = subject.collate_preferences([([THE, TEA, IS], [QUITE, WARM], [QUITE, HOT])], END)
    policy = Taste()
    reference = copy.deepcopy(policy)
    found = {0: (subject.dpo_loss_batch(batch, policy, reference, 1.0), after_quite(policy))}

    def note(history):
        if history.step in SHOWN:
            found[history.step] = (subject.dpo_loss_batch(batch, policy, reference, 1.0), after_quite(policy))

    config = subject.TrainConfig(SHOWN[-1], max_lr=0.3, min_lr=0.3, eval_every=10**9)
    subject.train_dpo(
        policy, reference, [batch], [], GradientDescent(policy.parameters()), config, 1.0, on_step=note
    )
    lines = []
    for side in ("chosen", "rejected"):
        lines.append(f"{side:<15}" + "".join(f"{WORDS[token]:<8}" for token in batch[side][0].tolist()))
        marks = ("x" if counts else "." for counts in batch[f"{side}_mask"][0].tolist())
        lines.append(f"{side + '_mask':<15}" + "".join(f"{mark:<8}" for mark in marks).rstrip())
    observe(
        "panel",
        {
            "kind": "text",
            "title": "The only pair, and what counts of it (x)",
            "lines": lines,
            "note": '"quite" is in both answers. It counts on both sides, and cancels in the margin.',
        },
    )
    observe(
        "panel",
        {
            "kind": "text",
            "title": "What the training reports, β = 1",
            "lines": [
                f"{'step':>4}  {'loss':>6}  {'margin':>6}  {'reward, chosen':>14}  {'reward, rejected':>16}",
                *(
                    f"{step:>4}  {result.loss.item():6.3f}  {result.margin:6.2f}"
                    f"  {result.chosen_rewards.item():14.2f}  {result.rejected_rewards.item():16.2f}"
                    for step, (result, _) in found.items()
                ),
            ],
            "note": "The loss falls and the margin grows at each step. Only the two rewards tell what is going on.",
        },
    )
    observe(
        "panel",
        {
            "kind": "shades",
            "title": "The tea is quite … : how likely the next word is after so many steps, in percent",
            "rows": [str(step) for step in found],
            "columns": [WORDS[word] for word in (HOT, WARM, COLD)],
            "values": torch.stack([likely for _, likely in found.values()]),
            "note": 'Was your prediction right? "warm" gains on "hot" all the time, and still loses to "cold".',
        },
    )
