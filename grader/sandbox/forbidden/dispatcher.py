"""Gates in torch's dispatcher, for what may be forbidden and for nothing else.

Whatever calls an operation, Python, C++ or a gradient, torch asks layer after layer whether it has something to do
with it. One layer is there for torch's own tests. Here it holds a gate for each operation that an exercise may
forbid, and lets all others pass, which are then as fast as without. To see each operation instead, as a
TorchDispatchMode does, takes as long again as the exercise itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from grader.sandbox.forbidden.families import STEMS, is_forbidden, plain_words
from grader.sandbox.forbidden.origins import seen
from grader.sandbox.forbidden.state import is_torch, now, refuse

LAYER = "TESTING_ONLY_GenericMode"
KEY = torch._C._dispatch_key_parse(LAYER)
BELOW = torch._C._dispatch_keyset_full_after(KEY)
# Torch leaves out the layers from this one on while it computes an operation that code has called.
WITHIN = torch._C._dispatch_key_parse("ADInplaceOrView")
# With these classes of `torch._C` an operation is called below the layer of the gates; with these of its functions
# a layer is left out, or what Python calls is not told. Which of them there are depends on torch's version.
CALLS_BELOW: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "_DispatchOperatorHandle": ("redispatch_boxed", lambda handle: handle),
    "_SafeKernelFunction": ("call_boxed", lambda kernel: kernel.op_handle),
}
HANDLER = "__torch_dispatch__"
LOWERS_THE_WATCH = (
    "DisableTorchFunction", "_AutoDispatchBelowADInplaceOrView", "_AutoDispatchBelowAutograd",
    "_ExcludeDispatchKeyGuard", "_ForceDispatchKeyGuard", "_SetExcludeDispatchKeyGuard",
    "_dispatch_library", "_dispatch_tls_set_dispatch_key_excluded", "_dispatch_tls_set_dispatch_key_included",
    "_get_operation_overload",
)  # fmt: skip


@contextmanager
def in_force() -> Iterator[None]:
    """Within the block, operations of this thread meet their gates."""
    with torch._C._IncludeDispatchKeyGuard(KEY):
        yield


@contextmanager
def no_way_round(words: frozenset[str]) -> Iterator[None]:
    """Within the block there is a gate for all that these words forbid, and what goes round gates is seen."""
    _put_up_gates(plain_words(words).difference(STEMS))
    with ExitStack() as stack:
        for kind, (method, operation_of) in CALLS_BELOW.items():
            if hasattr(torch._C, kind):
                stack.enter_context(_replaced(getattr(torch._C, kind), method, _seeing(operation_of)))
        for name in LOWERS_THE_WATCH:
            for module in (torch._C, torch):
                if hasattr(module, name):
                    stack.enter_context(_replaced(module, name, _refusing(name)))
        yield


def _refuse_handlers(base: type) -> None:
    """Refuse new classes under this one that handle operations themselves: below the layer of the gates."""
    before = vars(base).get("__init_subclass__")

    def init_subclass(cls: type, /, **named: Any) -> None:
        if now.out_of_sight and HANDLER in vars(cls) and not is_torch(sys._getframe(1)):
            refuse(HANDLER)
        if before is None:
            super(base, cls).__init_subclass__(**named)  # type: ignore[arg-type]
        else:
            before.__func__(cls, **named)

    setattr(base, "__init_subclass__", classmethod(init_subclass))  # noqa: B010 - mypy knows of no such assignment


@contextmanager
def _replaced(owner: Any, name: str, around: Callable[[Any], Any]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, around(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def _seeing(operation_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A method that looks at the operation first."""

    def around(original: Any) -> Any:
        def call(below: Any, *args: Any, **kwargs: Any) -> Any:
            name = operation_of(below).schema().name.rpartition("::")[2]
            return seen(name, original, (below, *args), kwargs)

        return call

    return around


def _refusing(name: str) -> Callable[[Any], Any]:
    """A function that only torch itself may call while something is forbidden."""

    def around(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if now.out_of_sight and not is_torch(sys._getframe(1)):
                refuse(f"torch._C.{name}")
            return original(*args, **kwargs)

        return call

    return around


@cache
def _put_up_gates(words: frozenset[str]) -> None:
    """Put a gate before each of torch's operations that these words forbid, where there is none yet."""
    if words:
        for name in torch._C._dispatch_get_all_op_names():
            namespace, _, rest = name.partition("::")
            if is_forbidden(rest, words):
                _put_up_gate(namespace, rest)


@cache
def _put_up_gate(namespace: str, name: str) -> None:
    packet, _, overload = name.partition(".")
    operation = getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")
    go_on, call_layer = operation._handle.redispatch_boxed, operation._op_dk

    def gate(layers: Any, *args: Any, **kwargs: Any) -> Any:
        if torch._C._dispatch_tls_is_dispatch_key_excluded(WITHIN):
            return go_on(layers & BELOW, *args, **kwargs)  # a mean takes a sum, and is none
        return seen(name, go_on, (layers & BELOW, *args), kwargs)

    operation._op_dk = lambda *args, **kwargs: seen(name, call_layer, args, kwargs)
    _library(namespace).impl(name, LAYER, gate, True)


@cache
def _library(namespace: str) -> Any:
    """What is registered in it stays for as long as it is kept.

    Not torch.library.Library: no file can make one whose path has signs that the locale does not know.
    """
    return torch._C._dispatch_library("IMPL", namespace, "")


_library("_").fallback(LAYER, torch.library.fallthrough_kernel, False)  # what has no gate passes
for kind in (torch.Tensor, TorchDispatchMode):
    _refuse_handlers(kind)
_put_up_gates(frozenset(STEMS))  # before the process is forked, so that no child has to
