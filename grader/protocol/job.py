"""What a subject process is asked to do. Travels as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

# What a spare interpreter writes to its channel once it can take work.
READY = b"\n"
# What the supervisor sends to the zygote, together with descriptors, to have one child more.
START = b"+"
# What these make runs out of sight of the watch on forbidden operations: where there is one, they are refused.
COMPILES = ("torch.compile", "torch.jit.script", "torch.jit.trace", "torch.jit.trace_module", "torch.jit.load")
# So does what this is given, unless it is torch that calls it.
REGISTERS = "torch.library.Library.impl"
# So many times its limit on time a process may run a learner's code in all: once, and to find out more about it.
MOST_RUNS = 4
# How the names begin of all that is refused because what it does could not be seen, and because it is not known.
OUT_OF_SIGHT = (*COMPILES, REGISTERS, "__torch_dispatch__", "torch._C.", "ctypes.")
UNKNOWN = "torch.ops."


@dataclass(frozen=True)
class Source:
    """A Python file as it was read: the path is for messages, the text is what runs."""

    path: str
    text: str


@dataclass(frozen=True)
class Limits:
    """What a subject may use for all checks together.

    `seconds` of wall clock; `memory` in bytes above what a fresh process uses, of which no reference needs a
    twentieth; `output` in bytes printed; `results`
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

    `asked` names, for each module, the functions and methods that it has to define: a stub stands in for what it
    lacks. `given` holds further texts that a check may ask for by name, and `folder` is one that it may read, where
    there is one. `forbidden_operations` maps a check to the torch operations that its subject may not call;
    `forbidden_packages` may not be imported by any of them. `takes_notes`: the probes write down what they draw and
    observe, and where, instead of what they observe.
    """

    exercise: str
    sources: dict[str, Source]
    probes: Source
    checks: tuple[str, ...]
    seed: int
    limits: Limits
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    folder: str | None = None
    forbidden_operations: dict[str, tuple[str, ...]] = field(default_factory=dict)
    forbidden_packages: tuple[str, ...] = ()
    takes_notes: bool = False


@dataclass(frozen=True)
class Work:
    """Jobs for one process, done one after the other in the folder `scratch`.

    A learner's code gets a process of its own; only variants of the reference, which `is_trusted` says, share one.
    More work may follow. Travels as one line.
    """

    jobs: tuple[Job, ...]
    scratch: str
    is_trusted: bool = False

    def to_json(self) -> str:
        """Each text once: variants of one exercise share nearly all of theirs."""
        used = (source for job in self.jobs for source in (*job.sources.values(), job.probes))
        numbers = {source: number for number, source in enumerate(dict.fromkeys(used))}
        jobs = [
            {
                **vars(job),
                "sources": {name: numbers[source] for name, source in job.sources.items()},
                "probes": numbers[job.probes],
                "limits": vars(job.limits),
            }
            for job in self.jobs
        ]
        texts = [[source.path, source.text] for source in numbers]
        parts = {"texts": texts, "jobs": jobs, "scratch": self.scratch, "is_trusted": self.is_trusted}
        return json.dumps(parts) + "\n"

    @staticmethod
    def from_json(text: str) -> Work:
        parts = json.loads(text)
        sources = [Source(*source) for source in parts["texts"]]
        return Work(tuple(_job(job, sources) for job in parts["jobs"]), parts["scratch"], parts["is_trusted"])


def _job(parts: dict[str, Any], sources: list[Source]) -> Job:
    return Job(
        exercise=parts["exercise"],
        sources={name: sources[number] for name, number in parts["sources"].items()},
        probes=sources[parts["probes"]],
        checks=tuple(parts["checks"]),
        seed=parts["seed"],
        limits=Limits(**parts["limits"]),
        asked={name: tuple(functions) for name, functions in parts["asked"].items()},
        given=parts["given"],
        folder=parts["folder"],
        forbidden_operations={name: tuple(ops) for name, ops in parts["forbidden_operations"].items()},
        forbidden_packages=tuple(parts["forbidden_packages"]),
        takes_notes=parts["takes_notes"],
    )
