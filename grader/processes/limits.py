"""Is a subject process over one of its limits? Looked at every 50 ms, beside what the system itself enforces."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grader.subject.job import Limits
from grader.subject.layers import Layer, is_wanted

if TYPE_CHECKING:
    from grader.processes.tree import ProcessTree


@dataclass(frozen=True)
class Watched:
    """What a process has printed, what it started, the folder that it writes in, and how many jobs it does."""

    printed: int
    tree: ProcessTree
    scratch: Path
    jobs: int


def over_limit(uses: Watched, limits: Limits) -> str | None:
    """What is too much, in words, or None. Time is looked at elsewhere."""
    if uses.printed > limits.output:
        return f"printed more than {limits.output // 2**20} MB"
    if not is_wanted(Layer.POLL):
        return None
    if uses.tree.memory > limits.memory:
        return f"used more than {limits.memory / 2**30:.1f} GB of memory"
    if uses.tree.started > limits.processes:
        return f"started more than {limits.processes} processes"
    if uses.tree.written > uses.jobs * (limits.output + limits.results + limits.file_bytes):
        return "wrote without end"
    return _too_many_files(uses.scratch, limits)


def _too_many_files(scratch: Path, limits: Limits) -> str | None:
    """Not by os.walk, which recurses: folders may be nested thousands deep."""
    size = count = 0
    folders = [os.fspath(scratch)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if count > limits.files:
                    return f"made more than {limits.files:,} files"
                with suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_size
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return f"wrote files of more than {limits.file_bytes // 2**20} MB" if size > limits.file_bytes else None
