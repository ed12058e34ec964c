"""Probes of ex14: weights and checkpoints. Each runs on the reference, on your code and on every known mistake.

Checkpoints are tried on a small network of torch's own parts, with a batch norm because that has buffers. Seeds
are set on `torch.default_generator`, since torch.manual_seed would also look for every GPU.

The core first, then the fine print, as in the docstrings.
"""

import copy
import inspect
import os
from collections import OrderedDict
from contextlib import ExitStack, chdir
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn
from torch.nn import functional as F

V, C, D, LAYERS = 11, 7, 6, 2


def network(draw, *, inputs=5, hidden=8, outputs=3, bias=True):
    """Random in every number, its buffers included."""
    layers = (nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.Tanh(), nn.Dropout(0.5))
    model = nn.Sequential(*layers, nn.Linear(hidden, outputs, bias=bias))
    with torch.no_grad():
        for value in (*model.parameters(), model[1].running_mean):
            value.copy_(draw.normal(*value.shape))
        model[1].running_var.copy_(draw.uniform(hidden, low=0.5, high=2.0))
    return model


class AdamW(torch.optim.AdamW):
    """torch's own, without the wrapper around its step that first imports torch's compiler: that takes a second."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class SGD(torch.optim.SGD):
    """torch's own, without that wrapper."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


def adamw(model, lr=0.05):
    return AdamW(model.parameters(), lr=lr, weight_decay=0.1)


def two_groups(model, lr=0.05):
    """AdamW, with settings of their own for the first parameter."""
    first, *others = model.parameters()
    return AdamW([{"params": [first], "lr": 2 * lr, "weight_decay": 0.3}, {"params": others}], lr=lr)


def momentum(model, lr=0.02):
    return SGD(model.parameters(), lr=lr, momentum=0.9)


def batches_of(draw, count):
    return [(draw.normal(4, 5), draw.normal(4, 3)) for _ in range(count)]


def train(model, optimizer, batches):
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()


def seed(number):
    torch.default_generator.manual_seed(number)


def held(model):
    """A copy of everything that a model holds."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def stays(model, before):
    """Does the model hold what it held? How much of it changes depends on the order in which somebody copies."""
    return all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def less(one, other):
    return {name: one[name] - other[name] for name in one}


def files_under(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def ending(call, *arguments, **named):
    """How a call ended, where any kind of error is right."""
    try:
        call(*arguments, **named)
    except NotImplementedError:
        raise
    except Exception:
        return "an error"
    return "no error"


def resumed(save, load, optimizer_of, draw, observe, path):
    """Train in one go, with a save in the middle, and from what was saved."""
    batches, started, number = batches_of(draw, 6), network(draw), draw.whole(1, 10**6)
    seed(number)
    straight = copy.deepcopy(started)
    train(straight, optimizer_of(straight), batches)

    seed(number)
    saved = copy.deepcopy(started)
    optimizer = optimizer_of(saved)
    train(saved, optimizer, batches[:3])
    save(path, saved, optimizer, {"step": 3})
    train(saved, optimizer, batches[3:])

    seed(number + 1)
    other = network(draw)
    optimizer = optimizer_of(other, lr=0.3)
    train(other, optimizer, batches[4:])
    torch.rand(7)
    observe("extra", load(path, other, optimizer))
    train(other, optimizer, batches[3:])

    observe("after 6 steps", held(straight), tolerance=1e-4)
    observe("3 steps, save, 3 steps: how far from 6 steps", less(held(saved), held(straight)), tolerance=0)
    observe("3 steps, save, load, 3 steps: how far from 6 steps", less(held(other), held(straight)), tolerance=0)


def test_three_steps_and_three_more_are_six_with_adamw(subject, draw, observe, tmp_path):
    """The test is simple: 3 steps, save, load, 3 steps must give the same bits as 6 steps."""
    resumed(subject.save_checkpoint, subject.load_checkpoint, adamw, draw, observe, tmp_path / "run.pt")


def test_three_steps_and_three_more_are_six_with_momentum(subject, draw, observe, tmp_path):
    """The test is simple: 3 steps, save, load, 3 steps must give the same bits as 6 steps."""
    resumed(subject.save_checkpoint, subject.load_checkpoint, momentum, draw, observe, tmp_path / "run.pt")


def test_torch_itself_accepts_the_file(subject, draw, observe, tmp_path):
    """Its layout is up to you, as long as your load_checkpoint reads it and `torch.load(path, weights_only=True)`
    accepts it.
    """
    save = subject.save_checkpoint
    model = network(draw)
    for optimizer in (None, adamw(model), momentum(model)):
        if optimizer:
            train(model, optimizer, batches_of(draw, 1))
        save(tmp_path / "run.pt", model, optimizer, {"curve": [(1, 0.5), (2, 0.25)], "note": None})

        def read():  # how the file is laid out is free; that torch reads it is not
            torch.load(tmp_path / "run.pt", weights_only=True)

        observe.outcome("torch.load(…, weights_only=True)", read)


def test_extra_comes_back(subject, draw, observe, tmp_path):
    """`extra` as it was saved; {} if there was none"""
    load, save = subject.load_checkpoint, subject.save_checkpoint
    model = network(draw)
    extras = [
        {"step": 300, "loss": 1.25, "best": None, "done": False, "text": draw.text(12), "": 0},
        {"curve": [(1, 0.5), (2, 0.25)], "deep": {"er": {"still": [[], {}, {"a": [None, True]}]}}},
        {"means": draw.normal(3, 4), "ids": draw.integers(5, high=9), "half": draw.normal(2, 3).half()},
        {},
    ]
    for number, extra in enumerate(extras):
        save(tmp_path / f"{number}.pt", model, extra=extra)
        observe(f"extra {number} after saving", extra)
    for number in range(len(extras)):
        observe.outcome(f"extra {number}", load, tmp_path / f"{number}.pt", model)
    save(tmp_path / "none.pt", model)
    observe.outcome("extra of a checkpoint without", load, tmp_path / "none.pt", model)
    save(tmp_path / "none.pt", model, adamw(model), None)
    observe.outcome("extra of a checkpoint with None", load, str(tmp_path / "none.pt"), model)


def test_a_model_without_an_optimizer(subject, draw, observe, tmp_path):
    """an optimizer of the same make, over this model's parameters. None: that of the file is passed over."""
    load, save = subject.load_checkpoint, subject.save_checkpoint
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        model, other = network(draw).to(dtype), network(draw).to(dtype)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.div_(3)  # now no float32 holds the values of the float64 model
        save(tmp_path / "bare.pt", model)
        load(tmp_path / "bare.pt", other)
        observe(f"model, {dtype}", held(other), tolerance=1e-12)
    optimizer = adamw(model.float())
    train(model, optimizer, batches_of(draw, 2))
    save(tmp_path / "both.pt", model, optimizer)
    other = network(draw)
    observe.outcome("loading the model only", load, tmp_path / "both.pt", other)
    observe("model", held(other))


