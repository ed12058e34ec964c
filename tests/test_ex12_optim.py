"""Probes of ex12: the optimizer. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.
"""

import copy

import torch
from torch import nn

# Two of them alike: what is kept by shape and not by parameter shows.
SHAPES = ((3, 4), (5,), (2, 3, 2), (), (3, 4))


def normal(draw, shape, scale=1.0):
    """Like draw.normal, for a shape without any axis too."""
    return draw.normal(*(shape or (1,)), scale=scale).reshape(shape)


def parameters_of(draw, *shapes):
    return [nn.Parameter(normal(draw, shape).clone()) for shape in shapes]


def not_contiguous(draw):
    """A parameter that is the transpose of a tensor."""
    return nn.Parameter(draw.normal(4, 3).clone().T)


def give_gradients(draw, parameters, scale=1.0, least=0.0):
    """New gradients, straight from `draw`, so that it is seen if a step changes them; none smaller than `least`."""
    for parameter in parameters:
        gradient = normal(draw, parameter.shape, scale)
        parameter.grad = gradient + least * gradient.sign() if least else gradient


def state_of(optimizer, parameters):
    """What the optimizer remembers. The number of steps may be an int or a tensor."""
    return [
        {
            "step": float(optimizer.state[parameter]["step"]),
            "exp_avg": optimizer.state[parameter]["exp_avg"],
            "exp_avg_sq": optimizer.state[parameter]["exp_avg_sq"],
        }
        for parameter in parameters
    ]


def settings_of(optimizer):
    """lr, betas, eps and weight_decay of each group."""
    return [
        {"lr": group["lr"], "betas": list(group["betas"]), "eps": group["eps"], "decay": group["weight_decay"]}
        for group in optimizer.param_groups
    ]


def test_schedule_lesson_example(subject, draw, observe):
    """[lr_at(step, 1.0, 0.1, 2, 6) for step in range(7)] is the row of numbers in the lesson."""
    observe("steps 0 … 6", [subject.lr_at(step, 1.0, 0.1, 2, 6) for step in range(7)])


def test_schedule_goes_up_then_down(subject, draw, observe):
    """The learning rate of one step: up in a straight line, then down along a cosine."""
    for warmup_steps, total_steps in ((3, 11), (1, 8), (draw.whole(4, 6), draw.whole(9, 13))):
        max_lr, min_lr = draw.number(2.0, 6.0), draw.number(0.2, 0.9)
        found = [subject.lr_at(step, max_lr, min_lr, warmup_steps, total_steps) for step in range(total_steps)]
        observe(f"{warmup_steps} steps of warm-up, {total_steps} in total", found, tolerance=1e-6)
    found = [subject.lr_at(step, 2.0, 0.9, 5, 9) for step in range(9)]
    observe("the warm-up begins below min_lr", found)
    found = [subject.lr_at(step, 6e-4, 6e-5, 3, 11) for step in range(12)]
    observe("with the small numbers of a real training", found, tolerance=1e-9)
    observe("by name", subject.lr_at(step=2, max_lr=3.0, min_lr=0.5, warmup_steps=2, total_steps=5))


def test_schedule_falls_to_zero(subject, draw, observe):
    """Then it falls along half a wave of the cosine, down to min_lr, and stays there."""
    observe("min_lr 0, steps 0 … 8 of 7", [subject.lr_at(step, 3.0, 0.0, 2, 7) for step in range(9)])


def test_schedule_after_the_last_step(subject, draw, observe):
    """Then it falls along half a wave of the cosine, down to min_lr, and stays there."""
    for step in (8, 9, 10, 12, 50):
        observe(f"step {step} of 8", subject.lr_at(step, 3.0, 0.5, 3, 8))


def parameters_with_gradients(draw, scale=1.0):
    parameters = parameters_of(draw, *SHAPES)
    for parameter in parameters:
        parameter.grad = normal(draw, parameter.shape, scale).clone()
    return parameters


def observe_clipping(observe, norm, parameters, gradients, tolerance=1e-5):
    """`gradients` are the tensors that were there before; `tolerance` is for the numbers in them."""
    observe("the norm that it returns", norm)
    observe("the tensors that held the gradients", gradients, tolerance=tolerance)
    observe("gradients", [parameter.grad for parameter in parameters], tolerance=tolerance)


