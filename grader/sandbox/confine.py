"""Confine this process before code under test runs in it: every layer of protection that the system offers.

A layer that cannot be put in place is left out, and nothing is said here: what is in force is found out by
trying forbidden acts (grader/supervisor/protections.py), never by asking whether a layer was put in place.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from grader.protocol.job import Limits
from grader.protocol.layers import Layer, is_wanted
from grader.sandbox import landlock, linux, seccomp

ROOT = Path(__file__).resolve().parents[2]
# What Python and torch look at while they work. Without /proc/cpuinfo torch would choose other kernels, and bits
# would change.
SYSTEM_READABLE = (
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system", "/lib", "/lib64",
    "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime",
    "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
)  # fmt: skip
# Processor time beyond its limit, after which a process is ended that ignored the signal.
LAST_SECONDS = 2


def confine(scratch: Path, limits: Limits, seconds: float, readable: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Limit this process, for good, to reading Python's libraries and what is `readable` beside them, to writing in
    `scratch`, and to `limits`.

    `seconds` is what it may take in all, on every processor. Returns where it may read from now on; nothing where
    that could not be limited.
    """
    if is_wanted(Layer.LIMITS):
        set_limits(limits, seconds)
    if sys.platform != "linux":
        return ()
    linux.gain_no_privileges()
    of_this_process = Path("/proc", str(os.getpid()))
    by_path, allowed = True, (*readable_folders(), of_this_process, *readable, scratch)
    confined: tuple[Path, ...] = ()
    if is_wanted(Layer.LANDLOCK):
        with contextlib.suppress(OSError):
            version = landlock.restrict(allowed, [scratch, Path("/dev/null")])
            by_path, confined = version >= landlock.KNOWS_TRUNCATE, allowed
    if is_wanted(Layer.SECCOMP):
        with contextlib.suppress(OSError):
            seccomp.restrict(by_path=by_path)
    linux.drop_privileges()
    return confined


@cache
def readable_folders() -> tuple[Path, ...]:
    """Where modules are imported from, and what the system shows; never a folder in which this repository lies.

    One inside the repository, `.venv`, is as good as one elsewhere.
    """
    installed = [path for name, path in sysconfig.get_paths().items() if name.endswith(("lib", "stdlib"))]
    paths = {Path(path).resolve() for path in (*installed, *sys.path, *SYSTEM_READABLE)}
    return tuple(path for path in paths if not ROOT.is_relative_to(path))


def set_limits(limits: Limits, seconds: float) -> None:
    """Set what the operating system itself enforces. Where it cannot, the supervisor's polling remains."""
    if resource is None:
        return
    ceilings = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CPU: int(seconds * (os.cpu_count() or 1)) + 5,
    }
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        ceilings[resource.RLIMIT_AS] = pages * os.sysconf("SC_PAGE_SIZE") + limits.memory
        ceilings[resource.RLIMIT_FSIZE] = limits.file_bytes
    for what, ceiling in ceilings.items():
        with contextlib.suppress(ValueError, OSError):
            # The signal for too much time on the processor comes first: it lets the process write down where it is.
            last = ceiling + LAST_SECONDS if what == resource.RLIMIT_CPU else ceiling
            resource.setrlimit(what, (ceiling, last))


readable_folders()  # before the process is forked, so that no child has to look for them
