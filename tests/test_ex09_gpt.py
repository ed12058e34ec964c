"""Probes of ex09: the GPT. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.
"""

import dataclasses

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# Weights of this size keep the attention soft: a sharp one would magnify the rounding of right code.
SCALE = 0.3

# What these probes see of random weights is 9 or more standard deviations inside its tolerance, at any seed.
STANDARD = 0.02


def config(subject, **changes):
    sizes = {"vocab_size": 23, "context_length": 9, "emb_dim": 12, "n_heads": 3, "n_layers": 2, "drop_rate": 0.0}
    return subject.GPTConfig(**{**sizes, **changes})


def large_config(subject, n_layers=3):
    """Large enough for statistics, small enough for a few milliseconds."""
    sizes = {"vocab_size": 500, "context_length": 400, "emb_dim": 64, "n_heads": 8, "n_layers": n_layers}
    return subject.GPTConfig(**sizes, qkv_bias=True)


def fill(draw, model):
    """Set every parameter. A tied table may go by either of its two names, so it is set by itself."""
    draw.fill(model, SCALE)
    table = model.embedding.tok_emb.weight
    with torch.no_grad():
        table.copy_(draw.normal(*table.shape, scale=SCALE))


def named(model):
    """All parameters by name, a tied one by both of its names."""
    return dict(model.named_parameters(remove_duplicate=False))


def test_config_has_the_sizes_of_gpt2_small(subject, draw, observe):
    """The defaults are GPT-2 small's, except that GPT-2 itself has qkv_bias=True."""
    observe("defaults", dataclasses.asdict(subject.GPTConfig()))


def test_config_keeps_good_sizes(subject, draw, observe):
    """It should raise a ValueError if one of the five sizes is below 1, if emb_dim cannot be divided by n_heads
    without a remainder, or if drop_rate is below 0, or 1 or above. The message should name the fields concerned
    and their values.
    """
    sizes = {"vocab_size": 1, "context_length": 1, "emb_dim": 1, "n_heads": 1, "n_layers": 1, "drop_rate": 0.0}
    observe("the smallest sizes", dataclasses.asdict(subject.GPTConfig(**sizes, qkv_bias=True)))
    observe("the largest GPT-2", dataclasses.asdict(subject.GPTConfig(50257, 1024, 1600, 25, 48, 0.99, True)))
    observe("as many heads as numbers", dataclasses.asdict(subject.GPTConfig(emb_dim=7, n_heads=7)))


def test_config_refuses_sizes_below_1(subject, draw, observe):
    """It should raise a ValueError if one of the five sizes is below 1, if emb_dim cannot be divided by n_heads
    without a remainder, or if drop_rate is below 0, or 1 or above. The message should name the fields concerned
    and their values.
    """
    for name in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers"):
        for value in (0, -3):
            observe.outcome(f"{name}={value}", subject.GPTConfig, **{name: value}, mentions=(name, str(value)))


def test_config_refuses_a_width_that_does_not_divide(subject, draw, observe):
    """It should raise a ValueError if one of the five sizes is below 1, if emb_dim cannot be divided by n_heads
    without a remainder, or if drop_rate is below 0, or 1 or above. The message should name the fields concerned
    and their values.
    """
    for width, heads in ((10, 4), (6, 12), (769, 12)):
        mentions = ("emb_dim", str(width), "n_heads", str(heads))
        what = f"emb_dim={width}, n_heads={heads}"
        observe.outcome(what, subject.GPTConfig, emb_dim=width, n_heads=heads, mentions=mentions)


def test_config_refuses_drop_rates_out_of_range(subject, draw, observe):
    """It should raise a ValueError if one of the five sizes is below 1, if emb_dim cannot be divided by n_heads
    without a remainder, or if drop_rate is below 0, or 1 or above. The message should name the fields concerned
    and their values.
    """
    for rate in (1.5, -0.01):
        mentions = ("drop_rate", str(rate))
        observe.outcome(f"drop_rate={rate}", subject.GPTConfig, drop_rate=rate, mentions=mentions)
    observe.outcome("drop_rate=1.0", subject.GPTConfig, drop_rate=1.0, mentions=("drop_rate",))


def test_model_has_these_parameters(subject, draw, observe):
    """A GPT: embedding, blocks, final norm, head, and no other parameters."""
    for changes in ({}, {"qkv_bias": True, "n_layers": 1}, {"vocab_size": 5, "n_layers": 3}):
        for tie in (True, False):
            model = subject.GPTModel(config(subject, **changes), tie_weights=tie)
            found = {name: value.shape for name, value in named(model).items()}
            observe(f"parameters, tie_weights={tie}", found)
            observe(f"how many tensors, tie_weights={tie}", len(list(model.parameters())))
            observe("do they require a gradient?", [value.requires_grad for value in model.parameters()])