def test_clipping_lesson_example(subject, draw, observe):
    """The result is 5.0, and the gradients become [0.6] and [0.8]."""
    parameters = parameters_of(draw, (1,), (1,))
    gradients = [torch.tensor([3.0]), torch.tensor([4.0])]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    observe_clipping(observe, subject.clip_grad_norm(parameters, 1.0), parameters, gradients)


def test_long_gradients_are_clipped(subject, draw, observe):
    """If the norm is above max_norm, each `.grad` should be multiplied by max_norm / norm, in place."""
    for max_norm in (0.5, 1.0, draw.number(1.0, 2.0)):
        parameters = [*parameters_with_gradients(draw, scale=3.0), not_contiguous(draw)]
        parameters[-1].grad = draw.normal(4, 3).clone().T
        gradients, before = [p.grad for p in parameters], [p.detach().clone() for p in parameters]
        observe_clipping(observe, subject.clip_grad_norm(parameters, max_norm), parameters, gradients)
        observe("change of the parameters", [p - b for p, b in zip(parameters, before, strict=True)])


def test_short_gradients_stay_as_they_are(subject, draw, observe):
    """Otherwise all stay as they are."""
    for max_norm in (1000.0, 50.0):
        parameters = parameters_with_gradients(draw)
        gradients = [parameter.grad for parameter in parameters]
        observe_clipping(
            observe, subject.clip_grad_norm(parameters, max_norm), parameters, gradients, tolerance=0.0
        )


def test_each_is_short_but_all_together_are_long(subject, draw, observe):
    """Shorten the gradients, all by the same factor, if together they are too long."""
    parameters = parameters_of(draw, (2,), (3, 2), (4,))
    for parameter in parameters:
        direction = draw.normal(*parameter.shape)
        parameter.grad = direction / direction.norm() * 0.9
    gradients = [parameter.grad for parameter in parameters]
    observe_clipping(observe, subject.clip_grad_norm(parameters, 1.0), parameters, gradients)


def test_gradients_of_exactly_the_limit_stay(subject, draw, observe):
    """If the norm is above max_norm, each `.grad` should be multiplied by max_norm / norm, in place. Otherwise all
    stay as they are.
    """
    parameters = parameters_of(draw, (1,), (2,))
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0]), torch.tensor([0.0, -4.0])
    gradients = [parameter.grad for parameter in parameters]
    observe_clipping(observe, subject.clip_grad_norm(parameters, 5.0), parameters, gradients)


def test_clipping_gradients_of_zero(subject, draw, observe):
    """Otherwise all stay as they are."""
    parameters = parameters_of(draw, (2, 3), (4,))
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters]
    observe_clipping(observe, subject.clip_grad_norm(parameters, 1.0), parameters, gradients, tolerance=0.0)


def test_update_means_lesson_example(subject, draw, observe):
    """A gradient of 0.5 with betas (0.9, 0.999) makes them 0.05 and 0.00025."""
    exp_avg, exp_avg_sq = torch.zeros(1), torch.zeros(1)
    for gradient in (0.5, -0.5):
        subject.update_means(torch.tensor([gradient]), exp_avg, exp_avg_sq, (0.9, 0.999))
        observe(f"exp_avg and exp_avg_sq after a gradient of {gradient}", [exp_avg, exp_avg_sq])


def test_update_means_moves_both_in_place(subject, draw, observe):
    """Move the two running means of one parameter, in place."""
    for shape, betas in (((3, 4), (0.6, 0.8)), ((5,), (0.9, 0.7)), ((2, 3, 2), (0.0, 0.5)), ((), (0.5, 0.0))):
        exp_avg, exp_avg_sq = normal(draw, shape).clone(), normal(draw, shape).abs()
        for call in (1, 2):
            subject.update_means(normal(draw, shape, scale=3.0), exp_avg, exp_avg_sq, betas)
            observe(f"exp_avg after call {call}, betas={betas}", exp_avg)
            observe(f"exp_avg_sq after call {call}, betas={betas}", exp_avg_sq)


