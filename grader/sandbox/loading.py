"""Import the code under test from texts in memory, as a package, so that relative imports work.

What is graded is exactly the text that was read: no file is opened again, no stale bytecode is used.
"""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import CodeType, ModuleType

import torch

from grader.protocol.job import Source
from grader.protocol.runs import LACKING

# What a class has from these it was not given by who wrote it.
FOUNDATIONS = frozenset({object, torch.nn.Module, torch.optim.Optimizer, torch.utils.data.Dataset})


class _Package(MetaPathFinder):
    """Finds `package` itself (empty) and `package.name` for every source."""

    def __init__(self, package: str, sources: Mapping[str, Source], asked: Mapping[str, Sequence[str]]) -> None:
        self.package = package
        self.sources = sources
        self.asked = asked

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname == self.package:
            return spec_from_loader(fullname, _Text(Source("<package>", "")), is_package=True)
        package, _, name = fullname.rpartition(".")
        if package == self.package and name in self.sources:
            return spec_from_loader(fullname, _Text(self.sources[name], self.asked.get(name, ())), is_package=False)
        return None


class _Text(InspectLoader):
    def __init__(self, source: Source, asked: Sequence[str] = ()) -> None:
        self.source = source
        self.asked = asked

    def get_source(self, fullname: str) -> str:
        return self.source.text

    def is_package(self, fullname: str) -> bool:
        return self.source.path == "<package>"

    def exec_module(self, module: ModuleType) -> None:
        path, text = self.source.path, self.source.text
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        module.__file__ = path
        exec(_compiled(path, text), module.__dict__)
        for name in self.asked:
            _stand_in(module, name)


def _stand_in(module: ModuleType, name: str) -> None:
    """Put a stub where a module lacks a function or a method. Whatever Python finds there counts as written."""
    owner, _, function = name.rpartition(".")
    if not owner:
        if not hasattr(module, function):
            setattr(module, function, _stub(module, name))
        return
    if not hasattr(module, owner):
        setattr(module, owner, type(owner, (), {"__init__": _stub(module, owner)}))
    kind = getattr(module, owner)
    if isinstance(kind, type) and kind.__module__ == module.__name__ and not _defines(kind, function):
        setattr(kind, function, _stub(module, name))


def _defines(kind: type, method: str) -> bool:
    """Does a class have this method of its own, or something that may make it up?"""
    found = {method, "__getattr__", "__getattribute__"}
    return any(found & vars(base).keys() for base in inspect.getmro(kind) if base not in FOUNDATIONS)


def _stub(module: ModuleType, name: str) -> Callable[..., object]:
    """A function that says that it is missing, as if it had said so in the module's own file."""
    namespace: dict[str, Callable[..., object]] = {}
    text = f"def stub(*_, **__):\n    raise NotImplementedError({LACKING!r})\n"
    exec(compile(text, module.__file__ or "", "exec"), namespace)
    stub = namespace["stub"]
    stub.__code__ = stub.__code__.replace(co_name=name)
    return stub


@lru_cache(maxsize=64)
def _compiled(path: str, text: str) -> CodeType:
    """Compiled once per text: variants of one exercise share the probes and everything that they import."""
    return compile(text, path, "exec", dont_inherit=True)


@contextmanager
def importable(
    package: str, sources: Mapping[str, Source], asked: Mapping[str, Sequence[str]] | None = None
) -> Iterator[None]:
    """Within the block, `import package.name` runs the source of that name. `asked` lists what it has to define."""
    finder = _Package(package, sources, asked or {})
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
            del sys.modules[name]


def run_source(name: str, source: Source) -> ModuleType:
    """A module made by running this source; it is not entered in `sys.modules`."""
    module = ModuleType(name)
    _Text(source).exec_module(module)
    return module
