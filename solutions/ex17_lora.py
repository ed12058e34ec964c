"""LoRA: fine-tune a large model by training small matrices beside it.

You need: `nn.Linear`, whose weight is (out, in), parameters and buffers of a module (exercise 5), a tied head
(exercise 9), state dicts (exercise 14).

WHY
Fine-tuning GPT-2 changes 124 million numbers, and for each of them training keeps a gradient and AdamW's two
means: 1.5 GB beside the model. Every task then needs a copy of the whole model, 498 MB. But what fine-tuning
*adds* to a weight matrix is simple: a product of two thin matrices comes close to it. LoRA, for low-rank
adaptation, leaves the model as it is and trains only the thin matrices. At rank 8 these are 1.3 million numbers:
16 MB for gradients and means, and a file of 5 MB for each task.

HOW
Beside a linear layer, which is *frozen* (it gets no gradient and never changes), the same input takes a second
way through a bottleneck of `rank` numbers. The results are added.

           ┌─────────────── linear, frozen ────────────────┐
    x ─────┤                                               + ───── y
           └─── @ A ──────── @ B ─────── · alpha/rank ─────┘
             (in, rank)   (rank, out)

    y = linear(x) + alpha/rank · x @ A @ B

A begins random and B begins as zeros. So A @ B is zero, and at the start the model computes what it did before,
to the bit. Both may not be zero: see the first question.

The factor alpha/rank sets how strongly the second way counts. The product A @ B is a sum of `rank` terms, one for
each column of A and row of B. Divided by rank, it keeps about its size when you try another rank, and the
learning rate that worked before is still a good one.

A SMALL EXAMPLE
in = 4, out = 3, rank = 1, alpha = 2. So alpha/rank is 2.

    A    1         B    3  0  1         A @ B     3  0  1
         0                                        0  0  0
         2                                        6  0  2
        -1                                       -3  0 -1

Every row of A @ B is a multiple of (3, 0, 1): that is what rank 1 means. It takes 7 numbers instead of 12; for
768 to 768 at rank 8, 12,288 instead of 589,824.

    x = (1, 1, 1, 1):  x @ A = 2,  times B: (6, 0, 2),  times 2: (12, 0, 4)

MERGING
x @ A @ B is x @ (A @ B), so the second way can be added into the first. A linear layer computes x @ weightᵀ, so
what is added to its weight is the transpose:

    weight += alpha/rank · (A @ B)ᵀ             in the example (3, 4):   6  0  12  -6
                                                                         0  0   0   0
                                                                         2  0   4  -2

After that the model is an ordinary one again, as fast as before.

A TIED HEAD STAYS AS IT IS
GPT-2's head and its token table are one tensor. Merging an update into the head would change the table too, and
with it what the first block sees: the merged model would not be the one that you trained. The same happens to a
layer that is used in two places. So whatever shares its weight is left alone.

    GPT-2 small           what trains                  how many numbers
    as it is              everything                        124,439,808
    with LoRA, rank 8     A and B of 72 linear layers         1,327,104
    with LoRA, rank 16    A and B of 72 linear layers         2,654,208

Make the optimizer *after* this, of the parameters that train. Something else should train too, for example a new
head in full? Then set its requires_grad to True again before that.

IN THE BOOK
Raschka, "Build a Large Language Model (From Scratch)", appendix E. There the factor is alpha alone, without the
division by rank, which Hu et al. have; its alpha of 16 at rank 16 is our alpha of 256. The model is frozen by
hand before it is wrapped; here `replace_linear_with_lora` does both. The book's head is untied and gets wrapped.
Saving, loading and merging are not in the book.

TWO QUESTIONS (the answers are at the end of this file)
1. B begins as zeros. What would happen if A did as well?
2. A file of `lora_state_dict` shows the rank. Which number must you write down beside it, and what goes wrong if
   you guess it?

BEFORE YOU LOOK
When all checks pass, `python3 -m grader show ex17` lets your LoRA learn three pictures of 7 by 7 numbers: stripes,
a cross, and a diagonal. Predict first: which of them can rank 1 learn, which rank 2, and which neither?

Read on: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.
"""

import math
from collections import Counter

import torch
from torch import Tensor, nn