def test_adam_direction_lesson_example(subject, draw, observe):
    """Which way one parameter goes: the corrected mean, over the root of the corrected square."""
    for t, exp_avg, exp_avg_sq in ((1, 0.05, 0.00025), (2, -0.005, 0.00049975)):
        means = torch.tensor([exp_avg]), torch.tensor([exp_avg_sq])
        observe(f"direction at t = {t}", subject.adam_direction(*means, t, (0.9, 0.999), 0.0))


def test_adam_direction_corrects_both_means(subject, draw, observe):
    """Which way one parameter goes: the corrected mean, over the root of the corrected square."""
    for t, betas in ((1, (0.6, 0.8)), (2, (0.9, 0.7)), (7, (0.9, 0.999)), (400, (0.99, 0.5))):
        for shape in ((3, 4), (5,)):
            means = draw.normal(*shape), draw.uniform(*shape, low=0.1, high=2.0)
            observe(f"direction at t = {t}, betas={betas}", subject.adam_direction(*means, t, betas, 1e-8))


def test_adam_direction_adds_eps_to_the_root(subject, draw, observe):
    """direction = mean / (√square + eps)"""
    for scale, eps in ((1.0, 0.3), (1e-7, 1e-7), (1e4, 1e-7)):
        means = draw.normal(3, 4, scale=scale), draw.uniform(3, 4, high=2.0) * scale**2
        observe(
            f"direction of gradients around {scale}, eps={eps}", subject.adam_direction(*means, 3, (0.7, 0.9), eps)
        )
    zeros = torch.zeros(2), torch.zeros(2)
    observe("direction if all gradients were 0", subject.adam_direction(*zeros, 3, (0.9, 0.999), 1e-8))


def test_adamw_is_an_optimizer_of_torch(subject, draw, observe):
    """Check the numbers, and hand params and a dict of the four defaults to torch's `__init__`."""
    optimizer = subject.AdamW(parameter for parameter in parameters_of(draw, (3, 4), (5,)))
    observe("is it a torch.optim.Optimizer", isinstance(optimizer, torch.optim.Optimizer))
    observe("settings if none are given", settings_of(optimizer))
    observe("its parameters", [parameter.shape for parameter in optimizer.param_groups[0]["params"]])
    give_gradients(draw, optimizer.param_groups[0]["params"])
    optimizer.zero_grad()
    observe("gradients after zero_grad", [parameter.grad for parameter in optimizer.param_groups[0]["params"]])


def test_adamw_lesson_example(subject, draw, observe):
    """two steps on w = 1.0, as in the lesson, give 0.89 and then about 0.8864."""
    weight = nn.Parameter(torch.tensor(1.0))
    optimizer = subject.AdamW([weight], lr=0.1, weight_decay=0.1)
    for gradient in (0.5, -0.5):
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        observe(f"the weight after a gradient of {gradient}", weight)


def test_adamw_takes_many_steps(subject, draw, observe):
    """For each parameter, in this order: count its step, update_means, the decay, the step along adam_direction."""
    parameters = [*parameters_of(draw, *SHAPES), not_contiguous(draw)]
    optimizer = subject.AdamW(parameters, lr=0.1, weight_decay=0.5)
    for step in range(1, 8):
        give_gradients(draw, parameters)
        optimizer.step()
        observe(f"parameters after step {step}", parameters, tolerance=1e-4)


def test_adamw_with_other_settings(subject, draw, observe):
    """lr, betas, eps and weight_decay should be those that its group holds *now*: a schedule changes them."""
    for betas in ((0.6, 0.8), (0.8, 0.6), (0.0, 0.5), (0.5, 0.0)):
        parameters = parameters_of(draw, (3, 4), (5,), (3, 4))
        optimizer = subject.AdamW(parameters, lr=0.2, betas=betas, eps=0.3, weight_decay=0.0)
        for _ in range(4):
            # Where beta2 is 0, the root of a small square is that of what rounding left of the one before.
            give_gradients(draw, parameters, scale=2.0, least=0.5)
            optimizer.step()
        observe(f"parameters after 4 steps, betas={betas}, eps=0.3", parameters, tolerance=1e-4)