def test_model_keeps_its_config(subject, draw, observe):
    """cfg the config that was given"""
    cfg = config(subject, qkv_bias=True, drop_rate=0.25)
    model, other = subject.GPTModel(cfg), subject.GPTModel(config(subject, n_layers=1))
    observe("cfg, when another model was made after this one", dataclasses.asdict(model.cfg))
    observe("cfg of the other model", dataclasses.asdict(other.cfg))


def test_logits(subject, draw, observe):
    """From ids to logits: embedding, all blocks in order, final norm, head."""
    for tie in (True, False):
        model = subject.GPTModel(config(subject), tie)
        fill(draw, model)
        for batch, length in ((2, 7), (3, 1), (1, 9)):
            ids = draw.integers(batch, length, high=23)
            observe(f"logits of ids {batch} by {length}, tie_weights={tie}", model(ids), tolerance=1e-4)


def test_weights_are_tied_unless_told_otherwise(subject, draw, observe):
    """GPT-2 uses one table for both. *One* tensor: whatever changes it in one place has changed it in the other,
    and its gradient is the sum of both uses.
    """
    model = subject.GPTModel(config(subject))
    fill(draw, model)
    observe("logits", model(draw.integers(2, 7, high=23)), tolerance=1e-4)
    observe("how many tensors", len(list(model.parameters())))


def test_logits_of_other_sizes(subject, draw, observe):
    """an `nn.Sequential` (or `nn.ModuleList`) of n_layers TransformerBlocks, each with its own weights"""
    for changes in ({"n_layers": 1}, {"n_layers": 4}, {"n_heads": 1}, {"n_heads": 6}, {"qkv_bias": True}):
        model = subject.GPTModel(config(subject, **changes))
        fill(draw, model)
        observe(f"logits with {changes}", model(draw.integers(2, 7, high=23)), tolerance=1e-4)


def test_logits_of_one_token_repeated(subject, draw, observe):
    """From ids to logits: embedding, all blocks in order, final norm, head."""
    model = subject.GPTModel(config(subject))
    fill(draw, model)
    ids = draw.integers(2, 1, high=23).expand(2, 7)
    observe("logits of one token seven times", model(ids), tolerance=1e-4)


def test_a_changed_id_reaches_later_logits_only(subject, draw, observe):
    """float (B, T, V): for each position the logits of the token that comes after it. No softmax."""
    model = subject.GPTModel(config(subject))
    fill(draw, model)
    ids = draw.integers(2, 7, high=23)
    before = model(ids)
    for place in (0, 4):
        changed = ids.clone()
        changed[:, place] = (changed[:, place] + 5) % 23
        observe(f"what moves when id {place} changes", model(changed) - before, tolerance=1e-4)


def test_each_part_of_the_model_drops_in_training_mode(subject, draw, observe):
    """Whether anything is dropped is for the modules and their mode to decide. Leave the mode as it is."""
    model = subject.GPTModel(config(subject, emb_dim=48, drop_rate=0.5))
    fill(draw, model)
    ids = draw.integers(2, 7, high=23)
    for number, part in enumerate((model.embedding, *model.trf_blocks)):
        model.eval()
        part.train()
        same = (model(ids) == model(ids)).all(dim=-1)
        observe(f"positions whose logits are the same twice, only part {number} in training mode", same)


def test_model_hands_on_the_drop_rate(subject, draw, observe):
    """exercise 5's GPTEmbedding, with drop_rate as its dropout"""
    model = subject.GPTModel(config(subject, drop_rate=0.3))
    observe("dropout of the embedding", model.embedding.drop_emb.p)
    observe("dropout of the blocks", [(block.att.dropout.p, block.drop_shortcut.p) for block in model.trf_blocks])


def test_tied_weights_are_one_tensor(subject, draw, observe):
    """If the weights are tied, `out_head.weight` is the same Parameter as `embedding.tok_emb.weight`."""
    for tie in (True, False):
        model = subject.GPTModel(config(subject), tie_weights=tie)
        observe_tie(draw, observe, model, f"tie_weights={tie}")