def test_all_of_the_optimizer_comes_back(subject, draw, observe, tmp_path):
    """Put model, optimizer and random state back to where save_checkpoint found them."""
    load, save = subject.load_checkpoint, subject.save_checkpoint
    model = network(draw)
    optimizer = two_groups(model)
    optimizer.param_groups[0]["betas"] = (0.7, 0.8)
    train(model, optimizer, batches_of(draw, 2))
    optimizer.param_groups[1]["lr"] = 0.0125
    save(tmp_path / "run.pt", model, optimizer)
    for lr in (0.05, 2.0):
        other = network(draw)
        fresh = two_groups(other, lr)
        load(tmp_path / "run.pt", other, fresh)
        observe("optimizer", fresh.state_dict())
        before = held(other)
        train(other, fresh, batches_of(draw, 1))
        observe("does a step of the optimizer move the model?", less(held(other), before), tolerance=1e-4)


def gpt(subject, tied=True, layers=LAYERS, width=D, heads=3, **more):
    """A GPTModel with dropout, in training mode, as it is when it has just been made."""
    numbers = import_module(".ex09_gpt", subject.__package__)
    sizes = {"vocab_size": V, "context_length": C, "emb_dim": width, "n_heads": heads, "n_layers": layers}
    return numbers.GPTModel(numbers.GPTConfig(**sizes, **{"drop_rate": 0.1, "qkv_bias": True, **more}), tied)


def gpt2_file(draw, prefix="transformer.", layers=LAYERS, head=False):
    """Random weights under the names of the hub."""
    weights = {"wte.weight": draw.normal(V, D), "wpe.weight": draw.normal(C, D)}
    for layer in range(layers):
        for norm in ("ln_1", "ln_2"):
            weights[f"h.{layer}.{norm}.weight"] = draw.normal(D, scale=0.3, shift=1.0)
            weights[f"h.{layer}.{norm}.bias"] = draw.normal(D, scale=0.3)
        for name, rows, columns in (
            ("attn.c_attn", D, 3 * D),
            ("attn.c_proj", D, D),
            ("mlp.c_fc", D, 4 * D),
            ("mlp.c_proj", 4 * D, D),
        ):
            weights[f"h.{layer}.{name}.weight"] = draw.normal(rows, columns, scale=0.5)
            weights[f"h.{layer}.{name}.bias"] = draw.normal(columns, scale=0.3)
    weights["ln_f.weight"] = draw.normal(D, scale=0.3, shift=1.0)
    weights["ln_f.bias"] = draw.normal(D, scale=0.3)
    weights = {prefix + name: value for name, value in weights.items()}
    if head:
        weights["lm_head.weight"] = draw.normal(V, D)
    return weights


