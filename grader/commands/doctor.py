"""What is installed here, and what protects this machine while your code is graded."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from grader import torch_build
from grader.commands.opened import any_solution
from grader.course.catalogue import load_readable
from grader.install import requirement_name, requirements
from grader.learner.history import Store
from grader.supervisor.launcher import Launcher
from grader.supervisor.protections import as_line, try_all
from grader.supervisor.zygotes import Zygote


def findings(root: Path, store: Store, launcher: Launcher) -> Iterator[tuple[str, str]]:
    """A line for each thing looked at, and for some what more is to be said of it."""
    yield f"{'python':<16} {platform.python_version()}", sys.executable
    yield f"{'system':<16} {platform.platform()}", ""
    for name in map(requirement_name, requirements(None)):
        yield f"{name:<16} {_version(name)}", torch_build.installed() if name == "torch" else ""
    course = load_readable(root)
    mistakes = sum(len(exercise.mistakes) for exercise in course.exercises)
    yield (
        f"exercises        {len(course.exercises)}, with {mistakes} known mistakes",
        "\n".join(course.problems.values()),
    )
    kept = len(store.attempts())
    yield f"progress         {'not kept' if store.problem else f'{kept} texts kept'}", store.problem
    yield f"processes        {'forked' if isinstance(launcher, Zygote) else 'a new interpreter each'}", ""
    protections = try_all(launcher, root, any_solution(root))
    for protection in protections:
        yield f"{protection.name:<16} {protection.value}", protection.detail
    yield as_line({protection.name: protection.value for protection in protections}), ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