def test_tied_weights_stay_tied_when_loaded(subject, draw, observe):
    """If the weights are tied, `out_head.weight` is the same Parameter as `embedding.tok_emb.weight`."""
    model, other = subject.GPTModel(config(subject)), subject.GPTModel(config(subject))
    fill(draw, other)
    ids = draw.integers(2, 7, high=23)
    model.load_state_dict(other.state_dict())
    observe("logits with loaded weights", model(ids), tolerance=1e-4)
    observe_tie(draw, observe, model, "after load_state_dict")


def test_tied_weights_learn_together(subject, draw, observe):
    """If the weights are tied, `out_head.weight` is the same Parameter as `embedding.tok_emb.weight`."""
    model = subject.GPTModel(config(subject))
    fill(draw, model)
    (model(draw.integers(2, 7, high=23)) * draw.normal(2, 7, 23)).sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.01 * parameter.grad
    observe("head after a step", model.out_head.weight, tolerance=1e-4)
    observe("token table after a step", model.embedding.tok_emb.weight, tolerance=1e-4)


def observe_tie(draw, observe, model, when):
    """Write into one of the two tables and look at the other."""
    table, head = model.embedding.tok_emb.weight, model.out_head.weight
    with torch.no_grad():
        head.fill_(0.0)
        table.copy_(draw.normal(*table.shape))
        observe(f"head when the token table changes, {when}", head)
        head.copy_(draw.normal(*head.shape))
        observe(f"token table when the head changes, {when}", table)


def test_init_gives_the_right_spread(subject, draw, observe):
    """Set every parameter to what GPT-2 begins with, whatever it held before. Returns nothing."""
    init_weights = subject.init_weights
    model = subject.GPTModel(large_config(subject), tie_weights=False)
    subject.GPTModel(config(subject, n_layers=1))  # another model, of which init_weights should know nothing
    held = named(model)
    with torch.no_grad():
        for value in held.values():
            value.fill_(7.0 if value.dim() == 1 else torch.nan)  # as after a training that went wrong
    init_weights(model)
    observe_spread(observe, held)
    observe("do they require a gradient?", {name: value.requires_grad for name, value in named(model).items()})


def test_init_sets_biases_scales_and_shifts(subject, draw, observe):
    """Biases and shifts become 0, the scales of the norms 1."""
    init_weights = subject.init_weights
    model = subject.GPTModel(config(subject, qkv_bias=True))
    held = {name: value for name, value in model.named_parameters() if value.dim() == 1}
    with torch.no_grad():
        for value in held.values():
            value.fill_(7.0)
    init_weights(model)
    observe("biases, scales and shifts", held)


def test_new_model_has_the_right_spread(subject, draw, observe):
    """Make the parts, tie the weights if asked to, and let `init_weights` fill them."""
    for tie, layers in ((True, 3), (False, 5)):
        held = named(subject.GPTModel(large_config(subject, layers), tie_weights=tie))
        observe_spread(observe, held)
        observe("biases, scales and shifts", {n: v for n, v in held.items() if v.dim() == 1})
    spread = (held["embedding.tok_emb.weight"] - held["out_head.weight"]).std() / STANDARD
    observe("spread of token table minus untied head, over 0.02 (√2 if independent)", spread, tolerance=0.09)


def test_init_draws_a_normal_distribution(subject, draw, observe):
    """All weights, of tables and linear layers, should be drawn from a normal distribution with mean 0 and standard
    deviation 0.02; those of `att.out_proj` and `ff.layers[2]` in every block with 0.02/√(2·L). Biases and shifts
    become 0, the scales of the norms 1.
    """
    init_weights = subject.init_weights
    model = subject.GPTModel(large_config(subject), tie_weights=False)
    init_weights(model)
    for what, values in groups(named(model)).items():
        values = values / values.std()
        observe(
            f"mean of the fourth powers (3 for a normal distribution), {what}", values.pow(4).mean(), tolerance=0.14
        )


def test_init_draws_each_weight_by_itself(subject, draw, observe):
    """All weights, of tables and linear layers, should be drawn from a normal distribution with mean 0 and standard
    deviation 0.02; those of `att.out_proj` and `ff.layers[2]` in every block with 0.02/√(2·L). Biases and shifts
    become 0, the scales of the norms 1.
    """
    init_weights = subject.init_weights
    model, other = (subject.GPTModel(large_config(subject), tie_weights=False) for _ in range(2))
    new = [named(each)["trf_blocks.0.att.W_query.weight"].detach().clone() for each in (model, other)]
    for each in (model, other):
        init_weights(each)
    mine, theirs = named(model), named(other)
    table = mine["embedding.tok_emb.weight"]
    pairs = {
        "two new models": new,
        "neighbouring rows": (table[1:], table[:-1]),
        "neighbouring columns": (table[:, 1:], table[:, :-1]),
        "query and key": (mine["trf_blocks.0.att.W_query.weight"], mine["trf_blocks.0.att.W_key.weight"]),
        "two blocks": (mine["trf_blocks.0.att.W_query.weight"], mine["trf_blocks.1.att.W_query.weight"]),
        "two models": (mine["trf_blocks.0.att.W_query.weight"], theirs["trf_blocks.0.att.W_query.weight"]),
        "token table and untied head": (table, mine["out_head.weight"]),
    }
    for what, (one, two) in pairs.items():
        spread = (one - two).std() / STANDARD
        observe(f"spread of the difference over 0.02 (√2 if independent), {what}", spread, tolerance=0.09)


