"""Which build of torch the first start installs, and what it says of it. The indexes here are on the loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from grader import install, torch_build
from grader.torch_build import CannotChoose, Machine, Wheel
from tests.mini import ROOT

VERSION = install.pinned("torch")
WHEEL = Wheel(f"{VERSION}+cpu", 191_794_682)
PC = Machine("linux", "x86_64", has_driver=False)
ARM = Machine("linux", "aarch64", has_driver=False)
WITH_GPU = Machine("linux", "x86_64", has_driver=True)
MAC = Machine("darwin", "arm64", has_driver=False)
WINDOWS = Machine("win32", "AMD64", has_driver=True)
OTHER = Machine("linux", "riscv64", has_driver=False)


@pytest.mark.parametrize(
    "machine, asked, own_index, answer, is_cpu, is_told",
    [
        (PC, None, False, WHEEL, True, ("No NVIDIA driver", "CPU build", "192 MB")),
        (ARM, None, False, WHEEL, True, ("No NVIDIA driver", "CPU build", "192 MB")),
        (PC, None, False, Wheel("2.0+cpu", None), True, ("CPU build", "about 200 MB")),
        (PC, None, False, None, False, ("does not answer", "CUDA", "nearly 3 GB", "Ctrl-C")),
        (PC, None, True, "not asked", False, ("somewhere else", "nearly 3 GB", "GPT_KATA_TORCH=cpu")),
        (PC, "cpu", True, WHEEL, True, ("GPT_KATA_TORCH=cpu", "192 MB")),
        (PC, "cpu", False, WHEEL, True, ("GPT_KATA_TORCH=cpu", "192 MB")),
        (PC, "cpu", False, None, None, ("does not answer", "GPT_KATA_TORCH=default")),
        (PC, "default", False, "not asked", False, ("GPT_KATA_TORCH=default", "nearly 3 GB")),
        (WITH_GPU, None, False, "not asked", False, ("NVIDIA driver is here", "CUDA", "nearly 3 GB")),
        (WITH_GPU, None, True, "not asked", False, ("CUDA",)),
        (WITH_GPU, "cpu", False, WHEEL, True, ("GPT_KATA_TORCH=cpu", "CPU build")),
        (WITH_GPU, "default", False, "not asked", False, ("CUDA",)),
        (MAC, None, False, "not asked", False, ("110 MB",)),
        (MAC, "cpu", False, "not asked", False, ("110 MB",)),
        (WINDOWS, None, False, "not asked", False, ("120 MB", "CPU build")),
        (WINDOWS, "cpu", True, "not asked", False, ("120 MB", "CPU build")),
        (OTHER, None, False, "not asked", False, ("torch",)),
    ],
)
def test_the_build_follows_from_the_machine_and_what_was_asked(
    machine: Machine,
    asked: str | None,
    own_index: bool,
    answer: Wheel | str | None,
    is_cpu: bool | None,
    is_told: tuple[str, ...],
) -> None:
    def ask_index() -> Wheel | None:
        assert not isinstance(answer, str), "the index was asked although the answer does not matter"
        return answer

    try:
        choice = torch_build.choose(machine, asked, own_index, ask_index)
    except CannotChoose as error:
        assert is_cpu is None
        said = str(error)
    else:
        assert choice.wheel == (answer if is_cpu else None)
        assert is_cpu is not None
        said = choice.said
    for part in is_told:
        assert part in said


def test_any_other_wish_is_one_sentence() -> None:
    assert torch_build.asked_for({}) is None
    assert torch_build.asked_for({"GPT_KATA_TORCH": ""}) is None
    assert torch_build.asked_for({"GPT_KATA_TORCH": "cpu"}) == "cpu"
    assert torch_build.asked_for({"GPT_KATA_TORCH": "default"}) == "default"
    for wish in ("gpu", "CUDA", "cpu default", " cpu"):
        with pytest.raises(CannotChoose, match=r"GPT_KATA_TORCH is .*`cpu` or `default`"):
            torch_build.asked_for({"GPT_KATA_TORCH": wish})


@pytest.mark.parametrize(
    "files, is_there",
    [
        ((), False),
        (("proc/driver/nvidia/version",), True),
        (("dev/nvidiactl",), True),
        (("etc/nv_tegra_release",), True),
        (("dev/dxg",), False),
        (("usr/lib/wsl/lib/libcuda.so.1",), False),
        (("dev/dxg", "usr/lib/wsl/lib/libcuda.so.1"), True),
        (("usr/lib/x86_64-linux-gnu/libcuda.so.1", "dev/dri/card0"), False),
    ],
)
def test_a_driver_is_known_by_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], is_there: bool
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert torch_build.has_nvidia_driver(tmp_path) is is_there


@pytest.mark.skipif(os.name == "nt", reason="a program is a file with the right to run")
def test_a_driver_is_known_by_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    assert torch_build.has_nvidia_driver(tmp_path)


@pytest.mark.parametrize(
    "settings, is_own",
    [
        ("", False),
        ("global.timeout='60'\nglobal.proxy='http://proxy:3128'\n:env:.retries='3'", False),
        ("global.index-url='https://mirror.example/simple'", True),
        (":env:.index-url='https://mirror.example/simple'", True),
        ("install.extra-index-url='https://mirror.example/simple'", True),
        ("global.cert='/x'\n:env:.find-links='/wheels'", True),
        (":env:.no-index='1'", True),
        ("global.trusted-host='index-url'", False),
    ],
)
def test_an_index_of_ones_own_is_seen(settings: str, is_own: bool) -> None:
    assert torch_build.names_an_index(settings) is is_own


def test_the_pin_is_met_by_the_cpu_build() -> None:
    pin, asked = Requirement(f"torch=={VERSION}"), Requirement("torch>=2.9")
    assert WHEEL.version in pin.specifier and WHEEL.version in asked.specifier
    assert Version(WHEEL.version) > Version(VERSION)


def test_uv_is_told_the_same_index() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (index,) = project["tool"]["uv"]["index"]
    assert index["url"] == torch_build.INDEX
    assert index["explicit"] is True
    (torch,) = (one for one in project["project"]["dependencies"] if install.requirement_name(one) == "torch")
    assert project["project"]["optional-dependencies"]["cpu"] == [torch]
    assert project["project"]["optional-dependencies"]["default"] == [torch]


@pytest.mark.parametrize(
    "cuda, hip, machine, said",
    [
        (None, None, PC, "CPU build"),
        (None, None, WINDOWS, "CPU build"),
        (None, None, MAC, ""),
        (None, None, WITH_GPU, "GPT_KATA_TORCH=default"),
        ("13.0", None, WITH_GPU, "CUDA 13.0 build, and an NVIDIA driver is here"),
        ("13.0", None, PC, "CUDA 13.0 build, but no NVIDIA driver was found"),
        ("13.0", None, PC, "GPT_KATA_TORCH=cpu"),
        (None, "7.2", PC, "ROCm 7.2 build"),
    ],
)
def test_doctor_says_which_build_is_there(cuda: str | None, hip: str | None, machine: Machine, said: str) -> None:
    told = torch_build.describe(cuda, hip, machine)
    assert said in told
    assert bool(said) == bool(told)


def test_the_installed_build_is_read_without_importing_it() -> None:
    code = (
        "import sys; from grader import torch_build; print(torch_build.installed()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    said, imported = done.stdout.splitlines()
    assert "build" in said or sys.platform == "darwin"
    assert imported == "False"


# An index.


def wheel_name(version: str, system: str = "manylinux_2_28", architecture: str = platform.machine()) -> str:
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    abi = python + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "")
    return f"torch-{version}-{python}-{abi}-{system}_{architecture}.whl"


class Index:
    """A package index on the loopback interface: `files` are its pages by path, `asked` what was asked of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.seconds = 0.0
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(f"{self.command} {self.path}")
                time.sleep(index.seconds)
                body = index.files.get(unquote(self.path))
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body or b"")

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # who asked may have gone
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def add(self, folder: str, name: str, content: bytes) -> None:
        """List a wheel under the package that its name begins with."""
        page = f"{folder}/{name.partition('-')[0].replace('_', '-').lower()}/"
        self.files[f"{folder}/{name}"] = content
        digest = hashlib.sha256(content).hexdigest()
        link = f'<a href="{folder}/{quote(name)}#sha256={digest}">{name}</a><br>\n'
        self.files[page] = self.files.get(page, b"") + link.encode()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    served = Index()
    monkeypatch.setattr(torch_build, "INDEX", served.address + "/whl/cpu")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    thread = threading.Thread(target=served.server.serve_forever, args=(0.05,))
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def test_the_index_is_asked_for_this_python_and_this_machine(index: Index) -> None:
    assert torch_build.offered(VERSION, platform.machine()) is None  # there is no such page
    for name in (
        wheel_name("1.0+cpu"),
        wheel_name(VERSION + "+cpu", architecture="pdp11"),
        wheel_name(VERSION + "+cu130"),
        wheel_name(VERSION + "+cpu", system="win"),
        f"torch-{VERSION}+cpu-cp26-cp26-manylinux_2_28_{platform.machine()}.whl",
    ):
        index.add("/whl/cpu", name, b"")
    assert torch_build.offered(VERSION, platform.machine()) is None
    index.add("/whl/cpu", wheel_name(VERSION + "+cpu"), b"1234567")
    assert torch_build.offered(VERSION, platform.machine()) == Wheel(VERSION + "+cpu", 7)
    del index.files["/whl/cpu/" + wheel_name(VERSION + "+cpu")]  # listed, but it does not tell its size
    assert torch_build.offered(VERSION, platform.machine()) == Wheel(VERSION + "+cpu", None)
    assert all(
        asked.startswith("HEAD") or asked.endswith("/torch/") for asked in index.asked
    )  # nothing was fetched


