"""Weights: stop and go on, and let GPT-2 move in.

You need: `pathlib.Path`, and the names of the parts in your GPTModel (exercises 5 to 9).

WHY
Training takes days, and machines fail. A *checkpoint* is a file from which training goes on as if it had never
stopped. And somebody else's checkpoint is a gift: OpenAI spent the money to train GPT-2, you copy its 124 million
numbers into your own model, and your model writes English.

HOW: WHAT A CHECKPOINT HOLDS
The test is simple: 3 steps, save, load, 3 steps must give the same bits as 6 steps.

    the model       every parameter and buffer, under its name: its *state dict*
    the optimizer   AdamW's running means of the gradient and its square, also as a state dict
    random state    dropout draws from it: from another state, it drops other numbers
    extra           whatever your loop knows: the step, on which the learning rate depends, the curve so far

WRITING IT
A crash in the middle of writing leaves half a file. So write a new file beside the old one, whole, and then move
it over the old one. Within a folder, a move happens at once or not at all, so there is a whole checkpoint under
the name at every moment.

READING IT
torch's files contain a *pickle*, Python's way to store any object. To rebuild one, a pickle may call any function:
a file from a stranger can empty your disk. `torch.load(path, weights_only=True)` refuses everything but tensors
and plain values, and a checkpoint needs nothing else.

GPT-2'S FILE
Hugging Face's hub has GPT-2 as a state dict, under names of its own. N counts the layers from 0.

    name                 its shape            where it goes in your GPTModel
    wte.weight           (V, D)               embedding.tok_emb.weight
    wpe.weight           (C, D)               embedding.pos_emb.weight
    h.N.ln_1             (D,) and (D,)        trf_blocks[N].norm1, its scale and shift
    h.N.attn.c_attn      (D, 3D) and (3D,)    trf_blocks[N].att: W_query, W_key, W_value
    h.N.attn.c_proj      (D, D) and (D,)      trf_blocks[N].att.out_proj
    h.N.ln_2             (D,) and (D,)        trf_blocks[N].norm2
    h.N.mlp.c_fc         (D, 4D) and (4D,)    trf_blocks[N].ff.layers[0]
    h.N.mlp.c_proj       (4D, D) and (D,)     trf_blocks[N].ff.layers[2]
    ln_f                 (D,) and (D,)        final_norm
    lm_head.weight       (V, D)               out_head.weight

A row with two shapes is two names, such as h.0.ln_1.weight and h.0.ln_1.bias. Three things surprise.

1.  The weights of the four c_ rows are stored (in, out), and `nn.Linear` keeps (out, in). So they have to be
    transposed. If you forget it for attn.c_proj, which is square, no shape complains.
2.  c_attn is query, key and value in one, side by side along the last axis.
3.  The head is the token table once more (it is *tied*), so most files leave lm_head.weight out.

Cut, then transpose. For D = 2, a c_attn.weight and what becomes of it:

       query     key      value          W_query     W_key      W_value
    [[ 1   2 |  3   4 |  5   6 ]         [[1  7]    [[3   9]    [[5  11]
     [ 7   8 |  9  10 | 11  12 ]]         [2  8]]    [4  10]]    [6  12]]

A VIEW IS A WINDOW
`weight.T` is no copy. It shows the same numbers in another order, and what is written into it is written into
the weight: `with torch.no_grad(): linear.weight.T.copy_(values)`. So a table of such windows, one for each
name in the file, is nearly the whole loader.

A SMALL EXAMPLE
Why the optimizer? Take momentum, v ← 0.9 · v + gradient, and x ← x − 0.1 · v. Start at x = 1 with v = 0, and
let the gradient always be 1.

    in one go                   v = 1, 1.9, 2.71     x = 0.9, 0.71, 0.439
    v forgotten after step 2    v = 1, 1.9, 1        x = 0.9, 0.71, 0.61

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", sections 5.4 and 5.5. The book does not save the random
state, so training goes on, but not to the same bits. It loads OpenAI's own files and copies as it goes. Here names
and shapes are checked first, because a model that is half GPT-2 and half random looks like a loaded one.

TWO QUESTIONS (the answers are at the end of this file)
1. Why should the random state be put back last, after model and optimizer?
2. GPT-2 small has V = 50257 and D = 768. How many numbers does it save by being tied?

BEFORE YOU LOOK
`python3 -m grader show ex14` stops a training, saves it, and goes on in a new model. Predict: what happens to the
loss if only the weights are saved? With a folder that holds GPT-2, or one of your runs, your GPT writes on instead:
`show ex14 --folder FOLDER "The ferry"`.

Shapes: V vocabulary, C context, D width.
Read on: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners". PyTorch, "Serialization
semantics".
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .ex09_gpt import GPTModel


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write down what training needs to go on as if it had never stopped.

    Arguments
        path       the file, as text or as a `Path`
        model      any module
        optimizer  any optimizer, or None
        extra      what else should come back: numbers, text, tensors, and lists, tuples and dicts of these. None
                   means {}.

    The file should hold the four things of the lesson. Its layout is up to you, as long as your load_checkpoint
    reads it and `torch.load(path, weights_only=True)` accepts it.

    Example: save_checkpoint("runs/story.pt", model, optimizer, {"step": 300})

    Fine print
        Folders that are missing on the way to the file should be made. The file should be written whole, under
        another name in the same folder, and then moved over the old one with `Path.replace` or `os.replace`. Until
        then the old one must not be touched. If saving fails, the error should pass as it is, even Ctrl-C. With or
        without an error, no other file should be left in the folder.
        The random state is `torch.get_rng_state()`, and where a GPU is in use (`torch.cuda.is_initialized()`), that
        of every CUDA device as well. Any text or number may be a key of `extra`, also "model".

    Source: Raschka, section 5.4, for the state dicts of model and optimizer.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "model": model.state_dict(),
        "optimizer": None if optimizer is None else optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "extra": {} if extra is None else extra,
    }
    beside = path.with_name(path.name + ".part")
    try:
        torch.save(state, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load_checkpoint(
    path: str | Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Put model, optimizer and random state back to where save_checkpoint found them.

    Arguments
        path       a file that your save_checkpoint wrote
        model      a module of the same make, which is filled in place
        optimizer  an optimizer of the same make, over this model's parameters. None: that of the file is
                   passed over.
    Returns
        `extra` as it was saved; {} if there was none

    Example: extra = load_checkpoint("runs/story.pt", model, optimizer), and extra["step"] is 300.

    Fine print
        Read with weights_only=True, and with map_location="cpu": otherwise a checkpoint from a GPU does not open on
        a machine without one. The random state should be put back last; those of CUDA devices each into its own
        device, as far as there are any. The parameters must stay the same tensors, because the optimizer holds
        on to them, and the model's mode should stay.
        ValueError: an optimizer is given, but none was saved. The message should name the path, and nothing should
        be changed then.
        If the model does not fit, the RuntimeError of `load_state_dict` should pass, with the random state as it
        was. If there is no file, the FileNotFoundError of `torch.load` should pass.

    Source: Raschka, section 5.4. PyTorch, "Serialization semantics", for weights_only.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    if optimizer is not None and state["optimizer"] is None:
        raise ValueError(f"{path} was saved without an optimizer")
    model.load_state_dict(state["model"])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    for device, rng in enumerate(state["cuda_rng"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(rng, device)
    return state["extra"]


def gpt2_places(model: GPTModel) -> dict[str, list[Tensor]]:
    """Where in the model each tensor of GPT-2's file belongs: the lesson's table, in code.

    Arguments
        model  a GPTModel, tied or not
    Returns
        dict: for each name in the file, the list of its places. c_attn has three, for query, key and value; the
        others have one.

    A place is a parameter or a view of one, never a copy, in the orientation of the file. So
    `place.copy_(values)` under `torch.no_grad()` fills the model.

    Example: with D = 12, "h.0.mlp.c_fc.weight" has one place, of shape (12, 48). "h.0.attn.c_attn.weight" has
    three, of shape (12, 12) each, because the file has (12, 36) there.

    Fine print
        All layers of this model are listed. h.N.attn.c_attn.bias is left out if the model has no qkv_bias.
        lm_head.weight is listed in a tied model too.

    Source: the names and shapes are those of transformers' GPT2LMHeadModel.
    """
    places = {
        "wte.weight": [model.embedding.tok_emb.weight],
        "wpe.weight": [model.embedding.pos_emb.weight],
        "ln_f.weight": [model.final_norm.scale],
        "ln_f.bias": [model.final_norm.shift],
        "lm_head.weight": [model.out_head.weight],
    }
    for number, block in enumerate(model.trf_blocks):
        for name, norm in (("ln_1", block.norm1), ("ln_2", block.norm2)):
            places[f"h.{number}.{name}.weight"] = [norm.scale]
            places[f"h.{number}.{name}.bias"] = [norm.shift]
        attention, feed_forward = block.att, block.ff.layers
        layers = {
            "attn.c_attn": [attention.W_query, attention.W_key, attention.W_value],
            "attn.c_proj": [attention.out_proj],
            "mlp.c_fc": [feed_forward[0]],
            "mlp.c_proj": [feed_forward[2]],
        }
        for name, linears in layers.items():
            places[f"h.{number}.{name}.weight"] = [linear.weight.T for linear in linears]
            if linears[0].bias is not None:
                places[f"h.{number}.{name}.bias"] = [linear.bias for linear in linears]
    return places


def load_gpt2(model: GPTModel, state_dict: dict[str, Tensor]) -> None:
    """Copy GPT-2's weights, under Hugging Face's names, into a model of ours.

    Arguments
        model       a GPTModel of the file's sizes, tied or not
        state_dict  tensors under the names of gpt2_places

    Each name may begin with "transformer." or not. h.N.attn.bias and h.N.attn.masked_bias are causal masks, no
    weights, and should be ignored. If lm_head.weight is missing, the head should get the values of wte.weight.

    Example: load_gpt2(GPTModel(GPTConfig(qkv_bias=True)), safetensors.torch.load_file("model.safetensors"))

    Fine print
        ValueError: a name is missing, a name has no place in the model, or a tensor has another shape than its
        places side by side. The message should name all of them at once, and for each wrong shape the numbers of
        both.
        ValueError: the model is tied, but the file's lm_head.weight is not equal to its wte.weight. The message
        should name lm_head.weight.
        Nothing in the model should be changed then.
        Only numbers should change: the parameters stay the same tensors with the same dtype, the mode stays, and a
        tied model stays tied. A value should be converted once, straight from the file's dtype.

    Source: Raschka, section 5.5, does the same from OpenAI's own files.
    """
    weights = {
        name.removeprefix("transformer."): tensor
        for name, tensor in state_dict.items()
        if not name.endswith((".attn.bias", ".attn.masked_bias"))
    }
    if "wte.weight" in weights:
        weights.setdefault("lm_head.weight", weights["wte.weight"])
    places = gpt2_places(model)
    problems = _misfits(places, weights)
    tied = model.out_head.weight is model.embedding.tok_emb.weight
    if not problems and tied and (weights["lm_head.weight"] != weights["wte.weight"]).any():
        problems = ["lm_head.weight differs from wte.weight, but in this model they are one"]
    if problems:
        raise ValueError("; ".join(problems))
    with torch.no_grad():
        for name, parts in places.items():
            widths = [part.shape[-1] for part in parts]
            for part, values in zip(parts, weights[name].split(widths, dim=-1), strict=True):
                part.copy_(values)


def _misfits(places: dict[str, list[Tensor]], weights: dict[str, Tensor]) -> list[str]:
    """What keeps these weights from being copied into these places, one line for each name."""
    problems = [f"{name} is missing" for name in places if name not in weights]
    problems += [f"{name} has no place in this model" for name in weights if name not in places]
    for name, parts in places.items():
        shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
        if name in weights and weights[name].shape != shape:
            problems.append(f"{name} has shape {tuple(weights[name].shape)}, the model {shape}")
    return problems


# ANSWERS
# 1. Anything that comes after it could draw a random number and move it on. And if filling the model fails, the
#    caller's random state is still as it was.
# 2. V · D = 38,597,376: a head of its own would be a second table of that size.
