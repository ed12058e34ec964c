"""Weights: stop and go on, and let GPT-2 move in.

WHY
Training takes days, and machines fail. A *checkpoint* is a file from which training goes on as if it had
never stopped. And somebody else's checkpoint is a gift: OpenAI spent the money to train GPT-2, you copy its
124 million numbers into your own model, and your model writes English.

WHAT A CHECKPOINT HOLDS
The test is hard and simple: 3 steps, save, load, 3 steps must give the same bits as 6 steps. That takes more
than the weights.

    the model       every parameter and buffer, under its name: its *state dict*
    the optimizer   AdamW's running means of the gradient and its square, and how many steps went into them.
                    These too come as a state dict.
    random state    dropout draws numbers. Go on from other ones and other weights are dropped.
    extra           whatever your loop knows: the step, on which the learning rate depends, the curve so far

Why the optimizer? Take momentum, v ← 0.9 · v + gradient, and x ← x − 0.1 · v. Start at x = 1 with v = 0, and
let the gradient always be 1.

    in one go                   v = 1, 1.9, 2.71     x = 0.9, 0.71, 0.439
    v forgotten after step 2    v = 1, 1.9, 1        x = 0.9, 0.71, 0.61

WRITING IT
A crash in the middle of writing leaves half a file. Had it been written over the only good checkpoint, all
would be lost. So write a new file beside it, whole, and then move that one over the old one. Within a folder a
move happens at once or not at all, so at every moment a whole checkpoint stands under the name.

READING IT
torch's files contain a *pickle*, Python's way to store any object. To rebuild an object, a pickle may call any
function: a file from a stranger can empty your disk. `torch.load(…, weights_only=True)` refuses everything
but tensors and plain values, and a checkpoint needs nothing else.

GPT-2'S FILE
Hugging Face's hub has GPT-2 as a state dict, under names of its own. V vocabulary, C context, D width:

    wte.weight, wpe.weight      (V, D) and (C, D)     the tables of tokens and of positions
    h.N.ln_1, h.N.ln_2, ln_f    (D,) and (D,)         norms: .weight is the scale, .bias the shift
    h.N.attn.c_attn             (D, 3D) and (3D,)     .weight and .bias of query, key and value
    h.N.attn.c_proj             (D, D) and (D,)       .weight and .bias of attention's out_proj
    h.N.mlp.c_fc                (D, 4D) and (4D,)     … of the first layer of the feed-forward part
    h.N.mlp.c_proj              (4D, D) and (D,)      … of its second layer
    lm_head.weight              (V, D)                the output head, without a bias

N counts the layers from 0, so there is an h.0.ln_1.weight and an h.0.ln_1.bias, an h.1.ln_1.weight and so on.
Three things about it surprise.

1.  The weights of the four c_… are stored (in, out): GPT-2 computes x @ weight. `nn.Linear` keeps (out, in)
    and computes x @ weightᵀ. So they have to be transposed. attn.c_proj is square: forget it there, and no
    shape complains.
2.  c_attn is query, key and value in one, side by side along the last axis.
3.  The head is the token table once more (it is *tied*), so most files leave lm_head.weight out.

For D = 2, a c_attn.weight and what becomes of it:

    [[1,  2,  3,  4,  5,  6],        W_query [[1, 7],    W_key [[3,  9],    W_value [[5, 11],
     [7,  8,  9, 10, 11, 12]]                 [2, 8]]           [4, 10]]             [6, 12]]

A VIEW IS A WINDOW
`weight.T` is no copy. It shows the same numbers in another order, and what is written into it is written into
the weight: `with torch.no_grad(): linear.weight.T.copy_(values)`. So a table of such windows, one for each
name in the file, is nearly the whole loader.

WHAT IS NOT HERE
No download. `scripts/load_gpt2` reads a folder of the hub. Python's own `random` and NumPy have random states
too; this model uses neither.

Read on: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners". Raschka, "Build a Large
Language Model (From Scratch)", chapter 5. PyTorch, "Serialization semantics".
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
    """Write down everything that training needs to go on as if it had never stopped.

    Arguments
        path       the file, as text or as a `Path`. Folders that are missing on the way to it are made; it may
                   also be a bare name, without any folder. A checkpoint that is there already is replaced.
        model      any module
        optimizer  any optimizer of torch's kind, or None
        extra      what else is to come back: a dict of numbers, text, True, False, None, tensors, and of
                   lists, tuples and dicts of these. Its keys are text or numbers, whatever the caller likes:
                   "model" is a key like any other. None means {}. (A dataclass such as exercise 13's History
                   goes in as `dataclasses.asdict(history)`.)

    Saved are the state dict of the model, that of the optimizer if there is one, `extra`, and torch's random
    state: `torch.get_rng_state()`, and where a GPU is in use (`torch.cuda.is_initialized()`) that of every
    CUDA device. How they are laid out in the file is up to you, as long as your load_checkpoint can read it
    and `torch.load(path, weights_only=True)` accepts it. That one refuses a pickled module. Everything has to
    come back as what it was, to the bit: a float64 as a float64, a tuple as a tuple.

    The file is written whole under another name in the same folder, and then moved over the old one with
    `Path.replace` or `os.replace`. The old one is not touched, removed or renamed before that. Whatever goes
    wrong is passed on as it is: Ctrl-C, for instance, or torch's error when `extra` holds a function, which no
    pickle takes. Then the old checkpoint is as it was. With or without an error, no other file is left in the
    folder.

    Saving changes nothing else: the model keeps its numbers and its mode (training or evaluation), the
    optimizer its state, torch's random generator its place.

    Returns nothing.

    Example: save_checkpoint("runs/story.pt", model, optimizer, {"step": 300})

    Source: Raschka, chapter 5, for the state dicts of model and optimizer.
    """
    raise NotImplementedError


def load_checkpoint(
    path: str | Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Put model, optimizer and random state back to where save_checkpoint found them.

    Arguments
        path       a file that your save_checkpoint wrote, as text or as a `Path`
        model      a module of the same make as the saved one; what it holds is written over, in place
        optimizer  an optimizer of the same make, over the parameters of this model; or None: then what the
                   file says of an optimizer is passed over
    Returns
        `extra` as it was saved; {} if there was none
    Raises
        ValueError         an optimizer is given, but the checkpoint was saved without one. The message names
                           the path. Nothing was changed then.
        RuntimeError       the model does not fit: a name is missing or too many, a shape is another one.
                           `load_state_dict` raises it by itself. The random state was not changed.
        FileNotFoundError  there is no such file. `torch.load` raises it by itself.

    The file is read with weights_only=True: one that would run code is refused, with torch's own error, and
    the code does not run. It is read with map_location="cpu": torch notes in the file on which device each
    tensor was, and without this a checkpoint from a GPU cannot be opened on a machine that has none.

    The random state is put back last, after model and optimizer; the saved states of CUDA devices too, each into
    its own device, as far as this machine has any. The parameters stay the same tensors, filled anew, because
    the optimizer holds on to them; their requires_grad stays. The learning rate and all other settings of the
    optimizer come from the file. The model's mode, training or evaluation, is not in it and stays. The file can
    be loaded as often as you like.

    Example: extra = load_checkpoint("runs/story.pt", model, optimizer), and extra["step"] is 300.

    Source: Raschka, chapter 5. PyTorch, "Serialization semantics", for weights_only.
    """
    raise NotImplementedError


