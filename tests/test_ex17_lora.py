"""Probes of ex17: LoRA. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings. The models are stand-ins with linear layers at several
depths, in lists and in dicts, beside modules that are none.
"""

import torch
from torch import nn

WIDTH, HIDDEN, VOCABULARY = 6, 9, 11


class Part(nn.Module):
    """Two linear layers around a norm, and a shortcut: 6 to 9 to 6."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(WIDTH, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN)
        self.second = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x):
        return x + self.second(torch.tanh(self.norm(self.first(x))))


class Net(nn.Module):
    """A table, two parts, a square layer, a head that uses the table again if it is tied."""

    def __init__(self, tied=False):
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, WIDTH)
        self.parts = nn.ModuleList([Part(), Part()])
        self.more = nn.ModuleDict({"deep": nn.Sequential(nn.Tanh(), nn.Sequential(nn.Linear(WIDTH, WIDTH)))})
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        if tied:
            self.head.weight = self.table.weight

    def forward(self, ids):
        x = self.table(ids)
        for part in self.parts:
            x = part(x)
        return self.head(self.more["deep"](x))


class Twice(nn.Module):
    """A linear layer in two places, as it is: in a list, and under a name of its own. And one in one place."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)
        self.rest = nn.Sequential(nn.Tanh(), self.layer, nn.Tanh(), nn.Linear(WIDTH, 4))

    def forward(self, x):
        return self.rest(self.layer(x))


class Decoys(nn.Module):
    """A parameter called A, a module called lora, a norm that trains, and one layer with LoRA."""

    def __init__(self, layer):
        super().__init__()
        self.A = nn.Parameter(torch.ones(3, 2))
        self.lora = nn.Sequential(nn.LayerNorm(WIDTH))
        self.layer = layer


def ids_of(draw):
    return draw.integers(2, 7, high=VOCABULARY)