def test_adamw_with_tiny_and_huge_gradients(subject, draw, observe):
    """direction = mean / (√square + eps)"""
    for scale in (1e-7, 1e4):
        parameters = parameters_of(draw, (3, 4), (5,), (3, 4))
        optimizer = subject.AdamW(parameters, lr=0.1, eps=1e-7, weight_decay=0.0)
        for _ in range(3):
            give_gradients(draw, parameters, scale=scale)
            optimizer.step()
        observe(f"parameters after 3 steps, gradients around {scale}", parameters, tolerance=1e-4)


def test_adamw_decays_before_the_step(subject, draw, observe):
    """First the decay, then the step:"""
    weight = nn.Parameter(draw.uniform(3, 4, low=5.0, high=9.0).clone())
    optimizer = subject.AdamW([weight], lr=0.5, weight_decay=0.8)
    for step in range(1, 4):
        give_gradients(draw, [weight])
        optimizer.step()
        observe(f"the weight after step {step}", weight, tolerance=1e-4)


def test_adamw_remembers_what_torch_remembers(subject, draw, observe):
    """`self.state[parameter]` should hold, under torch's names, "step" how many steps this parameter has made
    "exp_avg", "exp_avg_sq" its running means, of its shape and dtype
    """
    parameters = parameters_of(draw, (3, 4), (5,), (3, 4))
    optimizer = subject.AdamW(parameters, lr=0.1, betas=(0.7, 0.9), weight_decay=0.5)
    for step in range(1, 5):
        give_gradients(draw, parameters, scale=3.0)
        optimizer.step()
        observe(f"step, exp_avg and exp_avg_sq after step {step}", state_of(optimizer, parameters))


def test_adamw_keeps_to_the_settings_of_each_group(subject, draw, observe):
    """lr, betas, eps and weight_decay should be those that its group holds *now*: a schedule changes them."""
    first, second, third = parameters_of(draw, (3, 4), (5,), (3, 4))
    groups = [
        {"params": [first], "lr": 0.3, "weight_decay": 0.6},
        {"params": [second], "betas": (0.5, 0.7), "eps": 0.2},
        {"params": [third], "weight_decay": 0.0},
    ]
    optimizer = subject.AdamW(groups, lr=0.1, betas=(0.8, 0.95), eps=0.05, weight_decay=0.9)
    observe("settings of the groups", settings_of(optimizer))
    for step in range(1, 5):
        give_gradients(draw, [first, second, third])
        optimizer.step()
        observe(f"one parameter of each group, after step {step}", [first, second, third])


def test_adamw_follows_settings_that_change(subject, draw, observe):
    """lr, betas, eps and weight_decay should be those that its group holds *now*: a schedule changes them."""
    parameters = parameters_of(draw, (3, 4), (5,), (3, 4))
    optimizer = subject.AdamW([{"params": [parameter]} for parameter in parameters], lr=0.1, weight_decay=0.5)
    for lr in (0.3, 0.05, 0.0, 0.2):
        for group in optimizer.param_groups:
            group["lr"] = lr
        give_gradients(draw, parameters)
        optimizer.step()
        observe(f"parameters after a step with lr {lr}", parameters, tolerance=1e-4)
    for name, value in (("weight_decay", 2.0), ("eps", 0.5), ("betas", (0.3, 0.6))):
        optimizer.param_groups[1][name] = value
        give_gradients(draw, parameters)
        optimizer.step()
        observe(f"parameters after {name} of the second group has become {value}", parameters, tolerance=1e-4)


def test_adamw_changes_parameters_in_place(subject, draw, observe):
    """Move every parameter that has a gradient, once and in place."""
    parameters = parameters_of(draw, *SHAPES)
    optimizer = subject.AdamW(parameters, lr=0.1, weight_decay=0.5)
    with torch.enable_grad():
        for _ in range(2):
            give_gradients(draw, parameters)
            observe("what step returns", optimizer.step())
    held = optimizer.param_groups[0]["params"]
    observe("parameters", parameters, tolerance=1e-4)
    observe("parameters of the group", held, tolerance=1e-4)
    observe("requires_grad and is_leaf", [(parameter.requires_grad, parameter.is_leaf) for parameter in held])