def logits(model, ids):
    model.eval()
    with torch.no_grad():
        return model(ids)


def test_lesson_example(subject, draw, observe):
    """Cut, then transpose."""
    load = subject.load_gpt2
    model = gpt(subject, layers=1, width=2, heads=1)
    draw.fill(model)
    places = subject.gpt2_places(model)
    weights = {name: torch.cat([part.detach() for part in parts], dim=-1) for name, parts in places.items()}
    weights["h.0.attn.c_attn.weight"] = torch.tensor([[1.0, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]])
    load(model, weights)
    attention = model.trf_blocks[0].att
    observe("W_query, W_key, W_value", [m.weight for m in (attention.W_query, attention.W_key, attention.W_value)])


def test_names_and_shapes_of_the_places(subject, draw, observe):
    """for each name in the file, the list of its places. c_attn has three, for query, key and value; the others
    have one.
    """
    places = subject.gpt2_places
    for layers in (2, 1, 3):
        found = places(gpt(subject, False, layers))
        observe(f"shapes, {layers} layers", {name: [part.shape for part in parts] for name, parts in found.items()})


def test_places_show_what_the_model_holds(subject, draw, observe):
    """A place is a parameter or a view of one, never a copy, in the orientation of the file."""
    places = subject.gpt2_places
    for tied in (True, False):
        model = gpt(subject, tied)
        draw.fill(model)
        observe(f"places, tied={tied}", places(model))
        observe("model", held(model))


def test_what_is_written_into_the_places_is_in_the_model(subject, draw, observe):
    """So `place.copy_(values)` under `torch.no_grad()` fills the model."""
    places = subject.gpt2_places
    for tied in (True, False):
        model = gpt(subject, tied)
        draw.fill(model)
        with torch.no_grad():
            for _, parts in sorted(places(model).items()):
                for part in parts:
                    part.copy_(draw.normal(*part.shape))
        observe(f"model, tied={tied}", held(model))


def test_weights_arrive(subject, draw, observe):
    """Copy GPT-2's weights, under Hugging Face's names, into a model of ours."""
    load = subject.load_gpt2
    for tied in (True, False):
        for layers in (1, LAYERS):
            model = gpt(subject, tied, layers)
            draw.fill(model)
            observe("what loading returns", load(model, gpt2_file(draw, layers=layers)))
            observe(f"model of {layers} layers, tied={tied}", held(model))


