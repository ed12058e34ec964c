"""What a subject process is asked to do. Travels as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

# What a spare interpreter writes to its channel once it can take work.
READY = b"\n"
# What the supervisor sends to the zygote, together with descriptors, to have one child more.
START = b"+"
# What these make runs out of sight of the watch on forbidden operations: where there is one, they are refused.
OUT_OF_SIGHT = ("torch.compile", "torch.jit.script", "torch.jit.trace", "torch.jit.trace_module")


@dataclass(frozen=True)
class Source:
    """A Python file as it was read: the path is for messages, the text is what runs."""

    path: str
    text: str


@dataclass(frozen=True)
class Limits:
    """What a subject may use for all checks together.

    `seconds` of wall clock; `memory` in bytes above what a fresh process uses; `output` in bytes printed; `results`
    in bytes sent as observations; `file_bytes` and `files` in its scratch folder; `open_files` at one time;
    `processes` beside its own, where the system lets it start any.
    """

    seconds: float
    memory: int = 2**30
    output: int = 32 * 2**20
    results: int = 32 * 2**20
    file_bytes: int = 64 * 2**20
    files: int = 2000
    open_files: int = 256
    processes: int = 8


@dataclass(frozen=True)
class Job:
    """Run `checks` of the probe file on the module `exercise` of a package made of `sources`.

    `forbidden_operations` maps a check to the torch operations that its subject may not call;
    `forbidden_packages` may not be imported by any of them.
    """

    exercise: str
    sources: dict[str, Source]
    probes: Source
    checks: tuple[str, ...]
    seed: int
    limits: Limits
    forbidden_operations: dict[str, tuple[str, ...]] = field(default_factory=dict)
    forbidden_packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """Jobs for one process, done one after the other in the folder `scratch`.

    A learner's code gets a process of its own; only variants of the reference share one.
    """

    jobs: tuple[Job, ...]
    scratch: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Work:
        parts = json.loads(text)
        return Work(tuple(map(_job, parts["jobs"])), parts["scratch"])


def _job(parts: dict[str, Any]) -> Job:
    return Job(
        exercise=parts["exercise"],
        sources={name: Source(**source) for name, source in parts["sources"].items()},
        probes=Source(**parts["probes"]),
        checks=tuple(parts["checks"]),
        seed=parts["seed"],
        limits=Limits(**parts["limits"]),
        forbidden_operations={name: tuple(ops) for name, ops in parts["forbidden_operations"].items()},
        forbidden_packages=tuple(parts["forbidden_packages"]),
    )
