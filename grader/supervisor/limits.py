"""Is a subject process over one of its limits? Looked at every 50 ms, beside what the system itself enforces."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from grader.protocol.job import Limits
from grader.protocol.layers import Layer, is_wanted

if TYPE_CHECKING:
    from grader.supervisor.tree import ProcessTree


def over_limit(limits: Limits, tree: ProcessTree, printed: int, scratch: Path, jobs: int) -> str | None:
    """What is too much, in words, or None. Time is looked at elsewhere.

    `tree` was looked at just now; `printed` counts bytes; of `jobs` each may write as much as `limits` says.
    """
    if printed > limits.output:
        return f"printed more than {limits.output // 2**20} MB"
    if not is_wanted(Layer.POLL):
        return None
    if tree.memory > limits.memory:
        return f"used more than {limits.memory / 2**30:.1f} GB of memory"
    if tree.started > limits.processes:
        return f"started more than {limits.processes} processes"
    if too_many := _too_many_files(scratch, limits):
        return too_many
    if tree.written > jobs * (limits.output + limits.results + limits.file_bytes):
        return "wrote without end"
    return None


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
