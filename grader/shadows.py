"""Files that stand in a module's way, named before anything is imported that they could hide.

`python -m` looks for modules in the current folder first: with a `random.py` there, whatever imports `random` gets
that. So this module imports only what is built into the interpreter, and has no `from __future__`.
"""

import os
import sys
from _imp import extension_suffixes, is_frozen

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What this repository has at its top. Where a package has installed a `tests` of its own, nobody here needs that.
OURS = frozenset(("conftest", "exercises", "grader", "scripts", "solutions", "tests"))
SUFFIXES = (*extension_suffixes(), ".py", ".pyc")
CANNOT_START = 3


def refuse() -> None:
    """End the process with one line if a file in the current folder, or in the repository's, hides a module."""
    path = [os.path.realpath(folder) for folder in sys.path]
    try:
        first = {os.path.realpath(os.curdir), os.path.realpath(ROOT)}
    except OSError:  # the current folder is gone
        first = {os.path.realpath(ROOT)}
    found = [name for folder in dict.fromkeys(path) if folder in first for name in hiding(folder, path)]
    if found:
        (what, them) = ("hides a module that has", "it") if len(found) == 1 else ("hide modules that have", "them")
        sys.stderr.write(
            f"GPT Kata cannot start: {', '.join(found)} {what} the same name and "
            f"{'is' if them == 'it' else 'are'} needed. Rename {them} and run the same command again.\n"
        )
        sys.exit(CANNOT_START)


def hiding(folder: str, path: list[str]) -> list[str]:
    """The files and packages in a folder that hide a module of Python's own, torch, or what is installed.

    Arguments
        folder  one of those on `path`
        path    where modules are looked for, in this order
    """
    others = [other for other in path if other != folder and other != ROOT]
    found = []
    for entry in sorted(_entries(folder)):
        name = module_name(folder, entry)
        # Built-in and frozen modules are found before any file.
        if not name or name in sys.builtin_module_names or is_frozen(name) or (folder == ROOT and name in OURS):
            continue
        # torch by its name, so that nobody waits for its installation to be told.
        if name in sys.stdlib_module_names or name == "torch" or any(_holds(other, name) for other in others):
            found.append(os.path.join(folder, entry))
    return found


def module_name(folder: str, entry: str) -> str:
    """The name by which a file or a package can be imported; none for a folder without `__init__`."""
    if _is_package(os.path.join(folder, entry)):
        return entry
    return next((entry[: -len(suffix)] for suffix in SUFFIXES if entry.endswith(suffix)), "")


def _holds(folder: str, name: str) -> bool:
    place = os.path.join(folder, name)
    return _is_package(place) or any(os.path.isfile(place + suffix) for suffix in SUFFIXES)


def _is_package(place: str) -> bool:
    return any(os.path.isfile(os.path.join(place, "__init__" + suffix)) for suffix in SUFFIXES)


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
