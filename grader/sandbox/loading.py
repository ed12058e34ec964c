"""Import the code under test from texts in memory, as a package, so that relative imports work.

What is graded is exactly the text that was read: no file is opened again, no stale bytecode is used.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import CodeType, ModuleType

from grader.protocol.job import Source


class _Package(MetaPathFinder):
    """Finds `package` itself (empty) and `package.name` for every source."""

    def __init__(self, package: str, sources: dict[str, Source]) -> None:
        self.package = package
        self.sources = sources

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname == self.package:
            return spec_from_loader(fullname, _Text(Source("<package>", "")), is_package=True)
        package, _, name = fullname.rpartition(".")
        if package == self.package and name in self.sources:
            return spec_from_loader(fullname, _Text(self.sources[name]), is_package=False)
        return None


class _Text(InspectLoader):
    def __init__(self, source: Source) -> None:
        self.source = source

    def get_source(self, fullname: str) -> str:
        return self.source.text

    def is_package(self, fullname: str) -> bool:
        return self.source.path == "<package>"

    def exec_module(self, module: ModuleType) -> None:
        path, text = self.source.path, self.source.text
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        module.__file__ = path
        exec(_compiled(path, text), module.__dict__)


@lru_cache(maxsize=64)
def _compiled(path: str, text: str) -> CodeType:
    """Compiled once per text: variants of one exercise share the probes and everything that they import."""
    return compile(text, path, "exec", dont_inherit=True)


@contextmanager
def importable(package: str, sources: dict[str, Source]) -> Iterator[None]:
    """Within the block, `import package.name` runs the source of that name."""
    finder = _Package(package, sources)
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