class LoRALayer(nn.Module):
    """The second way: in_dim numbers through a bottleneck of `rank` numbers to out_dim numbers.

    Arguments
        in_dim   width of the input
        out_dim  width of the result
        rank     width of the bottleneck, at least 1; it may be larger than the other two
        alpha    how strongly the update counts; a whole number or a fraction

    Attributes
        A  `nn.Parameter`, float (in_dim, rank)
        B  `nn.Parameter`, float (rank, out_dim)

    These two should be all the parameters.

    Source: Hu et al. 2021, section 4.1.
    """

    def __init__(self, in_dim: int, out_dim: int, rank: int, alpha: float) -> None:
        """Make A and B.

        A is filled by `nn.init.kaiming_uniform_` with a=√5. For this shape that means uniform between −1/√rank
        and 1/√rank. B is zero.

        Fine print
            ValueError: rank is below 1. The message should name the rank.
        """
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank is {rank}; it must be at least 1")
        self.scaling = alpha / rank
        self.A = nn.Parameter(torch.empty(in_dim, rank))
        self.B = nn.Parameter(torch.zeros(rank, out_dim))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """The update: alpha/rank · x @ A @ B.

        Arguments
            x  float (…, in_dim)
        Returns
            float (…, out_dim)

        Example: the one of the lesson gives (12, 0, 4).
        """
        return self.scaling * (x @ self.A @ self.B)


class LinearWithLoRA(nn.Module):
    """A linear layer with LoRA beside it.

    Arguments
        linear  the `nn.Linear` to adapt, with or without a bias
        rank    that of the LoRALayer
        alpha   that of the LoRALayer

    Attributes
        linear  the very layer that was given, not a copy
        lora    a LoRALayer of the same widths

    Source: Raschka, appendix E.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        """Keep the linear layer and make its LoRALayer.

        A and B should be on the device of the linear layer's weight, and of its dtype.

        Fine print
            Nothing is frozen here: replace_linear_with_lora does that.
        """
        super().__init__()
        self.linear = linear
        self.lora = LoRALayer(linear.in_features, linear.out_features, rank, alpha)
        self.lora.to(linear.weight.device, linear.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """What the linear layer says, plus the update.

        Arguments
            x  float (…, in)
        Returns
            float (…, out); equal to `linear(x)`, to the bit, as long as B is zero
        """
        return self.linear(x) + self.lora(x)


def replace_linear_with_lora(model: nn.Module, rank: int, alpha: float) -> int:
    """Freeze a model and put LoRA beside its linear layers, in place.

    Arguments
        model  any module, with linear layers at any depth
        rank   that of each LoRALayer
        alpha  that of each LoRALayer
    Returns
        how many layers this call has wrapped

    Each `nn.Linear` should give its place to a LinearWithLoRA that holds it. One whose weight is also elsewhere in
    the model, such as a tied head, is left alone. Afterwards every A and B trains, and nothing else.

    Example, without spending memory on GPT-2:

        with torch.device("meta"):
            model = GPTModel(GPTConfig(qkv_bias=True))
        replace_linear_with_lora(model, rank=8, alpha=16)   returns 72
        count_trainable(model)                              returns (1327104, 125766912)

    Fine print
        Never twice: a linear layer that a LinearWithLoRA already holds is not wrapped again, and that one's A and
        B stay as they are. They train after a second call, too.
        Elsewhere means another name for the same Parameter: of another module, or of the same layer used twice.
        Equal numbers in two Parameters share nothing.
        ValueError: the model is itself an `nn.Linear`. Nothing is around it in which it could be replaced. The
        message should name LinearWithLoRA, which does the job.
        ValueError: rank is below 1. The message should name the rank. The model is as it was.

    Source: Raschka, appendix E.
    """
    if isinstance(model, nn.Linear):
        raise ValueError("this is a bare Linear, with nothing around it: use LinearWithLoRA(linear, rank, alpha)")
    places = Counter(parameter for _, parameter in model.named_parameters(remove_duplicate=False))
    wrappers = [
        (parent, name, LinearWithLoRA(child, rank, alpha))
        for parent in model.modules()
        if not isinstance(parent, LinearWithLoRA)
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) and places[child.weight] == 1
    ]
    model.requires_grad_(False)
    for parent, name, wrapper in wrappers:
        setattr(parent, name, wrapper)
    for module in model.modules():
        if isinstance(module, LoRALayer):
            module.requires_grad_(True)
    return len(wrappers)


def lora_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """What fine-tuning has learned: every A and B under its name.

    Arguments
        model  a module after replace_linear_with_lora
    Returns
        the A and B of every LoRALayer, and nothing else, under the names that `model.state_dict()` has for them

    The tensors should be copies without a gradient: later training does not change them.

    Example: after replace_linear_with_lora(nn.Sequential(nn.Linear(4, 3)), rank=2, alpha=4) the names are
    "0.lora.A", of shape (4, 2), and "0.lora.B", of shape (2, 3).

    Fine print
        What decides is that a LoRALayer holds it, not how it is called or whether it trains.
        Without a LoRALayer the dict is empty.
    """
    return {
        name: parameter.detach().clone()
        for place, module in model.named_modules()
        if isinstance(module, LoRALayer)
        for name, parameter in module.named_parameters(prefix=place)
    }


def load_lora(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Put what lora_state_dict saved into a model that was wrapped in the same way.

    Arguments
        model  a module after replace_linear_with_lora
        state  what lora_state_dict returned

    The numbers are copied into the A and B of the model. These should stay the same Parameters, with their dtype,
    device and requires_grad: an optimizer holds on to them.

    Example: load_lora(model, lora_state_dict(model)) changes nothing.

    Fine print
        ValueError: a name is missing, a name has no A or B in the model, or a tensor has another shape than its
        place. The message should list all of these names at once, and both shapes where they differ. The model
        is as it was.
        What becomes of `state` later does not change the model.
    """
    expected = lora_state_dict(model)
    problems = [f"{name} is missing" for name in expected if name not in state]
    problems += [f"{name} has no place in this model" for name in state if name not in expected]
    for name in expected.keys() & state:
        if state[name].shape != expected[name].shape:
            problems.append(f"{name} has shape {tuple(state[name].shape)}, the model {tuple(expected[name].shape)}")
    if problems:
        raise ValueError("; ".join(problems))
    model.load_state_dict(state, strict=False)


