"""Which build of torch to install. On Linux the package registry's own is the one for NVIDIA GPUs, of gigabytes.

Where no NVIDIA driver is found, the CPU build comes from PyTorch's own index, if that answers within seconds.
`GPT_KATA_TORCH=cpu` or `default` decides otherwise. Standard library only, as in grader/install.py.
"""

from __future__ import annotations

import http.client
import platform
import queue
import re
import runpy
import shutil
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urljoin
from urllib.request import Request, urlopen

ASKED = "GPT_KATA_TORCH"
CPU, DEFAULT = "cpu", "default"
INDEX = "https://download.pytorch.org/whl/cpu"
INDEX_NAME = "download.pytorch.org"
ANSWER_SECONDS = 5.0
# What pip is told when it should look elsewhere than usual.
INDEX_OPTIONS = frozenset({"index-url", "extra-index-url", "find-links", "no-index"})
ARCHITECTURES = ("x86_64", "aarch64")
# Rounded sums of the files that are fetched, torch 2.13 among them.
OTHERS = "about 60 MB of other packages"
WITH_CUDA = "nearly 3 GB are fetched in all"


class CannotChoose(Exception):
    """What was asked for is not understood, or is not to be had. The message is a sentence for people."""


@dataclass(frozen=True)
class Machine:
    """What the choice depends on: `sys.platform`, `platform.machine()`, and whether an NVIDIA driver is there."""

    system: str
    architecture: str
    has_driver: bool

    @property
    def has_two_builds(self) -> bool:
        """Does the registry serve the build with CUDA here? On macOS and Windows it serves the small one."""
        return self.system == "linux" and self.architecture in ARCHITECTURES


@dataclass(frozen=True)
class Wheel:
    """The CPU build in PyTorch's index. `size` in bytes, None where the index does not tell."""

    version: str
    size: int | None


@dataclass(frozen=True)
class Choice:
    """`wheel` is what to take from PyTorch's index, None for torch as pip finds it; `said` tells it to people."""

    wheel: Wheel | None
    said: str


def asked_for(environment: Mapping[str, str]) -> str | None:
    """`cpu`, `default`, or None for whatever suits. Raises CannotChoose for anything else."""
    asked = environment.get(ASKED) or None
    if asked not in (None, CPU, DEFAULT):
        raise CannotChoose(f"{ASKED} is {asked!r}. It may be `{CPU}` or `{DEFAULT}`, or not be set.")
    return asked


def choose(
    machine: Machine, asked: str | None, has_own_index: bool, ask_index: Callable[[], Wheel | None]
) -> Choice:
    """Decide which build to install.

    Arguments
        asked          from `asked_for`
        has_own_index  is pip set up to look elsewhere than usual?
        ask_index      asks PyTorch's index, which may take seconds; called only where the answer matters

    Raises CannotChoose if the CPU build was asked for and is not to be had.
    """
    if not machine.has_two_builds:
        details = {"darwin": ", 110 MB,", "win32": " in the CPU build, 120 MB,"}
        return Choice(None, f"Fetching torch{details.get(machine.system, '')} and {OTHERS}.")
    if asked == DEFAULT:
        return Choice(None, f"{ASKED}={DEFAULT}: torch comes as pip finds it. With CUDA, {WITH_CUDA}.")
    if asked is None and machine.has_driver:
        return Choice(None, f"An NVIDIA driver is here, so torch comes with CUDA: {WITH_CUDA}.")
    if asked is None and has_own_index:
        return Choice(
            None,
            "pip has been set up to take packages from somewhere else than usual, so that is left alone. "
            f"If torch comes with CUDA there, {WITH_CUDA}. {ASKED}={CPU} takes the CPU build from {INDEX_NAME}.",
        )
    wheel = ask_index()
    if wheel:
        why = "No NVIDIA driver was found" if asked is None else f"{ASKED}={CPU}"
        size = f"{wheel.size / 1e6:.0f} MB" if wheel.size else "about 200 MB"
        return Choice(wheel, f"{why}: torch comes from {INDEX_NAME} in the CPU build, {size}, and {OTHERS}.")
    nothing = f"{INDEX_NAME} does not answer, or has no CPU build for this Python"
    if asked == CPU:
        raise CannotChoose(f"{nothing}. Try again later, or say {ASKED}={DEFAULT}: with CUDA, {WITH_CUDA}.")
    return Choice(
        None,
        f"No NVIDIA driver was found, but {nothing}. So torch comes with CUDA: {WITH_CUDA}. "
        "To try later instead, press Ctrl-C.",
    )