def numbers(model):
    """A copy of every parameter, by name."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def shapes(model):
    return {name: parameter.shape for name, parameter in model.named_parameters()}


def training(model):
    """Which parameters train, by name."""
    return {name: parameter.requires_grad for name, parameter in model.named_parameters()}


def held(model):
    """The parameters themselves."""
    return dict(model.named_parameters())


def same(model, parameters):
    """Which of these parameters the model still holds, by name."""
    now = dict(model.named_parameters())
    return {name: now.get(name) is parameter for name, parameter in parameters.items()}


def step(model, ids, rate=0.1):
    """One step of gradient descent on everything that trains."""
    for parameter in model.parameters():
        parameter.grad = None
    model(ids).square().mean().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= rate * parameter.grad


def test_update_is_the_scaled_product(subject, draw, observe):
    """The update: alpha/rank · x @ A @ B."""
    for in_dim, out_dim, rank, alpha in ((5, 8, 3, 2.0), (8, 5, 2, 5), (4, 6, 1, 0.5), (4, 2, 5, 3)):
        layer = subject.LoRALayer(in_dim, out_dim, rank, alpha)
        observe("parameters", shapes(layer))
        draw.fill(layer)
        observe(f"update at rank {rank} and alpha {alpha}", layer(draw.normal(2, 7, in_dim)))
        observe("update of a single vector", layer(draw.normal(in_dim)))


def test_lesson_example(subject, draw, observe):
    """Example: the one of the lesson gives (12, 0, 4)."""
    layer = subject.LoRALayer(4, 3, rank=1, alpha=2)
    with torch.no_grad():
        layer.A.copy_(torch.tensor([[1.0], [0.0], [2.0], [-1.0]]))
        layer.B.copy_(torch.tensor([[3.0, 0.0, 1.0]]))
    observe("update", layer(torch.ones(4)))


def test_layer_begins_with_a_random_a_and_b_at_zero(subject, draw, observe):
    """For this shape that means uniform between −1/√rank and 1/√rank. B is zero."""
    for in_dim, rank in ((700, 4), (200, 16)):
        layer = subject.LoRALayer(in_dim, 9, rank, alpha=8)
        scaled = layer.A * rank**0.5
        observe("largest number of A, times the root of the rank", scaled.max(), tolerance=0.03)
        observe("smallest number of A, times the root of the rank", scaled.min(), tolerance=0.03)
        observe("middle of A, times the root of the rank", scaled.median(), tolerance=0.2)
        observe("B", layer.B)
    other = subject.LoRALayer(200, 9, 16, alpha=8)
    observe("two layers begin with the same A", torch.equal(layer.A, other.A))


def test_linear_with_lora_begins_as_the_linear(subject, draw, observe):
    """float (…, out); equal to `linear(x)`, to the bit, as long as B is zero"""
    for bias in (True, False):
        linear = nn.Linear(5, 8, bias=bias)
        draw.fill(linear)
        wrapped = subject.LinearWithLoRA(linear, rank=3, alpha=7)
        observe("parameters", shapes(wrapped))
        x = draw.normal(2, 7, 5)
        observe("result", wrapped(x))
        observe("how far from the linear layer alone", wrapped(x) - linear(x), tolerance=0)


def test_linear_with_lora_adds_the_update(subject, draw, observe):
    """What the linear layer says, plus the update."""
    for bias in (True, False):
        linear = nn.Linear(5, 8, bias=bias)
        wrapped = subject.LinearWithLoRA(linear, rank=3, alpha=7)
        draw.fill(wrapped)
        x = draw.normal(2, 7, 5)
        observe("result", wrapped(x), tolerance=2e-5)
        observe("result of a single vector", wrapped(x[0, 0]), tolerance=2e-5)
        with torch.no_grad():
            linear.weight.mul_(2)
        observe("result after the linear layer that was given has changed", wrapped(x))


def test_replace_linear_with_lora_wraps_every_linear(subject, draw, observe):
    """Each `nn.Linear` should give its place to a LinearWithLoRA that holds it."""
    model = Net()
    observe("returned", subject.replace_linear_with_lora(model, rank=2, alpha=3))
    observe("parameters", shapes(model))
    draw.fill(model)
    observe("logits", model(ids_of(draw)), tolerance=1e-4)


def test_replace_linear_with_lora_changes_no_result_at_first(subject, draw, observe):
    """So A @ B is zero, and at the start the model computes what it did before, to the bit."""
    model, ids = Net(), ids_of(draw)
    draw.fill(model)
    before, parameters = model(ids), numbers(model)
    subject.replace_linear_with_lora(model, rank=3, alpha=16)
    observe("how far the logits have moved", model(ids) - before, tolerance=0)
    now = {name.replace("linear.", ""): value for name, value in numbers(model).items()}
    observe("what the model had before", {name: now.get(name) for name in parameters})


def test_replace_linear_with_lora_freezes_all_but_a_and_b(subject, draw, observe):
    """Afterwards every A and B trains, and nothing else."""
    for tied in (False, True):
        model = Net(tied)
        subject.replace_linear_with_lora(model, rank=2, alpha=3)
        observe("what trains", training(model))
        draw.fill(model)
        model(ids_of(draw)).square().mean().backward()
        observe("gradients", {name: value.grad for name, value in model.named_parameters()}, tolerance=1e-4)


def test_replace_linear_with_lora_leaves_a_tied_head_alone(subject, draw, observe):
    """One whose weight is also elsewhere in the model, such as a tied head, is left alone."""
    model = Net(tied=True)
    observe("returned", subject.replace_linear_with_lora(model, rank=2, alpha=3))
    observe("parameters", shapes(model))
    observe("the head is still an nn.Linear", type(model.head) is nn.Linear)
    weight = getattr(model.head, "weight", None)
    observe("head and table are still one Parameter", weight is model.table.weight)


def test_lora_state_dict(subject, draw, observe):
    """the A and B of every LoRALayer, and nothing else, under the names that `model.state_dict()` has for them"""
    model = Net()
    model.parts[0].first = subject.LinearWithLoRA(model.parts[0].first, rank=2, alpha=3)
    model.more["deep"][1][0] = subject.LinearWithLoRA(model.more["deep"][1][0], rank=3, alpha=3)
    draw.fill(model)
    observe("state", subject.lora_state_dict(model))


def test_lora_state_dict_of_a_whole_model(subject, draw, observe):
    """the A and B of every LoRALayer, and nothing else, under the names that `model.state_dict()` has for them"""
    state_of, replace = subject.lora_state_dict, subject.replace_linear_with_lora
    model = Net(tied=True)
    replace(model, rank=2, alpha=3)
    draw.fill(model)
    observe("state", state_of(model))


def test_load_lora_and_lora_state_dict_take_what_was_learned_to_another_model(subject, draw, observe):
    """Put what lora_state_dict saved into a model that was wrapped in the same way."""
    load, state_of, replace = subject.load_lora, subject.lora_state_dict, subject.replace_linear_with_lora
    ids, model, other = ids_of(draw), Net(), Net()
    draw.fill(model)
    draw.fill(other)
    for each in (model, other):
        replace(each, rank=2, alpha=3)
    for _ in range(2):
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith((".A", ".B")):
                    parameter.copy_(draw.normal(*parameter.shape))
        observe("returned", load(other, state_of(model)))
        observe("logits of the model", model(ids), tolerance=2e-3)
        observe("how far the other's logits are from it", other(ids) - model(ids))


def test_load_lora(subject, draw, observe):
    """The numbers are copied into the A and B of the model."""
    model = Net()
    model.parts[0].first = subject.LinearWithLoRA(model.parts[0].first, rank=2, alpha=3)
    model.head = subject.LinearWithLoRA(model.head, rank=3, alpha=3)
    draw.fill(model)
    state = {
        "parts.0.first.lora.A": draw.normal(WIDTH, 2),
        "parts.0.first.lora.B": draw.normal(2, HIDDEN),
        "head.lora.A": draw.normal(WIDTH, 3),
        "head.lora.B": draw.normal(3, VOCABULARY),
    }
    observe("returned", subject.load_lora(model, state))
    observe("parameters", numbers(model))
    observe("names of the state afterwards", sorted(state))


def test_merge_lora_adds_the_update_to_the_weight(subject, draw, observe):
    """Add every update into its linear layer, and put that layer back where it was."""
    for in_dim, out_dim, bias in ((5, 8, True), (6, 6, False), (8, 3, True)):
        linear = nn.Linear(in_dim, out_dim, bias=bias)
        model = nn.Sequential(subject.LinearWithLoRA(linear, rank=2, alpha=3))
        draw.fill(model)
        observe("returned", subject.merge_lora(model))
        observe("parameters", numbers(model))


def test_merge_lora_computes_what_the_model_did_before(subject, draw, observe):
    """Afterwards no LoRALayer is left, and the model computes what it did before, but for rounding."""
    merge, replace = subject.merge_lora, subject.replace_linear_with_lora
    for tied in (False, True):
        model, ids = Net(tied), ids_of(draw)
        replace(model, rank=2, alpha=3)
        draw.fill(model)
        before = model(ids)
        observe("returned", merge(model))
        observe("parameters", numbers(model), tolerance=1e-4)
        observe("how far the logits have moved", model(ids) - before, tolerance=1e-4)
        kinds = [type(module).__name__ for module in model.modules()]
        observe("modules", sorted(kinds))


def test_merge_lora_example_of_the_lesson(subject, draw, observe):
    """Example: the one of the lesson adds [[6, 0, 12, −6], [0, 0, 0, 0], [2, 0, 4, −2]] to the weight."""
    model = nn.Sequential(subject.LinearWithLoRA(nn.Linear(4, 3), rank=1, alpha=2))
    with torch.no_grad():
        model[0].linear.weight.zero_()
        model[0].lora.A.copy_(torch.tensor([[1.0], [0.0], [2.0], [-1.0]]))
        model[0].lora.B.copy_(torch.tensor([[3.0, 0.0, 1.0]]))
    merge = subject.merge_lora
    merge(model)
    observe("weight", getattr(model[0], "weight", None))


def test_merge_lora_puts_the_very_layer_back(subject, draw, observe):
    """Each LinearWithLoRA should give its place back to its own linear layer, which keeps its bias. Its weight
    stays the same Parameter, with other numbers."""
    model, linears = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3, bias=False)), []
    for place in (0, 2):
        linears.append(model[place])
        model[place] = subject.LinearWithLoRA(model[place], rank=2, alpha=3)
    draw.fill(model)
    weights = [linear.weight for linear in linears]
    observe("merged", subject.merge_lora(model))
    observe("the layers are the same objects", [model[0] is linears[0], model[2] is linears[1]])
    observe(
        "the weights are the same Parameters", [linears[0].weight is weights[0], linears[1].weight is weights[1]]
    )
    observe("weights", weights)


def test_count_trainable(subject, draw, observe):
    """two ints: the numbers in parameters that require a gradient, and the numbers in all parameters"""
    model = Net(tied=True)
    observe("everything trains", subject.count_trainable(model))
    model.parts[0].requires_grad_(False)
    model.more["deep"][1][0].bias.requires_grad_(False)
    observe("some of it is frozen", subject.count_trainable(model))
    observe("untied", subject.count_trainable(Net()))
    observe("a batch norm, which has buffers", subject.count_trainable(nn.BatchNorm1d(5)))
    observe("nothing at all", subject.count_trainable(nn.Tanh()))
    observe("everything is frozen", subject.count_trainable(nn.Linear(3, 4).requires_grad_(False)))


def test_count_trainable_after_replace_linear_with_lora(subject, draw, observe):
    """Example: (14, 29) for nn.Sequential(nn.Linear(4, 3)) after replace_linear_with_lora at rank 2."""
    count, replace = subject.count_trainable, subject.replace_linear_with_lora
    model = nn.Sequential(nn.Linear(4, 3))
    replace(model, rank=2, alpha=4)
    observe("the example", count(model))
    for tied in (True, False):
        model = Net(tied)
        replace(model, rank=3, alpha=4)
        observe("a larger model", count(model))


# The fine print.


def test_rank_below_one_is_refused(subject, draw, observe):
    """ValueError: rank is below 1. The message should name the rank."""
    for rank in (0, -3):
        observe.outcome(f"rank {rank}", subject.LoRALayer, 5, 8, rank, 4, mentions=(str(rank),))
        observe.outcome(
            "around a linear layer", subject.LinearWithLoRA, nn.Linear(5, 8), rank, 4, mentions=(str(rank),)
        )


def test_replace_linear_with_lora_refuses_a_rank_below_one(subject, draw, observe):
    """ValueError: rank is below 1. The message should name the rank. The model is as it was."""
    for rank in (0, -3):
        model = Net(tied=True)
        model.parts[1].norm.requires_grad_(False)
        replace = subject.replace_linear_with_lora
        observe.outcome(f"rank {rank}", replace, model, rank, 4, mentions=(str(rank),))
        observe("what trains afterwards", training(model))


def test_linear_with_lora_follows_device_and_dtype(subject, draw, observe):
    """A and B should be on the device of the linear layer's weight, and of its dtype."""
    for dtype in (torch.float64, torch.bfloat16):
        wrapped = subject.LinearWithLoRA(nn.Linear(5, 8, dtype=dtype), rank=2, alpha=3)
        observe("dtypes", {name: value.dtype for name, value in wrapped.named_parameters()})
        observe("A and B are Parameters that train", training(wrapped))
    wrapped = subject.LinearWithLoRA(nn.Linear(5, 8, device="meta"), rank=2, alpha=3)
    observe("devices", {name: value.device for name, value in wrapped.named_parameters()})