def observe_spread(observe, parameters):
    matrices = {name: value for name, value in parameters.items() if value.dim() == 2}
    observe("spread over 0.02", {name: value.std() / STANDARD for name, value in matrices.items()}, tolerance=0.07)
    together = groups(parameters)
    observe(
        "spread over 0.02, all of a kind",
        {kind: v.std() / STANDARD for kind, v in together.items()},
        tolerance=0.03,
    )
    projections = torch.cat([together["attention's projection"], together["second layer of the feed-forward"]])
    observe("spread over 0.02, what is added to the shortcut", projections.std() / STANDARD, tolerance=0.012)
    observe(
        "mean over 0.02, all of a kind", {kind: v.mean() / STANDARD for kind, v in together.items()}, tolerance=0.1
    )


def groups(parameters):
    """All weights of a kind in one tensor of 12,000 numbers or more."""
    kinds = {
        "token table": ("tok_emb.weight",),
        "position table": ("pos_emb.weight",),
        "query, key, value": ("W_query.weight", "W_key.weight", "W_value.weight"),
        "attention's projection": ("att.out_proj.weight",),
        "first layer of the feed-forward": ("ff.layers.0.weight",),
        "second layer of the feed-forward": ("ff.layers.2.weight",),
        "head": ("out_head.weight",),
    }
    return {
        kind: torch.cat([value.detach().flatten() for name, value in parameters.items() if name.endswith(endings)])
        for kind, endings in kinds.items()
    }


def test_count_of_small_modules(subject, draw, observe):
    """A parameter that is used in two places, as when weights are tied, counts once."""
    observe("a linear layer", subject.count_parameters(nn.Linear(5, 3)))
    observe("a module without parameters", subject.count_parameters(nn.ReLU()))
    layer = nn.Linear(4, 4)
    observe("one layer in two places", subject.count_parameters(nn.Sequential(layer, nn.ReLU(), layer)))
    tied = nn.Sequential(nn.Linear(6, 9, bias=False), nn.Linear(6, 9))
    tied[1].weight = tied[0].weight
    observe("two layers that share a weight", subject.count_parameters(tied))


def test_count_of_small_models(subject, draw, observe):
    """How many numbers a model's parameters hold."""
    count_parameters = subject.count_parameters
    for changes in ({}, {"n_layers": 5}, {"qkv_bias": True}, {"context_length": 31}, {"vocab_size": 47}):
        for tie in (True, False):
            model = subject.GPTModel(config(subject, **changes), tie_weights=tie)
            observe(f"{changes}, tie_weights={tie}", count_parameters(model))


# The fine print.


def test_config_is_frozen(subject, draw, observe):
    """It is frozen: a finished config cannot be changed."""
    cfg = subject.GPTConfig()
    observe.outcome("changing a field", setattr, cfg, "emb_dim", 1536)
    observe("emb_dim afterwards", cfg.emb_dim)


def test_count_of_gpt2_small(subject, draw, observe):
    """It should work on torch's meta device too, where tensors have a shape but no numbers. It does unless you ask
    a tensor for its values.
    """
    count_parameters = subject.count_parameters
    # Nor are twelve masks of 1024 × 1024 needed to count: the long position table is put in afterwards.
    for tie in (True, False):
        with torch.device("meta"), WithoutNumbers():
            model = subject.GPTModel(subject.GPTConfig(context_length=8, qkv_bias=True), tie_weights=tie)
            model.embedding.pos_emb = type(model.embedding.pos_emb)(1024, 768)
        observe(f"GPT-2 small, tie_weights={tie}", count_parameters(model))


