"""Which of torch's operations compute what: a forbidden word stands for its whole family.

Torch has each operation in many forms: fused, in place, backward, quantized, for one kind of processor. Their names
share a stem. So a family is given by stems, and a form that a later torch adds is forbidden by its name too.
"""

from __future__ import annotations

from functools import cache, lru_cache

ATTENTION = ("attention", "attn", "scaled_dot", "multi_head", "multihead", "transformer")
# `_normalize` is a helper of torch._refs. With a window as wide as the vector, local_response_norm is an RMSNorm.
NORM = ("layer_norm", "layernorm", "batch_norm", "group_norm", "instance_norm", "rms_norm", "response_norm",
        "_normalize", "transformer")  # fmt: skip
SOFTMAX = ("softmax", "softmin", "logsumexp", "logcumsumexp", "cross_entropy", *ATTENTION)
# What may stand anywhere in a name. Other words count only as whole ones: `sum` in `sparse_sum`, not in `einsum`.
STEMS: dict[str, tuple[str, ...]] = {
    "softmax": SOFTMAX,
    "softmin": SOFTMAX,
    "logsumexp": ("logsumexp", "logcumsumexp"),
    "cross_entropy": ("cross_entropy", "crossentropy"),
    "nll_loss": ("nll_loss", "nllloss"),
    "linear": ("linear", "transformer"),
    "embedding": ("embedding",),
    "scaled_dot_product_attention": ATTENTION,
    "multi_head_attention": ATTENTION,
    "transformer_encoder_layer": ATTENTION,
    "layer_norm": NORM,
    "batch_norm": NORM,
    "group_norm": NORM,
    "instance_norm": NORM,
    "rms_norm": ("rms_norm", "rmsnorm", "response_norm"),
    # What oneDNN fuses to a matrix product it is told by a text, in operations with `pointwise` in their names.
    "gelu": ("gelu", "addmm_activation", "pointwise", "transformer"),
    "adam": ("adam",),
    "adamw": ("adam",),
    "clip_grad_norm": ("clip_grad", "total_norm"),
    "get_total_norm": ("clip_grad", "total_norm"),
    # What torch writes in Python only: no operation is like it.
    "clip_grad_value": (),
    "clip_grads_with_norm": (),
    "lr_scheduler": (),
}


@lru_cache(4096)
def is_forbidden(name: str, words: frozenset[str]) -> bool:
    """Does an operation of this name belong to the family of one of these words?"""
    plain = name.partition(".")[0].lower()
    between = f"_{plain}_"
    whole, stems = _forms(words)
    return any(word in between for word in whole) or any(stem in plain for stem in stems)


def plain_words(words: frozenset[str]) -> frozenset[str]:
    """As they are written in `STEMS`: `clip_grad_norm` for `clip_grad_norm_`."""
    return frozenset(word.strip("_").lower() for word in words)


@cache
def _forms(words: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """These words, to be looked for between underscores, and their stems."""
    plain = plain_words(words)
    stems = dict.fromkeys(stem for word in plain for stem in STEMS.get(word, ()))
    return tuple(f"_{word}_" for word in plain), tuple(stems)


def plain_name(name: str) -> str:
    """`softmax` for that of F.softmax, of torch.special.softmax, and of torch.ops.aten._softmax.out.

    What works in place, `gelu_`, is `gelu` too.
    """
    return name.partition(".")[0].strip("_").removeprefix("special_")