def test_an_index_that_is_slow_or_gone_costs_no_more_than_the_limit(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("/whl/cpu", wheel_name(VERSION + "+cpu"), b"1234567")
    monkeypatch.setattr(torch_build, "ANSWER_SECONDS", 0.2)
    index.seconds = 1.0
    assert torch_build.offered(VERSION, platform.machine()) is None
    monkeypatch.setattr(torch_build, "INDEX", "http://127.0.0.1:9")
    assert torch_build.offered(VERSION, platform.machine()) is None
    never = threading.Event()  # as when a name server does not answer, where no limit of the socket holds
    monkeypatch.setattr(torch_build, "_ask", lambda *_: never.wait(60))
    assert torch_build.offered(VERSION, platform.machine()) is None
    never.set()


# What is done about it.

STANDS_FOR_PIP = """
import json, os, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps([arguments, os.environ.get("PIP_RESUME_RETRIES")]) + "\\n")
if arguments == ["config", "list"]:
    print({settings!r})
else:
    print("Collecting", arguments[-1])
    for word, said in {failures!r}.items():
        if word in " ".join(arguments):
            sys.exit(said)
"""


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], list[list[str]]]]:
    """Put a program in pip's place, a folder in that of `.venv`, a machine in that of this one."""

    def put(
        settings: str = "", failures: dict[str, str] | None = None, machine: Machine = PC
    ) -> Callable[[], list[list[str]]]:
        program, log, folder = tmp_path / "pip.py", tmp_path / "log", tmp_path / "venv"
        program.write_text(STANDS_FOR_PIP.format(log=str(log), settings=settings, failures=failures or {}))
        folder.mkdir()
        (folder / "unfinished").touch()
        here = replace(machine, architecture=platform.machine())
        monkeypatch.setattr(install, "PIP", (sys.executable, str(program)))
        monkeypatch.setattr(install, "VENV", folder)
        monkeypatch.setattr(install, "UNFINISHED", folder / "unfinished")
        monkeypatch.setattr(torch_build, "this_machine", lambda: here)
        monkeypatch.delenv("GPT_KATA_TORCH", raising=False)

        def asked() -> list[list[str]]:
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            assert all(
                retries == install.RESUME_RETRIES for (command, *_), retries in lines if command == "install"
            )
            return [arguments for arguments, _ in lines]

        return asked

    return put