def this_machine() -> Machine:
    """The machine that this runs on."""
    return Machine(sys.platform, platform.machine(), has_nvidia_driver(Path("/")))


def has_nvidia_driver(root: Path) -> bool:
    """Is there an NVIDIA driver, as far as files tell? In WSL it is Windows' driver that is lent to Linux."""
    marks = ("proc/driver/nvidia", "dev/nvidiactl", "etc/nv_tegra_release")
    if any((root / mark).exists() for mark in marks) or shutil.which("nvidia-smi"):
        return True
    return (root / "dev/dxg").exists() and any((root / "usr/lib/wsl/lib").glob("libcuda.so*"))


def names_an_index(settings: str) -> bool:
    """Does what `pip config list` printed say where packages come from? A line is like `global.index-url='…'`."""
    keys = (line.partition("=")[0] for line in settings.splitlines())
    return any(key.rpartition(".")[2] in INDEX_OPTIONS for key in keys)


def offered(version: str, architecture: str) -> Wheel | None:
    """The CPU build of this version for this interpreter; None if the index has none or is not there in time."""
    answer: queue.Queue[Wheel | None] = queue.Queue()
    # A thread, since nothing else bounds the time for which a name is looked up.
    threading.Thread(target=lambda: answer.put(_ask(version, architecture)), daemon=True).start()
    try:
        return answer.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        return None


def _ask(version: str, architecture: str) -> Wheel | None:
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    abi = python + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "")
    file = re.compile(
        rf"torch-({re.escape(version)}(?:\+cpu)?)-{python}-{abi}-(?:many)?linux\w*_{architecture}\.whl"
    )
    try:
        with urlopen(f"{INDEX}/torch/", timeout=ANSWER_SECONDS) as page:
            address, text = page.url, page.read().decode()
        for link in re.findall(r'href="([^"#]+)', text):
            if found := file.fullmatch(unquote(link.rpartition("/")[2])):
                return Wheel(found[1], _size(urljoin(address, link)))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    return None


def _size(address: str) -> int | None:
    try:
        with urlopen(Request(address, method="HEAD"), timeout=ANSWER_SECONDS) as head:
            return int(head.headers["Content-Length"])
    except (OSError, ValueError, TypeError, http.client.HTTPException):
        return None


def installed() -> str:
    """Which build of torch is installed here, in a sentence or two; empty where there is nothing to say.

    Read from torch's own file of versions: importing torch takes seconds.
    """
    spec = find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return ""
    try:
        told = runpy.run_path(str(Path(spec.submodule_search_locations[0]) / "version.py"))
    except OSError:
        return ""
    return describe(told.get("cuda"), told.get("hip"), this_machine())


def describe(cuda: str | None, hip: str | None, machine: Machine) -> str:
    """What to say of a build that was made for this version of CUDA, or of ROCm's HIP, or for neither."""
    again = f"delete .venv, then run `{ASKED}={{}} python3 -m grader`."
    if hip:
        return f"ROCm {hip} build"
    if cuda and machine.has_driver:
        return f"CUDA {cuda} build, and an NVIDIA driver is here"
    if cuda:
        return (
            f"CUDA {cuda} build, but no NVIDIA driver was found: gigabytes that are not used. For the CPU build, "
            + again.format(CPU)
        )
    if machine.has_two_builds and machine.has_driver:
        return "CPU build, although an NVIDIA driver is here. For the build with CUDA, " + again.format(DEFAULT)
    return "CPU build" if machine.system != "darwin" else ""