def gpt2_places(model: GPTModel) -> dict[str, list[Tensor]]:
    """Where in the model each tensor of GPT-2's file belongs.

    Arguments
        model  a GPTModel, tied or not, of any size
    Returns
        the names of the lesson's table, those of all layers of this model, in any order. Each comes with the
        list of its places: one, or for c_attn.weight and c_attn.bias three, for query, key and value.
        h.N.attn.c_attn.bias is left out if the model has no qkv_bias.

    A place is a view of a parameter, or the parameter itself; never a copy. It has the orientation of the
    file: (in, out) for the four c_… weights. Side by side along the last axis, the places of a name have the
    shape that the tensor has in the file. Thus `place.copy_(values)` under `torch.no_grad()` fills the model.

    Whose weights go where: wte, wpe are model.embedding's tok_emb, pos_emb; h.N is model.trf_blocks[N]; ln_1
    and ln_2 are its norm1 and norm2; attn is its att, where c_proj is out_proj; mlp is its ff, where c_fc and
    c_proj are layers[0] and layers[2]; ln_f is model.final_norm; lm_head is model.out_head, tied or not.
    A norm's weight is our scale, its bias our shift.

    Example: in a model with D = 12, "h.0.mlp.c_fc.weight" has one place, of shape (12, 48), and
    "h.0.attn.c_attn.weight" has three, of shape (12, 12) each, because the file has (12, 36) there.

    Source: the names and shapes are those of transformers' GPT2LMHeadModel.
    """
    raise NotImplementedError


def load_gpt2(model: GPTModel, state_dict: dict[str, Tensor]) -> None:
    """Copy GPT-2's weights, under Hugging Face's names, into a model of ours.

    Arguments
        model       a GPTModel of the file's sizes, tied or not. (For GPT-2 itself: qkv_bias=True.)
        state_dict  the names of gpt2_places with their tensors, of any float dtype. Each name may begin with
                    "transformer.", as transformers writes it, or not, as in the older files of the hub.
                    Entries h.N.attn.bias and h.N.attn.masked_bias are causal masks, no weights (c_attn.bias
                    is one): ignore them. lm_head.weight may be missing: then the head gets the values of
                    wte.weight.
    Raises
        ValueError  a name is missing, a name has no place in the model, or a tensor has another shape than
                    its place; every shape has to be equal, (1,) does not fit into (D,). The message names all
                    of them at once, and for each wrong shape the numbers of both.
                    Also if the model is tied and the file's lm_head.weight is not equal to its wte.weight: in
                    this model they are one. The message names lm_head.weight.
                    Nothing in the model was changed then.

    Values are copied into the parameters as they are: these stay the same tensors, with their dtype, device
    and requires_grad; a value is converted once, straight from the file's dtype to the parameter's. A tied
    model stays tied, an untied one untied. The model's mode stays. `state_dict` is not changed, neither the
    dict nor its tensors; and what becomes of it later does not change the model.

    Returns nothing.

    Example: load_gpt2(GPTModel(GPTConfig(qkv_bias=True)), safetensors.torch.load_file("model.safetensors"))

    Source: Raschka, chapter 5, does the same from OpenAI's own files.
    """
    raise NotImplementedError