def test_names_without_the_prefix_and_with_masks(subject, draw, observe):
    """Each name may begin with "transformer." or not. h.N.attn.bias and h.N.attn.masked_bias are causal masks, no
    weights, and should be ignored.
    """
    load = subject.load_gpt2
    without = gpt2_file(draw, prefix="")
    for layer in range(LAYERS):
        without[f"h.{layer}.attn.bias"] = torch.ones(1, 1, C, C).tril()
        without[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    without["lm_head.weight"] = draw.normal(V, D)
    names = draw.shuffled(list(without))
    for what, prefixed in (("no name", []), ("every name", names), ("every other name", names[1::2])):
        model = gpt(subject, tied=False)
        draw.fill(model)
        load(model, OrderedDict(("transformer." * (name in prefixed) + name, without[name]) for name in names))
        observe(f"model, {what} with a prefix", held(model))


def test_logits(subject, draw, observe):
    """Copy GPT-2's weights, under Hugging Face's names, into a model of ours."""
    load = subject.load_gpt2
    ids = draw.integers(2, 5, high=V)
    for tied, head in ((True, False), (False, False), (False, True)):
        model = gpt(subject, tied)
        draw.fill(model)
        load(model, gpt2_file(draw, head=head))
        observe(f"logits, tied={tied}, head in the file: {head}", logits(model, ids), tolerance=1e-4)


# The fine print.


def test_saving_changes_nothing(subject, draw, observe, tmp_path):
    """A call must not change its inputs."""
    save = subject.save_checkpoint
    model, extra = network(draw), {"step": 3, "losses": [1.5, 0.5]}
    optimizer = adamw(model)
    train(model, optimizer, batches_of(draw, 2))
    model[1].eval()
    for mode in (True, False):
        model[3].train(mode)
        seed(draw.whole(1, 10**6))
        observe("what saving returns", save(tmp_path / "run.pt", model, optimizer, extra))
        observe("random state", torch.get_rng_state())
        observe("modes", [module.training for module in model.modules()])
    observe("model", held(model))
    observe("gradients", [parameter.grad for parameter in model.parameters()])
    observe("requires_grad", [parameter.requires_grad for parameter in model.parameters()])
    observe("optimizer", optimizer.state_dict())
    observe("extra", extra)


def test_folders_are_made(subject, draw, observe, tmp_path):
    """Folders that are missing on the way to the file should be made."""
    save = subject.save_checkpoint
    model = network(draw)
    for path in (tmp_path / "runs" / "one" / "a.pt", tmp_path / "new" / "c"):
        observe.outcome("saving to a Path", save, path, model)
        observe.outcome("saving to a text", save, str(path) + ".text", model)
        observe.outcome("saving once more", save, str(path), model)
    observe("files", files_under(tmp_path))


def test_a_bare_name_goes_into_the_current_folder(subject, draw, observe, tmp_path):
    """the file, as text or as a `Path`"""
    save, load = subject.save_checkpoint, subject.load_checkpoint
    with chdir(tmp_path):
        for path in ("a.pt", Path("b.pt"), "c"):
            observe.outcome("saving", save, path, network(draw), extra={"step": 7})
            observe.outcome("loading", load, path, network(draw))
    observe("files", files_under(tmp_path))


class CannotBeSaved(Exception):
    """What one thing in `extra` raises when it is to be written down."""


class Raising:
    """Something that cannot be written down."""

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        raise self.error


def test_a_save_that_fails_passes_the_error_on(subject, draw, observe, tmp_path):
    """If saving fails, the error should pass as it is, even Ctrl-C. With or without an error, no other file should
    be left in the folder.
    """
    save, load = subject.save_checkpoint, subject.load_checkpoint
    path, model, other = tmp_path / "run.pt", network(draw), network(draw)
    save(path, model, extra={"step": 1})
    observe.outcome("saving what cannot be saved", save, path, other, extra={"it": Raising(CannotBeSaved("this"))})
    try:
        save(path, other, extra={"it": Raising(KeyboardInterrupt())})
    except KeyboardInterrupt:
        observe("Ctrl-C in the middle of a save", "comes out")
    (tmp_path / "folder").mkdir()
    observe("a save to where a folder is", ending(save, tmp_path / "folder", other))
    observe("files", files_under(tmp_path))
    observe.outcome("extra of the old checkpoint", load, path, other)
    observe("model of the old checkpoint", held(other))


def test_a_save_that_fails_leaves_the_old_checkpoint(subject, draw, observe, tmp_path):
    """Until then the old one must not be touched."""
    save, load = subject.save_checkpoint, subject.load_checkpoint
    path, model, other = tmp_path / "run.pt", network(draw), network(draw)
    observe("a save that fails with nothing there", ending(save, path, model, extra={"it": lambda: 0}))
    observe("files", files_under(tmp_path))
    save(path, model, extra={"step": 1})
    for broken in ({"it": lambda: 0}, {"weights": draw.normal(40, 50), "it": lambda: 0}):
        observe("a save that fails", ending(save, path, other, extra=broken))
        observe("files", files_under(tmp_path))
    observe.outcome("extra of the old checkpoint", load, path, other)
    observe("model of the old checkpoint", held(other))


def test_the_old_checkpoint_is_replaced_as_a_whole(subject, draw, observe, tmp_path):
    """The file should be written whole, under another name in the same folder, and then moved over the old one with
    `Path.replace` or `os.replace`.
    """
    save, load = subject.save_checkpoint, subject.load_checkpoint
    path, link, model = tmp_path / "runs" / "run.pt", tmp_path / "link.pt", network(draw)
    save(path, model, extra={"step": 1, "text": "old" * 500})
    os.link(path, link)  # a second name for the same bytes: they change if they are written over
    save(path, model, extra={"step": 2})
    observe.outcome("what was written over", load, link, model)
    observe.outcome("the new checkpoint", load, path, model)
    observe("files", files_under(tmp_path))


def test_nothing_happens_to_the_old_checkpoint_before(subject, draw, observe, tmp_path):
    """Until then the old one must not be touched."""
    save = subject.save_checkpoint
    path, model = tmp_path / "runs" / "run.pt", network(draw)
    save(path, model)
    gone, moved = [], []

    def spy(name, notes):
        real = getattr(os, name)

        def call(source, *arguments, **named):
            notes.append([Path(name).resolve() for name in (source, *arguments[:1])])
            return real(source, *arguments, **named)

        return patch.object(os, name, call)

    with spy("remove", gone), spy("unlink", gone), spy("rename", moved), spy("replace", moved):
        save(path, model)
        save(str(path), model)
    here = path.resolve()
    observe("the checkpoint is removed first", [file.name for file, *_ in gone if file == here])
    observe("the checkpoint is moved away first", [file.name for file, *_ in moved if file == here])
    strangers = [file for file, *onto in moved if onto == [here] and not file.is_relative_to(here.parent)]
    observe("moved in from another folder", len(strangers))


def test_extra_has_keys_of_its_own(subject, draw, observe, tmp_path):
    """Any text or number may be a key of `extra`, also "model"."""
    load, save = subject.load_checkpoint, subject.save_checkpoint
    extra = {
        "model": 1,
        "optimizer": 2,
        "rng": 3,
        "cuda_rng": 4,
        "extra": 5,
        "state_dict": 6,
        "version": 7,
        7: "seven",
    }
    save(tmp_path / "run.pt", network(draw), extra=extra)
    observe("extra after saving", extra)
    observe.outcome("extra", load, tmp_path / "run.pt", network(draw))


def test_an_optimizer_that_was_not_saved(subject, draw, observe, tmp_path):
    """ValueError: an optimizer is given, but none was saved. The message should name the path, and nothing should
    be changed then.
    """
    load, save = subject.load_checkpoint, subject.save_checkpoint
    save(tmp_path / "folder" / "bare.pt", network(draw), extra={"step": 3})
    for optimizer_of in (adamw, momentum):
        model = network(draw)
        optimizer = optimizer_of(model, lr=0.125)
        train(model, optimizer, batches_of(draw, 1))
        seed(draw.whole(1, 10**6))
        path = tmp_path / "folder" / "bare.pt"
        observe.outcome("loading", load, path, model, optimizer, mentions=("folder", "bare.pt"))
        observe("model", held(model))
        observe("random state", torch.get_rng_state())
        observe("optimizer", optimizer.state_dict())


def test_a_model_that_does_not_fit(subject, draw, observe, tmp_path):
    """If the model does not fit, the RuntimeError of `load_state_dict` should pass, with the random state as it
    was.
    """
    load, save = subject.load_checkpoint, subject.save_checkpoint
    save(tmp_path / "small.pt", network(draw))
    save(tmp_path / "bias.pt", network(draw, bias=False))
    save(tmp_path / "longer.pt", nn.Sequential(*network(draw), nn.Linear(3, 2)))
    for name, model in (
        ("small.pt", network(draw, inputs=6)),
        ("small.pt", network(draw, outputs=4)),
        ("small.pt", network(draw, bias=False)),
        ("bias.pt", network(draw)),
        ("longer.pt", network(draw)),
    ):
        seed(draw.whole(1, 10**6))
        observe.outcome(f"loading {name}", load, tmp_path / name, model)
        observe("random state", torch.get_rng_state())


def test_there_is_no_such_file(subject, draw, observe, tmp_path):
    """If there is no file, the FileNotFoundError of `torch.load` should pass."""
    load = subject.load_checkpoint
    model = network(draw)
    observe.outcome("loading", load, tmp_path / "none.pt", model)
    observe.outcome("loading, path as text", load, str(tmp_path / "folder" / "none.pt"), model, adamw(model))
    observe("files", files_under(tmp_path))


def test_the_random_state_comes_back_last(subject, draw, observe, tmp_path):
    """The random state should be put back last; those of CUDA devices each into its own device, as far as there are
    any.
    """
    load, save = subject.load_checkpoint, subject.save_checkpoint
    model, other = network(draw), network(draw)
    seed(draw.whole(1, 10**6))
    torch.rand(5)
    torch.randn(3)
    save(tmp_path / "run.pt", model, adamw(model))
    # A module and an optimizer that draw numbers while they are filled.
    other.register_load_state_dict_post_hook(lambda module, keys: torch.rand(3).sum() and None)
    optimizer = adamw(other)
    optimizer.register_load_state_dict_post_hook(lambda optimizer: torch.rand(3).sum() and None)
    for _ in range(2):
        seed(draw.whole(1, 10**6))
        torch.randn(draw.whole(1, 9))
        load(tmp_path / "run.pt", other, optimizer)
        observe("random state", torch.get_rng_state())
        observe("drawn afterwards", [torch.rand(3), torch.randn(3), torch.randperm(5)])


def graphics_cards(states, in_use=True, asked=None):
    """torch.cuda as it would be with a graphics card for each of these random states; `asked` notes who was asked.

    As in torch, a state that is set while no card is in use waits and disturbs nobody.
    """
    asked = [] if asked is None else asked

    def place(device):
        return device if isinstance(device, int) else torch.device(device).index or 0

    def get(device="cuda"):
        asked.append(place(device))
        return states[place(device)].clone()

    def put(state, device="cuda"):
        if in_use:
            states[place(device)] = state.clone()

    def put_all(new):
        for device, state in enumerate(new):
            put(state, device)

    cards = {
        "is_available": lambda: bool(states),
        "is_initialized": lambda: in_use,
        "device_count": lambda: len(states),
        "current_device": lambda: 0,
    }
    random = {
        "get_rng_state": get,
        "get_rng_state_all": lambda: [get(device) for device in range(len(states))],
        "set_rng_state": put,
        "set_rng_state_all": put_all,
    }
    patches = ExitStack()
    patches.enter_context(patch.multiple(torch.cuda, **cards, **random))
    patches.enter_context(patch.multiple(torch.cuda.random, **random))
    return patches


def test_the_random_states_of_graphics_cards_come_back(subject, draw, observe, tmp_path):
    """The random state is `torch.get_rng_state()`, and where a GPU is in use (`torch.cuda.is_initialized()`), that
    of every CUDA device as well.
    """
    load, save = subject.load_checkpoint, subject.save_checkpoint
    model, asked = network(draw), []
    states = [draw.integers(16, high=256).byte() for _ in range(3)]
    with graphics_cards([*states]):
        save(tmp_path / "run.pt", model, extra={"step": 1})
    others = [draw.integers(16, high=256).byte() for _ in range(3)]
    with graphics_cards(others):
        observe("extra", load(tmp_path / "run.pt", model))
    observe("random states of three cards", others)
    with graphics_cards([], in_use=False):
        observe.outcome("extra, on a machine without a card", load, tmp_path / "run.pt", model)
    with graphics_cards([*states], in_use=False, asked=asked):
        save(tmp_path / "idle.pt", model)
    observe("cards that were woken by saving", asked)


def test_the_model_stays_the_same_object(subject, draw, observe, tmp_path):
    """The parameters must stay the same tensors, because the optimizer holds on to them, and the model's mode
    should stay.
    """
    load, save = subject.load_checkpoint, subject.save_checkpoint
    model, other = network(draw), network(draw)
    model.train()
    model[4].weight.requires_grad_(False)
    save(tmp_path / "run.pt", model)
    other[0].weight.requires_grad_(False)
    F.mse_loss(other(draw.normal(4, 5)), draw.normal(4, 3)).backward()
    handed_out = [*other.parameters(), *other.buffers()]
    for mode in (False, True):
        other.train(mode)
        other[1].train(not mode)
        load(tmp_path / "run.pt", other)
        observe("modes", [module.training for module in other.modules()])
    observe("what the model held before is what it holds now", handed_out)
    observe("model", held(other))
    observe("requires_grad", [parameter.requires_grad for parameter in other.parameters()])


def test_code_in_the_file_does_not_run(subject, draw, observe, tmp_path):
    """`torch.load(path, weights_only=True)` refuses everything but tensors and plain values, and a checkpoint needs
    nothing else.
    """
    load = subject.load_checkpoint

    class MakesAFolder:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made by the file"),)

    torch.save({"model": MakesAFolder(), "extra": {}}, tmp_path / "from a stranger.pt")
    observe("loading a file that would run code", ending(load, tmp_path / "from a stranger.pt", network(draw)))
    observe("what is there then", sorted(path.name for path in tmp_path.iterdir()))


def test_a_checkpoint_from_another_device(subject, draw, observe, tmp_path):
    """Read with weights_only=True, and with map_location="cpu": otherwise a checkpoint from a GPU does not open on
    a machine without one.
    """
    load, save = subject.load_checkpoint, subject.save_checkpoint
    model, other = network(draw), network(draw)
    optimizer = adamw(model)
    train(model, optimizer, batches_of(draw, 1))
    # Every tensor is written down as one of a device that this machine has not.
    elsewhere = (0, lambda storage: "elsewhere", lambda storage, location: None)
    registry = torch.serialization._package_registry
    with patch.object(torch.serialization, "_package_registry", [elsewhere, *registry]):
        save(tmp_path / "run.pt", model, optimizer, {"mean": draw.normal(3)})
    fresh = adamw(other)
    observe.outcome("extra", load, tmp_path / "run.pt", other, fresh)
    observe("model", held(other))
    observe("optimizer", fresh.state_dict())


def numbers_in(*shapes):
    """What a message has to contain that names these shapes, however it writes them."""
    return tuple(sorted({str(size) for shape in shapes for size in shape}))


def test_names_and_shapes_without_biases_and_tied(subject, draw, observe):
    """All layers of this model are listed. h.N.attn.c_attn.bias is left out if the model has no qkv_bias.
    lm_head.weight is listed in a tied model too.
    """
    places = subject.gpt2_places
    for tied, layers, bias in ((True, 2, True), (False, 1, False), (True, 3, False)):
        found = places(gpt(subject, tied, layers, qkv_bias=bias))
        observe(f"shapes, tied={tied}", {name: [part.shape for part in parts] for name, parts in found.items()})


def test_heads_stay_tied_or_apart(subject, draw, observe):
    """ValueError: the model is tied, but the file's lm_head.weight is not equal to its wte.weight. The message
    should name lm_head.weight.
    """
    load = subject.load_gpt2
    for tied in (True, False):
        for head in ("missing", "the table", "another one", "nearly the table"):
            weights = gpt2_file(draw, layers=1)
            if head != "missing":
                weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
            if head == "another one":
                weights["lm_head.weight"][-1, -1] += 0.25
            if head == "nearly the table":
                weights["lm_head.weight"][-1, -1] *= 1 + 1e-6
            model = gpt(subject, tied, layers=1)
            draw.fill(model)
            with torch.no_grad():  # an untied model may hold equal numbers
                model.out_head.weight.copy_(model.embedding.tok_emb.weight)
            observe.outcome(
                f"loading, tied={tied}, head {head}", load, model, weights, mentions=("lm_head.weight",)
            )
            observe("model", held(model))
            with torch.no_grad():
                model.embedding.tok_emb.weight += 1.0
            observe("head after a change of the table", model.out_head.weight)
            observe("parameters", sorted(name for name, _ in model.named_parameters()))


def test_missing_names(subject, draw, observe):
    """ValueError: a name is missing, a name has no place in the model, or a tensor has another shape than its
    places side by side. The message should name all of them at once, and for each wrong shape the numbers of both.
    """
    load = subject.load_gpt2
    without = (
        ("h.0.attn.c_attn.bias",),
        ("wte.weight",),
        ("wpe.weight", "h.1.ln_2.bias", "ln_f.weight"),
        ("h.0.attn.c_attn.weight", "h.1.mlp.c_proj.weight", "h.1.attn.c_proj.bias"),
    )
    model = gpt(subject)
    draw.fill(model)
    for names in without:
        weights = gpt2_file(draw)
        for name in names:
            del weights["transformer." + name]
        before = held(model)
        observe.outcome(f"without {' and '.join(names)}", load, model, weights, mentions=names)
        observe("does the model stay as it is", stays(model, before))
    all_names = tuple(gpt2_file(draw, prefix=""))
    before = held(model)
    observe.outcome("an empty file", load, model, {}, mentions=all_names)
    observe("does the model stay as it is", stays(model, before))


def test_names_too_many(subject, draw, observe):
    """ValueError: a name is missing, a name has no place in the model, or a tensor has another shape than its
    places side by side. The message should name all of them at once, and for each wrong shape the numbers of both.
    """
    load = subject.load_gpt2
    for more in (
        ("score.weight",),
        ("h.0.ln_3.bias", "transformer.h.1.attn.q_norm.weight"),
        ("module.wte.weight",),
    ):
        model = gpt(subject)
        draw.fill(model)
        weights = gpt2_file(draw) | {name: draw.normal(D) for name in more}
        names = tuple(name.removeprefix("transformer.") for name in more)
        before = held(model)
        observe.outcome(f"with {' and '.join(names)}", load, model, weights, mentions=names)
        observe("does the model stay as it is", stays(model, before))
    model = gpt(subject, layers=1)
    draw.fill(model)
    names = tuple(name for name in gpt2_file(draw, prefix="") if name.startswith("h.1."))
    before = held(model)
    observe.outcome("a file of 2 layers for a model of 1", load, model, gpt2_file(draw), mentions=names)
    observe("does the model stay as it is", stays(model, before))


def test_biases_that_only_one_side_has(subject, draw, observe):
    """ValueError: a name is missing, a name has no place in the model, or a tensor has another shape than its
    places side by side. The message should name all of them at once, and for each wrong shape the numbers of both.
    """
    load = subject.load_gpt2
    names = tuple(f"h.{layer}.attn.c_attn.bias" for layer in range(LAYERS))
    weights = gpt2_file(draw)
    for bias in (False, True):
        for has in (False, True):
            model = gpt(subject, qkv_bias=bias)
            draw.fill(model)
            file = {name: value for name, value in weights.items() if has or "c_attn.bias" not in name}
            observe.outcome(f"qkv_bias={bias}, file has them: {has}", load, model, file, mentions=names)
            observe("model", held(model))


def test_shapes_that_do_not_fit(subject, draw, observe):
    """ValueError: a name is missing, a name has no place in the model, or a tensor has another shape than its
    places side by side. The message should name all of them at once, and for each wrong shape the numbers of both.
    """
    load = subject.load_gpt2
    model = gpt(subject, tied=draw.choice((True, False)))
    draw.fill(model)
    weights, stayed = gpt2_file(draw), []
    for name, shape, right in (
        ("h.1.mlp.c_fc.weight", (24, 6), (6, 24)),
        ("h.0.attn.c_attn.weight", (18, 6), (6, 18)),
        ("h.1.attn.c_attn.weight", (6, 17), (6, 18)),
        ("h.1.attn.c_attn.weight", (6, 19), (6, 18)),
        ("h.0.attn.c_attn.weight", (6, 6), (6, 18)),
        ("h.0.attn.c_attn.weight", (1, 18), (6, 18)),
        ("wpe.weight", (8, 6), (7, 6)),
        ("wpe.weight", (5, 6), (7, 6)),
        ("wte.weight", (12, 6), (11, 6)),
        ("h.0.ln_2.bias", (1,), (6,)),
        ("h.0.ln_2.weight", (1, 6), (6,)),
        ("h.1.attn.c_attn.bias", (3,), (18,)),
        ("h.1.attn.c_attn.bias", (1, 18), (18,)),
        ("ln_f.weight", (7,), (6,)),
    ):
        file = {**weights, "transformer." + name: draw.normal(*shape)}
        mentions = (name, *numbers_in(shape, right))
        before = held(model)
        observe.outcome(f"{name} of shape {shape}", load, model, file, mentions=mentions)
        stayed.append(stays(model, before))
    weights["lm_head.weight"] = draw.normal(V, D + 1)
    for tied in (True, False):
        model = gpt(subject, tied)
        draw.fill(model)
        mentions = ("lm_head.weight", *numbers_in((11, 7), (11, 6)))
        before = held(model)
        observe.outcome("lm_head.weight of shape (11, 7)", load, model, weights, mentions=mentions)
        stayed.append(stays(model, before))
    observe("does the model stay as it is, each time", all(stayed))


def test_everything_that_is_wrong_is_named_at_once(subject, draw, observe):
    """The message should name all of them at once, and for each wrong shape the numbers of both."""
    load = subject.load_gpt2
    for tied in (True, False):
        weights = gpt2_file(draw)
        for name in ("h.0.attn.c_proj.weight", "ln_f.bias"):
            del weights["transformer." + name]
        weights["transformer.h.2.ln_1.bias"] = draw.normal(D)
        weights["score.weight"] = draw.normal(2, D)
        weights["transformer.h.1.mlp.c_proj.weight"] = draw.normal(D, 4 * D)
        weights["transformer.wpe.weight"] = draw.normal(C + 2, D)
        model = gpt(subject, tied)
        draw.fill(model)
        missing, extra = ("h.0.attn.c_proj.weight", "ln_f.bias"), ("h.2.ln_1.bias", "score.weight")
        misshapen = ("h.1.mlp.c_proj.weight", "wpe.weight", *numbers_in((D, 4 * D), (4 * D, D), (9, D), (7, D)))
        before = held(model)
        observe.outcome("loading", load, model, weights, mentions=(*missing, *extra, *misshapen))
        observe("does the model stay as it is", stays(model, before))


def test_dtypes_of_file_and_model(subject, draw, observe):
    """A value should be converted once, straight from the file's dtype."""
    load = subject.load_gpt2
    for of_file, of_model in (
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float64, torch.float32),
        (torch.float32, torch.bfloat16),
        (torch.float32, torch.float64),
    ):
        model = gpt(subject, layers=1).to(of_model)
        draw.fill(model)
        load(model, {name: value.to(of_file) for name, value in gpt2_file(draw, layers=1).items()})
        observe(f"{of_file} into {of_model}", held(model))
    model = gpt(subject, layers=1).double()
    draw.fill(model)
    load(model, {name: value.double() / 3 for name, value in gpt2_file(draw, layers=1).items()})
    observe("float64 into float64", held(model), tolerance=1e-14)