def test_adamw_trains_a_model(subject, draw, observe):
    """Move every parameter that has a gradient, once and in place."""
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 3))
    draw.fill(model)
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.5}, {"params": others, "weight_decay": 0.0}]
    optimizer = subject.AdamW(groups, lr=1.0, eps=1e-3)
    losses = []
    for lr in (0.025, 0.05, 0.05, 0.04, 0.02, 0.01):
        for group in optimizer.param_groups:
            group["lr"] = lr
        x, targets = draw.normal(7, 4), draw.integers(7, high=3)
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = nn.functional.cross_entropy(model(x), targets)
            loss.backward()
        losses.append(loss.item())
        optimizer.step()
    observe("loss of each step", losses, tolerance=1e-4)
    observe("parameters", dict(model.named_parameters()), tolerance=1e-4)


class Model(nn.Module):
    """A little of everything: misleadingly named, with no axis, with three, at several depths."""

    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))
        self.kernel = nn.Parameter(torch.ones(2, 3, 4))
        self.bias = nn.Parameter(torch.ones(3, 5))
        self.weight = nn.Parameter(torch.ones(4))
        self.row = nn.Parameter(torch.ones(1, 1))
        self.embedding = nn.Embedding(11, 6)
        self.inner = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4), nn.Sequential(nn.Linear(4, 6, bias=False)))
        self.norm = nn.LayerNorm(6)


class Tied(Model):
    """With frozen parameters, and a head that shares its weight."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.Linear(6, 3).requires_grad_(False)
        self.half_frozen = nn.Linear(3, 6)
        self.half_frozen.weight.requires_grad_(False)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embedding.weight


def named_groups(groups, model):
    """The groups, with the name of each parameter in its place."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        {
            "params": [names.get(id(parameter), "not a parameter of the model") for parameter in group["params"]],
            "weight_decay": float(group["weight_decay"]),
        }
        for group in groups
    ]


def test_groups_of_one_layer(subject, draw, observe):
    """for `nn.Linear(3, 2)` the first group holds its weight, the second its bias."""
    model = nn.Linear(3, 2)
    groups = subject.param_groups(model, 0.1)
    observe("type of what comes", type(groups).__name__)
    groups = list(groups)
    observe("keys of each group", [sorted(group) for group in groups])
    observe("types of the params", [type(group["params"]).__name__ for group in groups])
    observe("groups", named_groups(groups, model))
    observe("groups, weight_decay=0.0", named_groups(subject.param_groups(model, 0.0), model))


def test_groups_go_by_the_number_of_axes(subject, draw, observe):
    """the parameters with two axes or more: matrices and embeddings"""
    model = Model()
    weight_decay = draw.number(0.1, 0.9)
    observe("groups", named_groups(subject.param_groups(model, weight_decay), model))


# The fine print.


def test_schedule_without_warmup(subject, draw, observe):
    """warmup_steps may be 0, and it may be total_steps or more: then the rate rises to the end, by the same
    rules.
    """
    observe("steps 0 … 6 of 7", [subject.lr_at(step, 2.0, 0.5, 0, 7) for step in range(7)])
    observe("the only step", subject.lr_at(0, 2.0, 0.5, 0, 1))
    observe("step 0 of 0", subject.lr_at(0, 3.0, 0.5, 0, 0))


def test_schedule_with_nothing_but_warmup(subject, draw, observe):
    """warmup_steps may be 0, and it may be total_steps or more: then the rate rises to the end, by the same
    rules.
    """
    observe("4 steps of warm-up, 4 in total", [subject.lr_at(step, 3.0, 0.5, 4, 4) for step in range(7)])
    observe("6 steps of warm-up, 4 in total", [subject.lr_at(step, 3.0, 0.5, 6, 4) for step in range(9)])


def test_parameters_may_come_from_a_generator(subject, draw, observe):
    """`parameters` may be a generator, which can be iterated over only once."""
    parameters = parameters_with_gradients(draw, scale=2.0)
    gradients = [parameter.grad for parameter in parameters]
    norm = subject.clip_grad_norm((parameter for parameter in parameters), 0.7)
    observe_clipping(observe, norm, parameters, gradients)