def merge_lora(model: nn.Module) -> int:
    """Add every update into its linear layer, and put that layer back where it was.

    Arguments
        model  a module after replace_linear_with_lora, trained or not
    Returns
        how many layers were merged

    Afterwards no LoRALayer is left, and the model computes what it did before, but for rounding. Each
    LinearWithLoRA should give its place back to its own linear layer, which keeps its bias. Its weight stays the
    same Parameter, with other numbers.

    Example: the one of the lesson adds [[6, 0, 12, −6], [0, 0, 0, 0], [2, 0, 4, −2]] to the weight.

    Fine print
        No requires_grad is changed: what was frozen stays frozen. Unfreeze it to train the merged model.
        ValueError: the model is itself a LinearWithLoRA. Nothing is around it in which it could be replaced. The
        model is as it was.

    Source: Hu et al. 2021, section 4.1, "No Additional Inference Latency".
    """
    if isinstance(model, LinearWithLoRA):
        raise ValueError("this is a bare LinearWithLoRA, with nothing around it that could hold its linear layer")
    merged = 0
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, LinearWithLoRA):
                with torch.no_grad():
                    child.linear.weight += child.lora.scaling * (child.lora.A @ child.lora.B).T
                setattr(parent, name, child.linear)
                merged += 1
    return merged


def count_trainable(model: nn.Module) -> tuple[int, int]:
    """How many numbers train, and how many there are.

    Arguments
        model  any module
    Returns
        two ints: the numbers in parameters that require a gradient, and the numbers in all parameters

    Example: (14, 29) for nn.Sequential(nn.Linear(4, 3)) after replace_linear_with_lora at rank 2. A and B hold
    4·2 + 2·3 numbers, the frozen layer 15.

    Fine print
        A parameter that is in two places counts once. Buffers do not count.
    """
    parameters = list(model.parameters())
    trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    return trainable, sum(parameter.numel() for parameter in parameters)


# ANSWERS
# 1. Nothing would ever train. The gradient of A has the factor B in it, and that of B the factor x @ A. With both
#    at zero both gradients are zero, and stay so. With B alone at zero, B moves in the first step and A from the
#    second on.
# 2. alpha. With twice the alpha, every update counts twice as much as in training, and no shape complains.