on_two_builds = pytest.mark.skipif(
    platform.machine() not in torch_build.ARCHITECTURES, reason="there is one build of torch for this machine"
)


@on_two_builds
def test_without_a_driver_torch_alone_comes_from_the_cpu_index(
    index: Index, pip: Callable[..., Callable[[], list[list[str]]]], capsys: pytest.CaptureFixture[str]
) -> None:
    index.add("/whl/cpu", wheel_name(VERSION + "+cpu"), bytes(3_000_000))
    asked = pip()
    install._install(None, with_torch=True)
    settings, newer_pip, torch, rest = asked()
    assert settings == ["config", "list"]
    assert newer_pip[-2:] == ["--upgrade", "pip"]
    assert torch[-4:] == ["--no-deps", "--index-url", torch_build.INDEX, f"torch=={VERSION}+cpu"]
    assert "--index-url" not in rest and set(install.requirements(None)) < set(rest)
    said = capsys.readouterr().err
    assert "CPU build, 3 MB" in said
    assert said.index("CPU build") < said.index("Collecting")


@pytest.mark.parametrize("settings, machine", [("", WITH_GPU), ("", MAC), ("global.index-url='x'", PC)])
def test_elsewhere_everything_comes_as_before(
    index: Index, pip: Callable[..., Callable[[], list[list[str]]]], settings: str, machine: Machine
) -> None:
    asked = pip(settings, machine=machine)
    install._install(None, with_torch=True)
    _, newer_pip, rest = asked()
    assert "--index-url" not in newer_pip + rest
    assert index.asked == []