def test_parameters_stay_the_same_objects(subject, draw, observe):
    """Only numbers should change: the parameters stay the same tensors with the same dtype, the mode stays, and a
    tied model stays tied.
    """
    load = subject.load_gpt2
    for tied in (True, False):
        model = gpt(subject, tied)
        draw.fill(model)
        model.trf_blocks[0].requires_grad_(False)
        model.embedding.pos_emb.requires_grad_(False)
        model.trf_blocks[1].eval()
        (model(draw.integers(2, 5, high=V)) ** 2).sum().backward()
        handed_out = list(model.parameters())
        gradients = [parameter.grad is None for parameter in handed_out]
        seed(draw.whole(1, 10**6))
        load(model, gpt2_file(draw))
        observe("what the model held before is what it holds now", handed_out)
        observe("is there a gradient?", [p.grad is not None for p in model.parameters()])
        observe("was there none?", gradients)
        observe("requires_grad", [parameter.requires_grad for parameter in model.parameters()])
        observe("is a leaf", [parameter.is_leaf for parameter in model.parameters()])
        observe("modes", [module.training for module in model.modules()])
        observe("random state", torch.get_rng_state())


def test_the_file_stays_as_it_is(subject, draw, observe):
    """A call must not change its inputs."""
    load = subject.load_gpt2
    for tied, prefix in ((True, "transformer."), (False, "")):
        weights = gpt2_file(draw, prefix)
        weights[prefix + "h.0.attn.bias"] = draw.normal(1, 1, C, C)
        copies = {name: value.clone().requires_grad_(value.dim() == 2) for name, value in weights.items()}
        model = gpt(subject, tied)
        draw.fill(model)
        load(model, weights)
        observe("names in the file", list(weights))
        bare = gpt2_file(draw, prefix)
        load(model, bare)
        observe("names in a file without masks", list(bare))
        load(model, copies)
        observe("requires_grad of the file's tensors", [value.requires_grad for value in copies.values()])
        with torch.no_grad():
            for value in copies.values():
                value.zero_()
        observe(f"model after the file's tensors changed, tied={tied}", held(model))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
        observe("the file after the model changed", copies)