class WithoutNumbers(TorchFunctionMode):
    """On the meta device a few operations make torch import for a second or more. None of them changes a count."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        named, name = named or {}, getattr(function, "__name__", "")
        if name in ("randn", "rand"):
            return torch.empty(*arguments, **named)
        if name in ("randn_like", "rand_like", "normal_", "uniform_", "trunc_normal_", "triu", "tril"):
            return [*arguments, *named.values()][0]  # the tensor itself will do
        if name.rstrip("_") in ("add", "sub", "mul", "div"):
            first, other = arguments[0], arguments[-1]
            if isinstance(other, int | float) or getattr(first, "shape", None) == getattr(other, "shape", ()):
                return first
        return function(*arguments, **named)


def test_model_refuses_too_many_tokens(subject, draw, observe):
    """ValueError: T is larger than context_length. GPTEmbedding raises it; let it pass through."""
    model = subject.GPTModel(config(subject, context_length=5))
    fill(draw, model)
    observe("5 tokens", model(draw.integers(2, 5, high=23)), tolerance=1e-4)
    observe.outcome("8 tokens", model, draw.integers(2, 8, high=23), mentions=("8", "5"))


def test_model_drops_nothing_in_evaluation_mode(subject, draw, observe):
    """Whether anything is dropped is for the modules and their mode to decide. Leave the mode as it is."""
    model = subject.GPTModel(config(subject, drop_rate=0.5)).eval()
    fill(draw, model)
    ids = draw.integers(2, 7, high=23)
    observe("logits", model(ids), tolerance=1e-4)
    observe("once more", model(ids), tolerance=1e-4)


def test_model_drops_in_training_mode(subject, draw, observe):
    """Whether anything is dropped is for the modules and their mode to decide. Leave the mode as it is."""
    model = subject.GPTModel(config(subject, drop_rate=0.5)).train()
    fill(draw, model)
    ids = draw.integers(2, 7, high=23)
    observe("positions whose logits are the same twice", (model(ids) == model(ids)).all(dim=-1))
    parts = (model, model.embedding, *model.trf_blocks, model.final_norm, model.out_head)
    observe("is each part still in training mode?", [part.training for part in parts])
    model.eval()(ids)
    observe("and in evaluation mode?", [part.training for part in parts])


def test_gradients_reach_all_of_the_model(subject, draw, observe):
    """Gradients must reach every float input."""
    for tie in (True, False):
        model = subject.GPTModel(config(subject, qkv_bias=True), tie_weights=tie)
        fill(draw, model)
        (model(draw.integers(2, 7, high=23)) * draw.normal(2, 7, 23)).sum().backward()
        found = {name: value.grad for name, value in named(model).items()}
        observe(f"gradients, tie_weights={tie}", found, tolerance=1e-3)


def test_model_in_double_precision(subject, draw, observe):
    """A result must have its inputs' dtype."""
    model = subject.GPTModel(config(subject)).double()
    fill(draw, model)
    observe("logits", model(draw.integers(2, 7, high=23)), tolerance=1e-6)


def test_init_follows_torchs_generator(subject, draw, observe):
    """The numbers should come from torch's global generator, as `nn.init` takes them."""
    init_weights = subject.init_weights
    model = subject.GPTModel(config(subject))
    seed, drawn = draw.whole(0, 2**31), []
    for _ in range(2):
        torch.default_generator.manual_seed(seed)
        init_weights(model)
        drawn.append({name: value.detach().clone() for name, value in named(model).items()})
    difference = {name: drawn[0][name] - drawn[1][name] for name in drawn[0]}
    observe("difference of two inits from one seed", difference, tolerance=1e-9)


def test_init_works_in_place(subject, draw, observe):
    """It works in place: the parameters stay the same objects, so what was tied stays tied, and each still requires
    a gradient.
    """
    init_weights = subject.init_weights
    model = subject.GPTModel(config(subject, qkv_bias=True))
    held = named(model)
    fill(draw, model)
    observe("what init_weights returns", init_weights(model))
    after = named(model)
    observe("is each still the same tensor?", {name: held[name] is after[name] for name in sorted(held)})
    observe_tie(draw, observe, model, "after init_weights")
    double = subject.GPTModel(config(subject)).double()
    init_weights(double)
    observe("dtypes in a model of float64", {name: value.dtype for name, value in named(double).items()})


def test_frozen_parameters_count_and_buffers_do_not(subject, draw, observe):
    """A frozen parameter (requires_grad=False) counts as well.
    Buffers, such as the mask of an attention, do not.
    """
    frozen = nn.Linear(5, 3)
    frozen.weight.requires_grad_(False)
    observe("a linear layer, its weight frozen", subject.count_parameters(frozen))
    observe("a batch norm, which has buffers", subject.count_parameters(nn.BatchNorm1d(7)))