def test_linear_with_lora_keeps_the_digits_of_float64(subject, draw, observe):
    """A result must have its inputs' dtype."""
    wrapped = subject.LinearWithLoRA(nn.Linear(5, 8, dtype=torch.float64), rank=3, alpha=7)
    draw.fill(wrapped)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            parameter.div_(3)  # now no float32 holds these numbers
    observe("result", wrapped(draw.normal(2, 7, 5).double()), tolerance=1e-12)


def test_gradients_through_linear_with_lora(subject, draw, observe):
    """Nothing is frozen here: replace_linear_with_lora does that."""
    for frozen in (False, True):
        wrapped = subject.LinearWithLoRA(nn.Linear(5, 8).requires_grad_(not frozen), rank=2, alpha=3)
        observe("what trains", training(wrapped))
        draw.fill(wrapped)
        x = draw.normal(2, 7, 5).requires_grad_(True)
        (wrapped(x) * draw.normal(2, 7, 8)).sum().backward()
        gradients = {name: value.grad for name, value in wrapped.named_parameters()}
        observe("gradients", gradients, tolerance=1e-4)
        observe("gradient of x", x.grad, tolerance=1e-4)


def test_gradients_through_the_layer(subject, draw, observe):
    """Gradients must reach every float input."""
    layer = subject.LoRALayer(5, 8, 2, alpha=3)
    with torch.no_grad():
        layer.A.copy_(draw.normal(5, 2))
    for when in ("at the start", "later"):
        x = draw.normal(2, 7, 5).requires_grad_(True)
        (layer(x) * draw.normal(2, 7, 8)).sum().backward()
        observe(f"gradients of A, B and x {when}", [layer.A.grad, layer.B.grad, x.grad], tolerance=1e-4)
        draw.fill(layer)
        layer.zero_grad()