def test_clipping_passes_over_parameters_without_gradient(subject, draw, observe):
    """A parameter whose `.grad` is None is skipped."""
    parameters = parameters_with_gradients(draw, scale=2.0)
    parameters[0].grad = None
    parameters[2].grad = None
    gradients = [parameter.grad for parameter in parameters]
    observe_clipping(observe, subject.clip_grad_norm(parameters, 0.7), parameters, gradients)


def test_clipping_where_there_is_no_gradient(subject, draw, observe):
    """Without any gradient the norm is 0.0."""
    observe("norm, no parameter has one", subject.clip_grad_norm(parameters_of(draw, (2, 3), (4,)), 1.0))
    observe("norm, no parameters", subject.clip_grad_norm([], 1.0))


def test_adamw_refuses_numbers_that_make_no_sense(subject, draw, observe):
    """ValueError: lr, eps or weight_decay is below 0, or one of the betas is below 0, or 1 or more. The message
    should name the number.
    """
    adamw, (weight,) = subject.AdamW, parameters_of(draw, (2, 3))

    def made(**settings):
        return settings_of(adamw([weight], **settings))

    for name, number in (("lr", -0.5), ("eps", -0.25), ("weight_decay", -1.5), ("lr", -0.001)):
        observe.outcome(f"{name}={number}", made, mentions=(str(number),), **{name: number})
    for betas, number in (
        ((-0.5, 0.9), "-0.5"),
        ((0.9, -0.25), "-0.25"),
        ((1.5, 0.9), "1.5"),
        ((0.9, 2.5), "2.5"),
        ((1.0, 0.9), "1.0"),
        ((0.9, 1.0), "1.0"),
    ):
        observe.outcome(f"betas={betas}", made, mentions=(number,), betas=betas)


def test_adamw_accepts_zero(subject, draw, observe):
    """ValueError: lr, eps or weight_decay is below 0, or one of the betas is below 0, or 1 or more."""
    adamw, (weight,) = subject.AdamW, parameters_of(draw, (2, 3))
    for settings in (
        {"lr": 0.0},
        {"eps": 0.0},
        {"weight_decay": 0.0},
        {"betas": (0.0, 0.9)},
        {"betas": (0.9, 0.0)},
    ):
        optimizer = adamw([weight], **settings)
        observe(f"settings, {settings} given", settings_of(optimizer))
        give_gradients(draw, [weight])
        optimizer.step()
        observe("the weight after one step", weight)


def test_adamw_leaves_parameters_without_gradient_alone(subject, draw, observe):
    """A parameter whose `.grad` is None is left alone: it does not decay, and no step is counted for it."""
    parameters = parameters_of(draw, (3, 4), (5,), (3, 4), (5,))
    groups = [{"params": parameters[:3]}, {"params": parameters[3:]}]
    optimizer = subject.AdamW(groups, lr=0.1, weight_decay=0.5)
    for without in ((0, 2), (2,), (1,), (0, 1, 2, 3), (), (3,)):
        give_gradients(draw, parameters)
        for place in without:
            parameters[place].grad = None
        optimizer.step()
        observe(f"parameters after a step, no gradient at {list(without)}", parameters, tolerance=1e-4)
    observe("what is remembered", state_of(optimizer, parameters))


def test_adamw_pulls_the_weights_towards_zero(subject, draw, observe):
    """A gradient of zeros is a gradient."""
    parameters = parameters_of(draw, (3, 4), (5,), (3, 4))
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    for lr, weight_decay in ((0.5, 0.8), (0.1, 3.0)):
        optimizer = subject.AdamW(parameters, lr=lr, weight_decay=weight_decay)
        optimizer.step()
        observe(f"parameters after gradients of zero, lr={lr}, weight_decay={weight_decay}", parameters)
        observe("what is remembered", state_of(optimizer, parameters))


