"""Forbidden built-ins: while a probe runs, calling what the learner is to write ends the check.

Each is recognised by what it computes rather than by the name under which it was reached. Operations are seen where
torch dispatches them, in every thread, so an alias, a method, `torch.ops` and a module that wraps them all count:
see forbidden/dispatcher.py. What torch writes in Python, such as an optimizer, has a gate in its code, so every
alias of it, every copy and every subclass count: forbidden/functions.py. Packages are refused at import.

What is forbidden anywhere in an exercise is watched while its file is imported, too: see forbidden/origins.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.abc import MetaPathFinder
from types import ModuleType

from grader.sandbox.forbidden.dispatcher import no_way_round
from grader.sandbox.forbidden.functions import gated
from grader.sandbox.forbidden.operations import see_new_threads, seeing_operations
from grader.sandbox.forbidden.origins import forget
from grader.sandbox.forbidden.state import ForbiddenCall, now, refuse

__all__ = ["ForbiddenCall", "forbidding", "importing", "packages_refused", "watched"]


class _Packages(MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname.partition(".")[0] in self.names:
            refuse(fullname)


@contextmanager
def watched(operations: Iterable[str]) -> Iterator[None]:
    """For the block of a whole job: what is forbidden in any of its checks cannot be taken out of sight or copied.

    Code cannot be compiled; threads that start are watched for as long as they live; torch's own Python functions
    have their gates.
    """
    words = frozenset(operations)
    if not words:
        yield
        return
    see_new_threads()
    try:
        with gated(words), no_way_round(words):
            yield
    finally:
        forget()


@contextmanager
def importing(operations: Iterable[str]) -> Iterator[None]:
    """Within the block, remember what these forbidden operations compute: a check may not use it."""
    now.followed = frozenset(operations)
    with _in_force(bool(now.followed)):
        yield


@contextmanager
def forbidding(operations: Sequence[str]) -> Iterator[None]:
    """Within the block, raise `ForbiddenCall` where one of these is called, and at its end if that was swallowed.

    A word stands for its family: see forbidden/families.py. What torch writes in Python counts too.
    """
    now.forbidden = frozenset(operations)
    with ExitStack() as stack:
        stack.enter_context(_in_force(bool(operations)))
        if operations:
            stack.enter_context(gated(now.forbidden))  # also what was imported since the last check
        yield


@contextmanager
def _in_force(forbids: bool) -> Iterator[None]:
    now.refused = None
    now.out_of_sight = forbids
    try:
        with seeing_operations() if forbids else ExitStack():
            yield
    finally:
        now.forbidden = now.followed = frozenset()
        now.out_of_sight = False
        if now.refused:
            raise now.refused


@contextmanager
def packages_refused(packages: Sequence[str]) -> Iterator[None]:
    """Within the block, raise `ForbiddenCall` where one of these is imported."""
    finder = _Packages(frozenset(packages))
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in finder.names}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.modules.update(hidden)