def test_replace_linear_with_lora_never_wraps_twice(subject, draw, observe):
    """Never twice: a linear layer that a LinearWithLoRA already holds is not wrapped again, and that one's A and
    B stay as they are. They train after a second call, too."""
    replace = subject.replace_linear_with_lora
    model = Net(tied=True)
    replace(model, rank=2, alpha=3)
    draw.fill(model)
    before, logits, ids = held(model), model, ids_of(draw)
    logits = model(ids)
    observe("returned by the second call", replace(model, 3, 5))
    observe("the parameters are still the same", same(model, before))
    observe("numbers", numbers(model))
    observe("what trains", training(model))
    observe("how far the logits have moved", model(ids) - logits)
    model.parts.append(Part())
    observe("returned once the model has two new linear layers", replace(model, 3, 5))
    observe("parameters", shapes(model))
    observe("what trains then", training(model))


def test_replace_linear_with_lora_on_a_linear_with_lora(subject, draw, observe):
    """Never twice: a linear layer that a LinearWithLoRA already holds is not wrapped again, and that one's A and
    B stay as they are."""
    wrapped = subject.LinearWithLoRA(nn.Linear(5, 8), rank=2, alpha=3)
    replace = subject.replace_linear_with_lora
    observe.outcome("returned", replace, wrapped, 3, 5)
    observe("parameters", shapes(wrapped))
    observe("what trains", training(wrapped))