def test_adamw_goes_on_from_a_saved_state(subject, draw, observe):
    """Nothing should be remembered elsewhere: `state_dict` saves these two, and torch's AdamW can go on from
    them.
    """
    parameters = parameters_of(draw, (3, 4), (5,), (3, 4))

    def groups():
        return [{"params": parameters[:2]}, {"params": parameters[2:], "weight_decay": 0.7}]

    optimizer = subject.AdamW(groups(), lr=0.1, betas=(0.8, 0.9))
    give_gradients(draw, parameters)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.3
    give_gradients(draw, parameters[1:])
    optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    for i in range(3):
        state = saved["state"][i]
        observe(f"saved state of parameter {i}", [float(state["step"]), state["exp_avg"], state["exp_avg_sq"]])
    optimizer = subject.AdamW(groups(), lr=9.0)
    optimizer.load_state_dict(saved)
    observe("settings of the groups", settings_of(optimizer))
    for step in range(3, 6):
        give_gradients(draw, parameters)
        optimizer.step()
        observe(f"parameters after step {step}, the third with the new optimizer", parameters)


def test_adamw_calls_the_closure(subject, draw, observe):
    """If it is given, it computes the gradients and returns the loss: call it once, before anything moves, within
    `torch.enable_grad()`, and return what it returned.
    """
    weight, factor = parameters_of(draw, (4,), (1,))
    target = draw.normal(4)
    optimizer = subject.AdamW([{"params": [weight]}, {"params": [factor]}], lr=0.1, weight_decay=0.5)
    seen = []

    def closure():
        seen.append((torch.is_grad_enabled(), weight.detach().clone(), factor.detach().clone()))
        with torch.enable_grad():
            optimizer.zero_grad()
            loss = ((factor * weight - target) ** 2).sum()
            loss.backward()
        return loss.detach()

    for step in range(1, 4):
        observe(f"what step {step} returns", optimizer.step(closure), tolerance=1e-4)
        observe("a parameter of each group afterwards", [weight, factor], tolerance=1e-4)
    observe("was there a graph, and which parameters did the closure see", seen, tolerance=1e-4)
    returned = optimizer.step(closure=closure)
    observe("what step returns if the closure is passed by name", returned, tolerance=1e-4)


def test_adamw_leaves_the_gradients_as_they_are(subject, draw, observe):
    """A call must not change its inputs."""
    parameters = parameters_of(draw, *SHAPES)
    optimizer = subject.AdamW(parameters, lr=0.1, weight_decay=0.5)
    give_gradients(draw, parameters)
    before = [parameter.grad for parameter in parameters]
    optimizer.step()
    observe("gradients that were there", before)
    observe("gradients that are there", [parameter.grad for parameter in parameters])


def test_adamw_keeps_double_precision(subject, draw, observe):
    """ "exp_avg", "exp_avg_sq" its running means, of its shape and dtype"""
    # A float32 near 100 is good to 4e-6. A bias correction with a float32 count is off by far less than 2e-7.
    weight = nn.Parameter(draw.normal(3, 4, shift=100.0).double())
    optimizer = subject.AdamW([weight], lr=1e-4, weight_decay=0.5)
    for _ in range(6):
        weight.grad = draw.normal(3, 4).double()
        optimizer.step()
    observe("the float64 weight after 6 steps", weight, tolerance=2e-9)
    observe("what is remembered", state_of(optimizer, [weight]), tolerance=1e-9)


def test_groups_take_what_trains_once(subject, draw, observe):
    """A parameter that two layers share, such as a tied head, is there once: it should not move twice. One that
    does not require a gradient is in neither group.
    """
    model = Tied()
    observe("groups", named_groups(subject.param_groups(model, 0.3), model))


def test_both_groups_are_there_even_if_empty(subject, draw, observe):
    """A group may be empty."""
    for name, model in (
        ("only matrices", nn.Embedding(3, 2)),
        ("only vectors", nn.LayerNorm(4)),
        ("everything frozen", nn.Linear(3, 2).requires_grad_(False)),
        ("no parameters", nn.GELU()),
    ):
        observe(f"groups, {name}", named_groups(subject.param_groups(model, 0.3), model))


def test_groups_leave_the_model_as_it_is(subject, draw, observe):
    """A call must not change its inputs."""
    model = Tied()
    draw.fill(model)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    subject.param_groups(model, 0.3)
    observe("change", {name: value - before[name] for name, value in model.named_parameters()})
    observe("requires_grad", {name: value.requires_grad for name, value in model.named_parameters()})