def test_the_self_test_does_not_ask_about_torch(
    index: Index, pip: Callable[..., Callable[[], list[list[str]]]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = pip()
    install._install("selftest", with_torch=False)
    (only,) = asked()
    assert only[-2:] == install.requirements("selftest")
    assert index.asked == []
    assert "torch" not in capsys.readouterr().err


def test_an_old_pip_that_cannot_be_replaced_will_do(
    index: Index, pip: Callable[..., Callable[[], list[list[str]]]]
) -> None:
    asked = pip(failures={"--upgrade": "ERROR: no such version of pip"}, machine=WITH_GPU)
    install._install(None, with_torch=True)
    assert len(asked()) == 3


@on_two_builds
@pytest.mark.parametrize(
    "failures, said",
    [
        ({"--no-deps": "ERROR: the connection broke"}, "or take the other build: GPT_KATA_TORCH=default"),
        ({"rich": "ERROR: the connection broke"}, "Check the network and run the same command again."),
        ({"rich": "ERROR: [Errno 28] No space left on device"}, "Make room on the disk"),
    ],
)
def test_what_broke_off_is_told_and_can_be_gone_on_with(
    index: Index,
    pip: Callable[..., Callable[[], list[list[str]]]],
    capsys: pytest.CaptureFixture[str],
    failures: dict[str, str],
    said: str,
) -> None:
    index.add("/whl/cpu", wheel_name(VERSION + "+cpu"), b"1")
    pip(failures=failures)
    with pytest.raises(SystemExit) as ended:
        install._install(None, with_torch=True)
    assert ended.value.code == 3
    told = capsys.readouterr().err
    assert said in told
    assert "What was fetched whole is kept" in told
    assert not install.VENV.exists()


def test_ctrl_c_says_what_is_kept(
    index: Index,
    pip: Callable[..., Callable[[], list[list[str]]]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    pip(machine=WITH_GPU)
    monkeypatch.setattr(install, "_progress", stop)
    with pytest.raises(KeyboardInterrupt):
        install._install(None, with_torch=True)
    assert "What was fetched whole is kept" in capsys.readouterr().err
    assert not install.VENV.exists()


@pytest.mark.slow  # a real environment, a real pip
@on_two_builds
def test_a_real_pip_takes_the_cpu_build_and_is_content_with_it(index: Index, tmp_path: Path) -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    cpu = wheel_name(VERSION + "+cpu")
    index.add("/whl/cpu", cpu, wheel(cpu, "filelock"))
    index.add("/whl/cpu", "rich-999-py3-none-any.whl", wheel("rich-999-py3-none-any.whl"))
    plain = wheel_name(VERSION)
    index.add("/simple", plain, wheel(plain, "filelock", "nvidia-gigabytes"))
    for name in ("filelock", *map(install.requirement_name, install.requirements(None))):
        if name != "torch":
            file = f"{name.replace('-', '_')}-{pins[name]}-py3-none-any.whl"
            index.add("/simple", file, wheel(file))
    for name in ("grader", "pyproject.toml", "constraints.txt"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    code = (
        "from grader import install, torch_build\n"
        f"torch_build.INDEX = {torch_build.INDEX!r}\n"
        "install.ensure([], 'platform')"
    )
    kept = {
        name: value for name, value in os.environ.items() if "PIP" not in name and name != "GPT_KATA_NO_BOOTSTRAP"
    }
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False)
    done = subprocess.run(
        [str(bare / "bin" / "python"), "-c", code],
        cwd=tmp_path,
        env={
            **kept,
            "GPT_KATA_TORCH": "cpu",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": index.address + "/simple",
            "PIP_CACHE_DIR": str(tmp_path / "cache"),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Linux" in done.stdout  # it went on in `.venv`
    assert "GPT_KATA_TORCH=cpu: torch comes from download.pytorch.org in the CPU build" in done.stderr
    (packages,) = (tmp_path / ".venv").glob("lib/python*/site-packages")
    installed = {path.name for path in packages.glob("*.dist-info")}
    assert f"torch-{VERSION}+cpu.dist-info" in installed
    assert f"rich-{pins['rich']}.dist-info" in installed
    assert not (tmp_path / ".venv" / install.UNFINISHED.name).exists()


def wheel(name: str, *needs: str) -> bytes:
    """The smallest package with this file name."""
    package, version = name.split("-")[:2]
    folder = f"{package}-{version}.dist-info"
    needed = "".join(f"Requires-Dist: {other}\n" for other in needs)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"{package}/__init__.py", "")
        archive.writestr(
            f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{needed}"
        )
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{folder}/RECORD", "")
    return content.getvalue()