def test_replace_linear_with_lora_leaves_what_stands_in_two_places_alone(subject, draw, observe):
    """Elsewhere means another name for the same Parameter: of another module, or of the same layer used twice."""
    replace = subject.replace_linear_with_lora
    block = Part()
    one, other = nn.Linear(WIDTH, 4), nn.Linear(WIDTH, 4)
    other.weight = one.weight
    models = {
        "a layer under two names": Twice(),
        "a layer twice in a row": nn.Sequential(one, nn.Linear(4, WIDTH), one),
        "a part with two linear layers, twice": nn.Sequential(block, block, nn.Linear(WIDTH, 4)),
        "two layers with one weight": nn.ModuleList([one, other, nn.Linear(4, 5)]),
    }
    for what, model in models.items():
        observe(f"{what}: returned", replace(model, rank=2, alpha=3))
        observe(f"{what}: what trains", training(model))


def test_replace_linear_with_lora_takes_equal_numbers_for_two_weights(subject, draw, observe):
    """Equal numbers in two Parameters share nothing."""
    model = Net()
    with torch.no_grad():
        model.head.weight.copy_(model.table.weight)
        model.parts[1].load_state_dict(model.parts[0].state_dict())
    observe("returned", subject.replace_linear_with_lora(model, rank=2, alpha=3))
    observe("parameters", shapes(model))


def test_replace_linear_with_lora_gives_each_layer_its_own_a(subject, draw, observe):
    """A is filled by `nn.init.kaiming_uniform_` with a=√5."""
    model = Net()
    subject.replace_linear_with_lora(model, rank=2, alpha=3)
    one, other = (part.first.lora for part in model.parts)
    observe("two layers of one size begin with the same A", torch.equal(one.A, other.A))
    observe("all B are zero", [part.second.lora.B for part in model.parts])


def test_replace_linear_with_lora_on_the_meta_device(subject, draw, observe):
    """One whose weight is also elsewhere in the model, such as a tied head, is left alone."""
    replace = subject.replace_linear_with_lora
    for tied in (True, False):
        model = Net(tied).to("meta")
        if tied:
            model.head.weight = model.table.weight
        observe("returned", replace(model, rank=2, alpha=3))
        observe("devices", {name: value.device for name, value in model.named_parameters()})


def test_replace_linear_with_lora_refuses_a_bare_linear(subject, draw, observe):
    """ValueError: the model is itself an `nn.Linear`. Nothing is around it in which it could be replaced. The
    message should name LinearWithLoRA, which does the job."""
    linear = nn.Linear(5, 8)
    replace = subject.replace_linear_with_lora
    observe.outcome("a bare linear layer", replace, linear, 2, 3, mentions=("LinearWithLoRA",))
    observe.outcome("a model without a linear layer", replace, nn.Sequential(nn.LayerNorm(5)), 2, 3)


def test_lora_state_dict_takes_what_a_lora_layer_holds(subject, draw, observe):
    """What decides is that a LoRALayer holds it, not how it is called or whether it trains. Without a LoRALayer
    the dict is empty."""
    model = Decoys(subject.LinearWithLoRA(nn.Linear(WIDTH, 4), rank=2, alpha=3))
    draw.fill(model)
    observe("state", subject.lora_state_dict(model))
    model.requires_grad_(False)
    observe("state of a frozen model", subject.lora_state_dict(model))
    observe("state of a LinearWithLoRA itself", subject.lora_state_dict(model.layer))
    observe("state of a model without LoRA", subject.lora_state_dict(Net()))


def test_lora_state_dict_is_a_copy(subject, draw, observe):
    """The tensors should be copies without a gradient: later training does not change them."""
    state_of, replace = subject.lora_state_dict, subject.replace_linear_with_lora
    model, ids = Net(), ids_of(draw)
    replace(model, rank=2, alpha=3)
    draw.fill(model)
    state, before = state_of(model), numbers(model)
    observe("do the copies want a gradient", {name: value.requires_grad for name, value in state.items()})
    step(model, ids)
    observe("state after a step of training", state)
    observe("how far the model went", {n: v - before[n] for n, v in numbers(model).items()}, tolerance=1e-4)
    for value in state.values():
        value.detach().zero_()
    now = numbers(model)
    observe(
        "how far the model went once the copies are cleared", {n: now[n] - before[n] for n in now}, tolerance=1e-4
    )


def test_load_lora_fills_the_same_parameters(subject, draw, observe):
    """These should stay the same Parameters, with their dtype, device and requires_grad: an optimizer holds on to
    them."""
    model = nn.Sequential(subject.LinearWithLoRA(nn.Linear(5, 8), rank=2, alpha=3))
    draw.fill(model)
    model[0].lora.A.requires_grad_(False)
    before = held(model)
    state = {"0.lora.A": draw.normal(5, 2).double(), "0.lora.B": draw.normal(2, 8).requires_grad_(True)}
    subject.load_lora(model, state)
    observe("the parameters are still the same", same(model, before))
    observe("numbers", numbers(model))
    observe("what trains", training(model))
    with torch.no_grad():
        for value in list(state.values()):
            value.add_(1)
    observe("numbers after the state has changed", numbers(model))
    with torch.no_grad():
        for value in state.values():
            value.sub_(1)  # the state as it was drawn
    model[0].lora.B.square().sum().backward()
    observe("a gradient for the state", state["0.lora.B"].grad)


def test_load_lora_says_what_does_not_fit(subject, draw, observe):
    """ValueError: a name is missing, a name has no A or B in the model, or a tensor has another shape than its
    place. The message should list all of these names at once, and both shapes where they differ. The model is as
    it was."""

    def model_of(draw):
        model = nn.Sequential(
            subject.LinearWithLoRA(nn.Linear(5, 8), rank=2, alpha=3),
            nn.Tanh(),
            subject.LinearWithLoRA(nn.Linear(8, 3), rank=4, alpha=3),
        )
        draw.fill(model)
        return model

    load = subject.load_lora
    right = {
        "0.lora.A": draw.normal(5, 2),
        "0.lora.B": draw.normal(2, 8),
        "2.lora.A": draw.normal(8, 4),
        "2.lora.B": draw.normal(4, 3),
    }
    without = {name: value for name, value in right.items() if not name.startswith("2.")}
    cases = {
        "names are missing": (without, ("2.lora.A", "2.lora.B")),
        "a name is too many": ({**right, "7.lora.A": draw.normal(5, 2)}, ("7.lora.A",)),
        "a name of the model that is not LoRA's": ({**right, "0.linear.bias": draw.normal(8)}, ("0.linear.bias",)),
        "another rank": (
            {**right, "0.lora.A": draw.normal(5, 3), "0.lora.B": draw.normal(3, 8)},
            ("0.lora.A", "0.lora.B", "5, 3", "5, 2", "3, 8", "2, 8"),
        ),
        "a shape that could be stretched": ({**right, "2.lora.B": draw.normal(1, 3)}, ("2.lora.B", "1, 3", "4, 3")),
        "two sizes exchanged": ({**right, "0.lora.A": draw.normal(2, 5)}, ("0.lora.A", "2, 5", "5, 2")),
        "everything at once": (
            {"0.lora.A": right["0.lora.A"], "0.lora.B": draw.normal(2, 9), "9.lora.B": draw.normal(2, 2)},
            ("0.lora.B", "2, 9", "2, 8", "9.lora.B", "2.lora.A", "2.lora.B"),
        ),
        "an empty state": ({}, ("0.lora.A", "0.lora.B", "2.lora.A", "2.lora.B")),
    }
    for what, (state, named) in cases.items():
        model = model_of(draw)
        observe.outcome(what, load, model, state, mentions=named)
        observe(f"the model after that: {what}", numbers(model))
    observe.outcome("a model without LoRA", load, nn.Sequential(nn.Linear(5, 8)), right, mentions=tuple(right))


def test_merge_lora_changes_no_requires_grad(subject, draw, observe):
    """No requires_grad is changed: what was frozen stays frozen."""
    for weight, bias in ((False, False), (True, False), (False, True)):
        linear = nn.Linear(5, 8)
        model = nn.Sequential(nn.LayerNorm(5), subject.LinearWithLoRA(linear, rank=2, alpha=3))
        draw.fill(model)
        linear.weight.requires_grad_(weight)
        linear.bias.requires_grad_(bias)
        observe.outcome("returned", subject.merge_lora, model)
        observe("what trains", training(model))
        observe("the weight is a leaf, with nothing behind it", linear.weight.grad_fn is None)


def test_merge_lora_twice(subject, draw, observe):
    """Afterwards no LoRALayer is left, and the model computes what it did before, but for rounding."""
    merge, replace = subject.merge_lora, subject.replace_linear_with_lora
    model, ids = Net(tied=True), ids_of(draw)
    replace(model, rank=2, alpha=3)
    draw.fill(model)
    observe("returned by the first call", merge(model))
    observe("returned by the second call", merge(model))
    observe("parameters", numbers(model), tolerance=1e-4)
    observe("layers that can be wrapped once more", replace(model, rank=3, alpha=2))
    draw.fill(model)
    observe("logits", model(ids), tolerance=1e-4)


def test_merge_lora_keeps_the_digits_of_float64(subject, draw, observe):
    """A result must have its inputs' dtype."""
    model = nn.Sequential(subject.LinearWithLoRA(nn.Linear(5, 8, dtype=torch.float64), rank=3, alpha=7))
    draw.fill(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.div_(3)  # now no float32 holds these numbers
    merge = subject.merge_lora
    merge(model)
    observe("parameters", numbers(model), tolerance=1e-12)


def test_merge_lora_refuses_a_bare_linear_with_lora(subject, draw, observe):
    """ValueError: the model is itself a LinearWithLoRA. Nothing is around it in which it could be replaced. The
    model is as it was."""
    wrapped = subject.LinearWithLoRA(nn.Linear(5, 8), rank=3, alpha=7)
    draw.fill(wrapped)
    observe.outcome("a bare one", subject.merge_lora, wrapped)
    observe("the model after that", numbers(wrapped))
    observe.outcome("a model without LoRA", subject.merge_lora, nn.Sequential(nn.Linear(5, 8)))
    observe.outcome("a bare linear layer", subject.merge_lora, nn.Linear(5, 8))


def test_training_moves_a_and_b_only(subject, draw, observe):
    """Afterwards every A and B trains, and nothing else."""
    replace = subject.replace_linear_with_lora
    model, ids = Net(tied=True), ids_of(draw)
    draw.fill(model)
    replace(model, rank=2, alpha=3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".A"):
                parameter.copy_(draw.normal(*parameter.shape, scale=0.5))
    before = numbers(model)
    for _ in range(3):
        step(model, ids)
    moved = {name: value - before[name] for name, value in numbers(model).items()}
    observe("how far each parameter went in three steps", moved, tolerance=1e-4)
