"""Every way in which code under test may go wrong, or may try to cheat, and what the grader then says.

A fault is tried at import, inside a call, and in a thread after the call returned. Beside it stands an expected
verdict for each of these; several where it depends on the system which one it is, never `passed` for wrong code.
Everything here is bounded, so that it does no harm where a protection is switched off: it ends by itself, acts
only on the repository that was made for it, and signals only the grader that runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from grader.protocol.layers import Layer


class Place(StrEnum):
    """When a fault happens."""

    IMPORT = "import"
    CALL = "call"
    AFTER = "after"


class Kind(StrEnum):
    """What a fault is about: the rows of the report."""

    TIME = "time"
    ENDING = "ending"
    LEFT_BEHIND = "left behind"
    MEMORY = "memory"
    OUTPUT = "output and files"
    PARENT = "parent"
    FORGERY = "forgery"
    VALUE = "value"
    REFERENCE = "reference"
    REPOSITORY = "repository and surroundings"
    FORBIDDEN = "forbidden"
    CHANCE = "chance"
    READING = "reading"


@dataclass(frozen=True)
class Fault:
    """`code` is what happens at the place; `result` what `double` returns, `x * 2` where the code is right.

    `verdicts` are those at import, in a call and after it: names separated by `|`, or an empty text where the
    fault cannot happen there. `says` has to be in the message; `refused` among the refused acts. `needs` is the layer
    without which it is not survived.
    """

    name: str
    kind: Kind
    code: str
    verdicts: tuple[str, str, str]
    says: str = ""
    refused: str = ""
    result: str = "x * 2"
    needs: Layer | None = None

    def verdict(self, place: Place) -> frozenset[str]:
        allowed = self.verdicts[list(Place).index(place)]
        return frozenset(allowed.split("|")) if allowed else frozenset()


WRONG = "x"
TIMEOUT = ("timeout", "timeout", "passed")
HUNG = "It hung on this line."
CRASH = ("crashed", "crashed", "crashed")
LIMIT = ("limit", "limit", "passed|limit")
RAISED = ("raised", "raised", "passed")
NOTHING = ("passed", "passed", "passed")
NEVER = ("wrong", "wrong", "wrong")
# What the system answers is the same at import and afterwards.
ANSWERED = ("", "passed", "")


def tampering(
    name: str, code: str, verdicts: tuple[str, str, str] = NEVER, says: str = "", refused: str = ""
) -> Fault:
    """Wrong code that wants to be taken for right."""
    return Fault(name, Kind.FORGERY, code, verdicts, says, refused, WRONG)


def value(name: str, result: str, says: str = "") -> Fault:
    """A result that is wrong, or that is not what it seems."""
    return Fault(name, Kind.VALUE, "", ("", "wrong", ""), says, "", result)


def answered(name: str, kind: Kind, call: str) -> Fault:
    """A call past Python that the system has to refuse."""
    return Fault(f"{name}, past Python", kind, f"{ASKING}assert {call} < 0", ANSWERED)


def signalling(name: str, owner: str) -> Fault:
    """Have a pair of sockets tell another process of what arrives, by a signal that kills."""
    return Fault(name, Kind.PARENT, SIGNALLING.format(owner=owner), NOTHING)


ASKING = (
    "import ctypes, os, socket\nC = ctypes.CDLL(None, use_errno=True)\n"
    "SOLUTION = (ROOT + '/solutions/' + NAME).encode()\nADDRESS = b'\\1\\0/none\\0'\n"
)
PAIR = "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].detach()"
REFUSED = "(ctypes.get_errno() != 1)"
SIGNALLING = (
    "import ctypes, os, socket, struct\nC = ctypes.CDLL(None)\nabove = os.getppid()\n"
    "one, other = socket.socketpair()\nn = one.fileno()\n{owner}\nC.fcntl(n, 10, 9); C.fcntl(n, 4, 0o20002)\n"
    "other.send(b'x')"
)
# getpid as a program of 32 bits asks for it, where the machine knows any; elsewhere it means nothing.
MACHINE_CODE = (
    "import ctypes, mmap\npage = mmap.mmap(-1, 4096, prot=7)\npage.write(bytes.fromhex('b814000000cd80c3'))\n"
    "ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()"
)

TIME = (
    Fault("endless loop", Kind.TIME, "while True: pass", TIMEOUT, HUNG),
    Fault("endless loop in C, holding the GIL", Kind.TIME, "sum(iter(int, 1))", ("timeout",) * 3, HUNG),
    Fault(
        "endless loop that catches everything",
        Kind.TIME,
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        TIMEOUT,
        HUNG,
    ),
    Fault(
        "endless thread that is waited for",
        Kind.TIME,
        "import threading\ndef turn():\n    while True: pass\nt = threading.Thread(target=turn); t.start(); t.join()",
        TIMEOUT,
        HUNG,
    ),
    # Once it is let go on it may be past that line before it has written where it is.
    Fault("stops itself", Kind.TIME, "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", ("timeout",) * 3),
    Fault("long sleep", Kind.TIME, "import time; time.sleep(3600)", TIMEOUT, HUNG),
    Fault(
        "loop that ignores signals",
        Kind.TIME,
        "import faulthandler, signal\nfaulthandler.unregister(signal.SIGXCPU)\n"
        "try:\n    signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
        "except ValueError: pass\nwhile True: pass",
        TIMEOUT,
    ),
)

ENDING = (
    Fault("os._exit(0)", Kind.ENDING, "import os; os._exit(0)", CRASH, "exit code 0"),
    Fault("sys.exit(0)", Kind.ENDING, "import sys; sys.exit(0)", RAISED, "SystemExit"),
    Fault("segmentation fault", Kind.ENDING, "import ctypes; ctypes.string_at(0)", CRASH, "SIGSEGV"),
    Fault("abort", Kind.ENDING, "import os; os.abort()", CRASH, "SIGABRT"),
    Fault("abort in C", Kind.ENDING, "import ctypes; ctypes.CDLL(None).abort()", CRASH, "SIGABRT"),
    Fault("kills itself", Kind.ENDING, "import os; os.kill(os.getpid(), 9)", CRASH, "SIGKILL"),
    Fault("runaway recursion", Kind.ENDING, "def deeper(): deeper()\ndeeper()", RAISED, "RecursionError"),
    Fault(
        "runaway recursion without Python's limit",
        Kind.ENDING,
        "import sys\nsys.setrecursionlimit(10**9)\ndef deeper(): deeper()\ndeeper()",
        ("crashed|limit|raised|timeout",) * 2 + ("crashed|limit|raised|passed|timeout",),
    ),
    Fault("KeyboardInterrupt", Kind.ENDING, "raise KeyboardInterrupt", RAISED, "KeyboardInterrupt"),
    Fault(
        "an error whose text cannot be read",
        Kind.ENDING,
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        RAISED,
        "Odd",
    ),
    Fault(
        "becomes another program",
        Kind.ENDING,
        "import os; os.execv('/bin/true', ['true'])",
        LIMIT,
        "another process",
        "start another process",
    ),
    Fault(
        "becomes another program, past Python",
        Kind.ENDING,
        "import ctypes; ctypes.CDLL(None).execl(b'/bin/true', b'true', None)",
        NOTHING,
    ),
    Fault(
        "breaks Python's built-ins",
        Kind.ENDING,
        "import builtins; builtins.len = builtins.isinstance = None",
        ("raised|crashed", "raised|crashed", "raised|crashed"),
    ),
)

LEFT_BEHIND = (
    Fault(
        "thread left behind",
        Kind.LEFT_BEHIND,
        "import threading, time; threading.Thread(target=time.sleep, args=(3600,)).start()",
        NOTHING,
    ),
    Fault(
        "exit handler that never ends",
        Kind.LEFT_BEHIND,
        "import atexit, time; atexit.register(time.sleep, 3600)",
        NOTHING,
    ),
    Fault(
        "child left behind, holding the pipes",
        Kind.LEFT_BEHIND,
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'])",
        LIMIT,
        "another process",
        "start another process",
    ),
    Fault(
        "child left behind, past Python",
        Kind.LEFT_BEHIND,
        "import ctypes, os, time\nif ctypes.CDLL(None).fork() == 0:\n    time.sleep(20); os._exit(0)",
        NOTHING,
    ),
    Fault(
        "daemon with a session of its own",
        Kind.LEFT_BEHIND,
        "import ctypes, os, time\nC = ctypes.CDLL(None)\nif C.fork() == 0:\n    os.setsid()\n"
        "    if C.fork() == 0:\n        time.sleep(20)\n    os._exit(0)",
        NOTHING,
    ),
    Fault(
        "fork bomb",
        Kind.LEFT_BEHIND,
        "import os, time\nfor _ in range(40):\n    if os.fork() == 0:\n        time.sleep(20); os._exit(0)\ntime.sleep(20)",
        LIMIT,
        "process",
        "start another process",
    ),
    Fault(
        "fork bomb, past Python",
        Kind.LEFT_BEHIND,
        "import ctypes, os, time\nC = ctypes.CDLL(None)\npids = []\nfor _ in range(40):\n    pids.append(C.fork())\n"
        "    if pids[-1] == 0:\n        time.sleep(20); os._exit(0)\nif max(pids) > 0: time.sleep(20)",
        NOTHING,
    ),
    Fault(
        "thread bomb",
        Kind.LEFT_BEHIND,
        "import threading, time\nfor _ in range(20000):\n    threading.Thread(target=time.sleep, args=(3600,)).start()",
        ("limit", "limit", "passed|limit|crashed"),
        "threads",
    ),
)

MEMORY = (
    Fault("memory bomb in lists", Kind.MEMORY, "kept = []\nwhile True: kept.append([0] * 10**6)", LIMIT, "memory"),
    Fault("memory bomb in one tensor", Kind.MEMORY, "import torch; torch.zeros(2**32)", LIMIT, "memory"),
    Fault(
        "memory bomb in many tensors", Kind.MEMORY, "kept = []\nwhile True: kept.append(torch.ones(10**6))", LIMIT
    ),
    Fault("memory bomb in one text", Kind.MEMORY, "s = 'x'\nwhile True: s += s", LIMIT, "memory"),
    Fault(
        "memory bomb in shared memory",
        Kind.MEMORY,
        "import mmap\nkept = []\nwhile True:\n    kept.append(mmap.mmap(-1, 2**26)); kept[-1].write(b'x' * 2**26)",
        ("limit|raised", "limit|raised", "passed|limit"),
        "",
    ),
    Fault(
        "memory that outlives the process",
        Kind.MEMORY,
        "from multiprocessing import shared_memory\ns = shared_memory.SharedMemory(create=True, size=2**20)\ns.close(); s.unlink()",
        RAISED,
        "PermissionError",
        needs=Layer.LANDLOCK,
    ),
    Fault(
        "memory that no limit counts",
        Kind.MEMORY,
        "import os\nfor _ in range(20):\n    f = os.memfd_create('x')\n    os.write(f, b'x' * 2**24)",
        RAISED,
        "PermissionError",
    ),
    Fault(
        "memory bomb in many children",
        Kind.MEMORY,
        "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        kept = b'x' * 2**28; time.sleep(20); os._exit(0)\n"
        "time.sleep(20)",
        LIMIT,
        "",
        "start another process",
    ),
)

CHANNEL = (
    "import os, stat\n"
    "def is_channel(n):\n"
    "    try: return n > 2 and stat.S_ISFIFO(os.fstat(n).st_mode)\n"
    "    except OSError: return False\n"
    "channels = [n for n in range(3, 5000) if is_channel(n)]\n"
)

OUTPUT = (
    Fault("gigabytes on stdout", Kind.OUTPUT, "while True: print('x' * 10**6)", LIMIT, "printed more than"),
    Fault(
        "gigabytes on stderr",
        Kind.OUTPUT,
        "import sys\nwhile True: sys.stderr.write('x' * 10**6)",
        LIMIT,
        "printed more than",
    ),
    Fault(
        "gigabytes past Python's stdout",
        Kind.OUTPUT,
        "import os\nwhile True: os.write(1, b'x' * 10**6)",
        LIMIT,
        "printed",
    ),
    Fault(
        "floods the channel",
        Kind.OUTPUT,
        CHANNEL + "while True: os.write(channels[-1], b'x' * 10**6)",
        ("crashed|limit",) * 3,
    ),
    Fault(
        "one huge file",
        Kind.OUTPUT,
        "with open('big', 'wb') as f:\n    while True: f.write(b'x' * 2**20)",
        RAISED,
        "large",
    ),
    Fault(
        "many large files",
        Kind.OUTPUT,
        "import time\nfor n in range(12):\n    open(str(n), 'wb').write(b'x' * 2**24)\ntime.sleep(20)",
        LIMIT,
        "files",
    ),
    Fault(
        "many files",
        Kind.OUTPUT,
        "import time\nfor n in range(5000): open(f'{n}', 'w').close()\ntime.sleep(20)",
        LIMIT,
        "files",
    ),
    Fault(
        "large files without a name",
        Kind.OUTPUT,
        "import os, time\nkept = []\nfor n in range(40):\n    f = open('hidden', 'wb'); os.unlink('hidden')\n"
        "    f.write(b'x' * 2**24); f.flush(); kept.append(f)\ntime.sleep(20)",
        LIMIT,
        "wrote",
    ),
    Fault(
        "folders thousands deep",
        Kind.OUTPUT,
        "import os\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')",
        NOTHING,
        "",
        "change the working folder",
    ),
    Fault(
        "files that nobody may read, links, pipes",
        Kind.OUTPUT,
        "import os\nos.mkdir('closed', 0)\nos.symlink('/etc', 'link')\nos.mkfifo('pipe')\n"
        "os.unlink('where.txt'); os.mkfifo('where.txt')",
        NOTHING,
    ),
    Fault(
        "too many open files",
        Kind.OUTPUT,
        "kept = []\nwhile True: kept.append(open('/dev/null'))",
        LIMIT,
        "opened more",
    ),
    Fault("closes its descriptors", Kind.OUTPUT, "import os; os.closerange(3, 256)", NOTHING),
    Fault(
        "closes every descriptor",
        Kind.OUTPUT,
        "import os, time; os.closerange(0, 65536); time.sleep(20)",
        CRASH,
        "closed the pipe",
    ),
    Fault("closes its output", Kind.OUTPUT, "import os; os.close(1); os.close(2)", NOTHING),
)

GRADER = (
    "import os\n"
    "above, is_grader = os.getppid(), True\n"
    "try:\n"
    "    above = int(open(f'/proc/{above}/stat').read().rsplit(')')[-1].split()[1])\n"
    "    is_grader = b'check' in open(f'/proc/{above}/cmdline', 'rb').read().split(b'\\0')\n"
    "except OSError: pass\n"
)

PARENT = (
    Fault(
        "kills its parent", Kind.PARENT, "import os; os.kill(os.getppid(), 9)", RAISED, "signal", "send a signal"
    ),
    Fault(
        "kills its parent, past Python",
        Kind.PARENT,
        "import ctypes, os; ctypes.CDLL(None).kill(os.getppid(), 9)",
        NOTHING,
    ),
    Fault(
        "kills the grader, past Python",
        Kind.PARENT,
        GRADER + "import ctypes\nif is_grader: ctypes.CDLL(None).kill(above, 9)",
        NOTHING,
    ),
    Fault(
        "stops its parent, past Python",
        Kind.PARENT,
        "import ctypes, os, time\nppid = os.getppid()\nC = ctypes.CDLL(None)\nif C.kill(ppid, 19) == 0:\n"
        "    time.sleep(4); C.kill(ppid, 18)",
        NOTHING,
    ),
    Fault(
        "limits its parent",
        Kind.PARENT,
        "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))",
        RAISED,
        "limits of another process",
        "change the limits",
    ),
    Fault(
        "limits its parent, past Python",
        Kind.PARENT,
        "import ctypes, os; ctypes.CDLL(None).prlimit(os.getppid(), 7, (ctypes.c_ulong * 2)(3, 3), None)",
        NOTHING,
    ),
    Fault(
        "reads its parent's memory",
        Kind.PARENT,
        "import os; open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
        RAISED,
        "PermissionError",
    ),
)

FORGERY = (
    tampering("prints fake results", "print('3 passed'); print('{\"status\": \"passed\"}')"),
    tampering(
        "writes result files",
        "for name in ('results.json', 'report.xml', '.pytest_cache', 'where.txt'): open(name, 'w').write('passed')",
    ),
    tampering(
        "patches torch's comparisons",
        "torch.allclose = torch.equal = torch.isclose = lambda *a, **k: True\n"
        "torch.testing.assert_close = lambda *a, **k: None\ntorch.Tensor.__eq__ = lambda *a: torch.ones(2, 3).bool()",
        ("wrong|raised",) * 3,
    ),
    tampering(
        "patches numpy's comparisons",
        "import numpy\nnumpy.allclose = numpy.array_equal = numpy.isclose = lambda *a, **k: True",
    ),
    tampering(
        "patches pytest",
        "import pytest, _pytest.runner\npytest.fail = lambda *a, **k: None\n_pytest.runner.call_and_report = None",
        ("wrong|raised",) * 3,
    ),
    tampering(
        "patches time",
        "import time\ntime.time = time.monotonic = time.perf_counter = lambda: 0.0",
    ),
    tampering(
        "patches random",
        "import random\nrandom.Random = random.random = lambda *a: None\ntorch.randn = torch.rand = lambda *a, **k: "
        "torch.zeros(2, 3)\ntorch.manual_seed = lambda *a: None",
        ("wrong|raised|crashed",) * 3,
    ),
    tampering(
        "patches observe so that it keeps nothing",
        "from grader.sandbox.observe import Observe\nObserve.__call__ = lambda *a, **k: None",
    ),
    tampering(
        "patches observe so that it doubles",
        "from grader.sandbox import observe\nobserve.freeze = lambda v, d=0: None",
    ),
    tampering(
        "patches draw so that all inputs are zero",
        "from grader.sandbox.draw import Draw\nDraw.normal = lambda s, *n, **k: torch.zeros(n)",
        ("wrong", "wrong", "wrong"),
    ),
    tampering(
        "patches the runner",
        "from grader.sandbox import runner\nfrom grader.protocol.runs import CheckRun, Ending\n"
        "runner.run_check = lambda probe, *a: CheckRun(probe.__name__, Ending.RETURNED)",
    ),
    tampering(
        "patches the frames",
        "from grader.protocol import frames\nreal = frames.encode\n"
        "frames.encode = lambda run: real(run).replace(b'test_double', b'test_dowble')",
        ("crashed|wrong",) * 3,
    ),
    tampering(
        "patches the comparison and the verdict",
        "import grader.judge.compare as c, grader.judge.verdict as v\nc.first_departure = lambda *a: None\n"
        "v.compare_runs = v.overall = lambda *a: 'passed'",
        ("raised|wrong",) * 3,
    ),
    tampering(
        "patches what json and struct write",
        'import json\njson.dumps = lambda *a, **k: \'{"ending": "passed"}\'',
        ("crashed",) * 3,
    ),
    tampering(
        "follows every call with a tracer",
        "import sys\ndef trace(frame, event, arg):\n    frame.f_locals['status'] = 'passed'\n    return trace\n"
        "sys.settrace(trace)",
        ("wrong|raised|crashed",) * 3,  # from Python 3.13 on, a tracer changes the variables that it sees
    ),
    tampering(
        "ends with exit code 0 after forged frames",
        CHANNEL + "from grader.protocol.frames import encode\nfrom grader.protocol.runs import CheckRun, Ending\n"
        "for name in ('import', 'test_double', 'test_total', 'test_counter'):\n"
        "    os.write(channels[-1], encode(CheckRun(name, Ending.RETURNED)))\nos._exit(0)",
        ("wrong|crashed",) * 3,
    ),
    tampering(
        "doubled frame",
        CHANNEL + "real = os.write\nos.write = lambda n, data: (real(n, data), real(n, data))[0]",
        ("crashed|wrong",) * 3,
    ),
    tampering(
        "truncated frame",
        CHANNEL + "real = os.write\nos.write = lambda n, data: (real(n, data[: len(data) // 2]), os._exit(0))",
        ("crashed|wrong",) * 3,
    ),
    tampering(
        "frame that announces a gigabyte",
        CHANNEL + "import struct\nos.write(channels[-1], struct.pack('<4sBIQ', b'KATA', 1, 2**31, 2**62))",
        ("crashed", "crashed", "crashed|wrong"),
    ),
    tampering(
        "frame of deep JSON",
        CHANNEL
        + "import struct\nh = b'[' * 60000\nos.write(channels[-1], struct.pack('<4sBIQ', b'KATA', 1, len(h), 0) + h)",
        ("crashed", "crashed", "crashed|wrong"),
    ),
    tampering(
        "names that move the cursor and hide text",
        "raise ValueError('\\x1b[2J\\x1b[31m passed \\u202e \\ud800 \\x07')",
        ("raised", "raised", "wrong"),
    ),
)

VALUE = (
    value(
        "an object equal to everything",
        "type('Equal', (), {'__eq__': lambda s, o: True, '__hash__': lambda s: 0})()",
        "object of type Equal",
    ),
    value(
        "a tensor equal to everything",
        "torch.Tensor._make_subclass(type('T', (torch.Tensor,), {'__eq__': lambda s, o: True}), x)",
    ),
    value("NaN", "torch.full_like(x, float('nan'))", "NaN"),
    value("infinity", "torch.full_like(x, float('inf'))"),
    value("right by broadcasting only", "(x * 2)[None]", "shape"),
    value("right in another dtype", "(x * 2).double()", "dtype"),
    value("nearly right", "x * 2.001"),
    value("an integer of 5,000 digits", "10**5000"),
    value("text with terminal escapes", "'\\x1b[2J\\ud800\\u202e'"),
    value("nested 5,000 deep", "[n := []] and [n := [n] for _ in range(5000)][-1]"),
    value("contains itself", "[m := [], m.append(m)][0]"),
    value("a function", "lambda: x * 2"),
    value("changes its input", "x.mul_(2)", "inputs that your code changed"),
    Fault(
        "another result each time",
        Kind.CHANCE,
        "",
        ("", "wrong", ""),
        "Two runs of your code",
        result="x * 2 + int.from_bytes(__import__('os').urandom(4), 'big')",
    ),
)

# A pattern that does not match itself.
MARK = "import re, sys\nmark = re.compile('What a reader o[f] the solution')\n"

REFERENCE = (
    Fault(
        "sought in sys.modules",
        Kind.REFERENCE,
        "import sys\nfound = [n for n in sys.modules if 'solution' in n]\nassert not found, found",
        NOTHING,
    ),
    Fault(
        "sought in frames",
        Kind.REFERENCE,
        MARK + "frame = sys._getframe()\nwhile frame:\n"
        "    assert not mark.search(repr(frame.f_locals)) and not mark.search(repr(frame.f_globals))\n"
        "    frame = frame.f_back",
        NOTHING,
    ),
    Fault(
        "sought among all objects",
        Kind.REFERENCE,
        MARK + "import gc\nfor o in gc.get_objects():\n"
        "    if isinstance(o, (dict, list, tuple)) and len(o) < 1000:\n"
        "        for i in list(o.values()) if isinstance(o, dict) else o:\n"
        "            assert not (isinstance(i, str) and mark.search(i))",
        NOTHING,
    ),
    Fault(
        "sought in memory",
        Kind.REFERENCE,
        MARK + "mark = re.compile(mark.pattern.encode())\n"
        "with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:\n"
        "    for line in maps:\n"
        "        where, rights, _, _, inode, *_ = line.split()\n"
        "        if rights.startswith('rw') and inode == '0':\n"
        "            start, end = (int(n, 16) for n in where.split('-'))\n"
        "            for piece in range(start, end, 2**24):\n"
        "                memory.seek(piece)\n"
        "                assert not mark.search(memory.read(min(end - piece, 2**24 + 100)))",
        NOTHING,
    ),
    Fault(
        "sought on disk",
        Kind.REFERENCE,
        "open(ROOT + '/solutions/' + NAME).read()",
        RAISED,
        "may not read",
        "read ",
    ),
    Fault(
        "sought on disk by another name",
        Kind.REFERENCE,
        "import os\nos.link(ROOT + '/solutions/' + NAME, 'mine'); open('mine').read()",
        RAISED,
        "may not read",
        "read ",
    ),
    Fault(
        "sought on disk, past Python",
        Kind.REFERENCE,
        "import ctypes\nassert ctypes.CDLL(None).open((ROOT + '/solutions/' + NAME).encode(), 0) < 0",
        NOTHING,
        needs=Layer.LANDLOCK,
    ),
    Fault(
        "sought in the history and in git",
        Kind.REFERENCE,
        "import ctypes\nC = ctypes.CDLL(None)\n"
        "assert C.open((ROOT + '/.grader/progress.sqlite3').encode(), 0) < 0\n"
        "assert C.open((ROOT + '/tutor/' + NAME[:-3] + '/double.toml').encode(), 0) < 0",
        NOTHING,
        needs=Layer.LANDLOCK,
    ),
    Fault(
        "sought in the other processes",
        Kind.REFERENCE,
        "import ctypes, os\nC = ctypes.CDLL(None)\nopened = [p for p in range(2, 100000) if p not in (os.getpid(),)\n"
        "    and os.path.exists(f'/proc/{p}') and C.open(f'/proc/{p}/mem'.encode(), 0) >= 0\n"
        "    and not os.path.exists(f'/proc/{os.getpid()}/task/{p}')]\nassert not opened, opened",
        NOTHING,
        needs=Layer.LANDLOCK,
    ),
)

PAST = "import ctypes\nC = ctypes.CDLL(None)\n"

SYSTEM = (
    answered("has others wait who open a file", Kind.PARENT, "C.fcntl(os.open('f', os.O_CREAT), 1024, 0)"),
    answered("watches a folder by its descriptor", Kind.PARENT, "C.fcntl(os.open('.', 0), 1026, 0x80000006)"),
    answered("watches the files of others", Kind.PARENT, "C.inotify_init()"),
    answered("traces its parent", Kind.PARENT, "C.ptrace(16, os.getppid(), 0, 0)"),
    answered(
        "reads its parent's memory by a call", Kind.PARENT, "C.process_vm_readv(os.getppid(), None, 0, None, 0, 0)"
    ),
    answered("opens its parent as a descriptor", Kind.PARENT, "C.syscall(434, os.getppid(), 0)"),
    answered("slows its parent down", Kind.PARENT, "C.setpriority(0, os.getppid(), 19)"),
    answered("takes the terminal", Kind.PARENT, "C.ioctl(0, 0x540E, 0)"),
    answered("hides what it writes", Kind.PARENT, "C.prctl(4, 0, 0, 0, 0)"),
    answered("lets others trace it", Kind.PARENT, "C.prctl(0x59616D61, -1, 0, 0, 0)"),
    answered("outlives the grader", Kind.LEFT_BEHIND, "C.prctl(1, 0, 0, 0, 0)"),
    answered("adopts the children of others", Kind.LEFT_BEHIND, "C.prctl(36, 1, 0, 0, 0)"),
    answered("a session of its own", Kind.LEFT_BEHIND, "C.setsid()"),
    answered("takes disk without writing", Kind.OUTPUT, "C.fallocate(os.open('f', os.O_CREAT | 1), 0, 0, 2**20)"),
    answered("makes a file without a name", Kind.OUTPUT, "C.open(b'.', os.O_TMPFILE | os.O_RDWR, 0o600)"),
    answered("opens files by a newer call", Kind.OUTPUT, "C.syscall(437, -100, b'.', b'\\0' * 24, 24)"),
    answered("calls in another numbering", Kind.OUTPUT, "C.syscall(0x40000000 | 39)"),
    answered("fills a big pipe", Kind.MEMORY, "C.fcntl(os.pipe()[1], 1031, 2**20)"),
    answered("a queue of messages that stays", Kind.MEMORY, "C.msgget(0, 0o1600)"),
    answered("removes the queues of others", Kind.MEMORY, "C.msgctl(0, 0, 0)"),
    answered("semaphores of others", Kind.MEMORY, "C.semctl(0, 0, 0, 0)"),
    answered("raises its own limits", Kind.MEMORY, "C.setrlimit(7, (ctypes.c_ulong * 2)(9999, 9999))"),
    answered("empties its solution by reading", Kind.REPOSITORY, "C.open(SOLUTION, os.O_RDONLY | os.O_TRUNC)"),
    answered("empties its solution by opening it for neither", Kind.REPOSITORY, "C.open(SOLUTION, 3 | os.O_TRUNC)"),
    answered("connects a pair of sockets elsewhere", Kind.REPOSITORY, f"C.connect({PAIR}, ADDRESS, 9) + {REFUSED}"),
    answered("names a pair of sockets", Kind.REPOSITORY, f"C.bind({PAIR}, b'\\1\\0name', 6)"),
    answered(
        "sends from a pair of sockets to elsewhere",
        Kind.REPOSITORY,
        f"C.sendto({PAIR}, b'x', 1, 0, ADDRESS, 9) + {REFUSED}",
    ),
    answered("sends a message from a pair of sockets", Kind.REPOSITORY, f"C.sendmsg({PAIR}, None, 0) + {REFUSED}"),
    Fault("calls of 32 bits", Kind.ENDING, MACHINE_CODE, ("", "crashed", ""), "signal SIG"),
    Fault(
        "an alarm that nobody waits for",
        Kind.ENDING,
        "import signal, time; signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(3)",
        CRASH,
        "SIGALRM",
    ),
    signalling("has the system kill its parent", "C.fcntl(n, 8, above)"),
    signalling("has the system kill its parent, by a record", "C.fcntl(n, 15, struct.pack('ii', 1, above))"),
    signalling("has the system kill its parent, by a control", "C.ioctl(n, 0x8901, struct.pack('i', above))"),
    signalling("has the system kill its parent's group", "C.ioctl(n, 0x8902, struct.pack('i', -above))"),
    Fault(
        "files that are only mapped, past Python",
        Kind.OUTPUT,
        PAST
        + "import os, time\nP = ctypes.c_void_p\nfor n in range(12):\n    f = open('m', 'wb+'); f.truncate(2**25)\n"
        "    C.mmap(P(0), P(4096), P(3), P(1), P(f.fileno()), P(0)); os.unlink('m'); f.close()\ntime.sleep(20)",
        ("", "limit", ""),
        "wrote files",
    ),
    Fault(
        "files too deep for a path",
        Kind.OUTPUT,
        "import os, time\nfor _ in range(20): os.mkdir('d' * 250); os.chdir('d' * 250)\n"
        "open('f', 'wb').write(b'x' * 2**20); time.sleep(20)",
        ("", "limit", ""),
        "cannot look into",
    ),
    Fault(
        "files in a folder that cannot be listed",
        Kind.OUTPUT,
        "import os, time\nos.mkdir('d', 0o300)\nfor n in range(5): open(f'd/{n}', 'wb').truncate(2**24)\n"
        "time.sleep(20)",
        ("", "limit", ""),
    ),
    Fault(
        "removes its working folder",
        Kind.REPOSITORY,
        "import os, shutil; shutil.rmtree(os.getcwd())",
        RAISED,
        "may not remove",
        "remove or replace",
    ),
    Fault(
        "moves its working folder",
        Kind.REPOSITORY,
        "import os; os.mkdir('d'); os.rename('d', '../' + os.path.basename(os.getcwd()))",
        ("", "raised", ""),
        "may not remove",
        "remove or replace",
    ),
    Fault(
        "a link in the place of its working folder, past Python",
        Kind.REPOSITORY,
        PAST + "import os\nhere = os.getcwd().encode()\nfor n in os.listdir('.'): C.unlink(n.encode())\n"
        "C.rmdir(here); C.symlink((ROOT + '/tutor').encode(), here)",
        ("", "passed|crashed", "passed|crashed"),
    ),
    Fault(
        "links among its folders",
        Kind.REPOSITORY,
        "import os\nos.makedirs('d/d/d/d'); os.symlink(ROOT + '/tutor', 'd/d/link')\n"
        "os.makedirs('.0/.0/.0'); os.makedirs('.1/.1'); os.symlink(ROOT, '.0/.0/.1'); os.chmod('.', 0)",
        ("", "passed", ""),
    ),
    Fault(
        "goes elsewhere and stays there",
        Kind.REPOSITORY,
        "import os; os.chdir(ROOT)",
        NOTHING,
        "",
        "change the working folder",
    ),
)

REPOSITORY = (
    Fault(
        "deletes the tests",
        Kind.REPOSITORY,
        "import shutil; shutil.rmtree(ROOT + '/tests')",
        RAISED,
        "may not write",
        "write or change",
    ),
    Fault(
        "deletes the solutions, quietly",
        Kind.REPOSITORY,
        "import shutil; shutil.rmtree(ROOT + '/solutions', ignore_errors=True)",
        ("passed|raised", "passed|raised", "passed"),
        "",
        "write or change",
    ),
    Fault(
        "deletes its solution, past Python",
        Kind.REPOSITORY,
        PAST + "C.unlink((ROOT + '/solutions/' + NAME).encode())",
        NOTHING,
        needs=Layer.LANDLOCK,
    ),
    Fault(
        "rewrites its tests",
        Kind.REPOSITORY,
        "open(ROOT + '/tests/test_' + NAME, 'w').write('')",
        RAISED,
        "may not write",
        "write or change",
    ),
    Fault(
        "rewrites its own file, past Python",
        Kind.REPOSITORY,
        PAST + "n = C.open((ROOT + '/exercises/' + NAME).encode(), 1)\nC.write(n, b'# mine', 6)",
        NOTHING,
        needs=Layer.LANDLOCK,
    ),
    Fault(
        "rewrites the history",
        Kind.REPOSITORY,
        "import sqlite3\nsqlite3.connect(ROOT + '/.grader/progress.sqlite3').execute('DELETE FROM attempts')",
        RAISED,
        "may not write",
        "write or change",
    ),
    Fault(
        "empties the history, past Python",
        Kind.REPOSITORY,
        PAST + "C.truncate((ROOT + '/.grader/progress.sqlite3').encode(), 0)",
        NOTHING,
        needs=Layer.LANDLOCK,
    ),
    Fault(
        "writes through a link",
        Kind.REPOSITORY,
        "import os\nos.symlink(ROOT + '/tests/test_' + NAME, 'mine'); open('mine', 'a').write('x')",
        RAISED,
        "may not write",
        "write or change",
    ),
    Fault(
        "moves the grader away, past Python",
        Kind.REPOSITORY,
        PAST + "C.rename((ROOT + '/tutor/' + NAME[:-3] + '/double.toml').encode(), (ROOT + '/../gone').encode())",
        NOTHING,
        needs=Layer.LANDLOCK,
    ),
    Fault(
        "makes its solution unreadable",
        Kind.REPOSITORY,
        "import os; os.chmod(ROOT + '/solutions/' + NAME, 0)",
        RAISED,
        "may not write",
        "write or change",
    ),
    Fault(
        "makes its solution unreadable, past Python",
        Kind.REPOSITORY,
        PAST + "C.chmod((ROOT + '/solutions/' + NAME).encode(), 0)",
        NOTHING,
    ),
    Fault(
        "writes beside the repository",
        Kind.REPOSITORY,
        "open(ROOT + '/../beside.txt', 'w').write('x')",
        RAISED,
        "may not write",
        "write or change",
    ),
    Fault(
        "changes the working folder",
        Kind.REPOSITORY,
        "import os; os.mkdir('d'); os.chdir('d')",
        NOTHING,
        "",
        "change the working folder",
    ),
    Fault(
        "changes the environment",
        Kind.REPOSITORY,
        "import os; os.environ['PYTHONPATH'] = '/x'; os.environ.pop('PATH', None)",
        NOTHING,
        "",
        "change environment",
    ),
    Fault(
        "listens on a port",
        Kind.REPOSITORY,
        "import socket; socket.socket().bind(('127.0.0.1', 0))",
        RAISED,
        "PermissionError",
    ),
    Fault(
        "listens on a port, past Python",
        Kind.REPOSITORY,
        PAST + "assert C.socket(2, 1, 0) < 0 and C.socket(2, 2, 0) < 0 and C.socket(1, 1, 0) < 0",
        NOTHING,
    ),
    Fault(
        "asks for an address",
        Kind.REPOSITORY,
        "import socket; socket.getaddrinfo('localhost', 80)",
        RAISED,
        "use the network",
        "use the network",
    ),
)

FORBIDDEN = (
    Fault(
        "forbidden by another name",
        Kind.FORBIDDEN,
        "",
        ("", "forbidden", ""),
        "`sum`",
        result="getattr(torch, 'su' + 'm')(x) * 0 + x * 2",
    ),
    Fault(
        "forbidden through torch.ops",
        Kind.FORBIDDEN,
        "",
        ("", "forbidden", ""),
        "`sum`",
        result="torch.ops.aten.sum.default(x) * 0 + x * 2",
    ),
    Fault(
        "forbidden by a name that is longer",
        Kind.FORBIDDEN,
        "",
        ("", "forbidden", ""),
        "`sparse_sum`",
        result="torch.sparse.sum(x.to_sparse()) * 0 + x * 2",
    ),
    Fault(
        "forbidden in a kind of tensor",
        Kind.FORBIDDEN,
        "global Mine\nclass Mine(torch.Tensor):\n    @classmethod\n"
        "    def __torch_function__(cls, *rest): return torch.ones(2).sum()",
        ("forbidden", "forbidden", ""),
        "`sum`",
        result="x.as_subclass(Mine).exp() * 0 + x * 2",
    ),
    Fault(
        "forbidden in a gradient",
        Kind.FORBIDDEN,
        "",
        ("", "forbidden", ""),
        "`sum`",
        result="[y := (x * 1).requires_grad_(), y.register_hook(lambda g: g.sum() * g), y.mean().backward()] and x * 2",
    ),
    Fault(
        "forbidden in a thread",
        Kind.FORBIDDEN,
        "",
        ("", "forbidden", ""),
        "`sum`",
        result="[t := _threading.Thread(target=lambda: x.sum()), t.start(), t.join()] and x * 2",
    ),
    Fault(
        "forbidden in a thread that was there before",
        Kind.FORBIDDEN,
        "global pool\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1); pool.submit(abs, 1).result()",
        ("forbidden", "forbidden", ""),
        "`sum`",
        result="pool.submit(torch.sum, x).result() * 0 + x * 2",
    ),
    Fault(
        "forbidden in a thread past the module for it",
        Kind.FORBIDDEN,
        "global start, results\nfrom _thread import start_new_thread as start\n"
        "import queue\nresults = queue.Queue()",
        ("forbidden", "forbidden", ""),
        "`sum`",
        result="[start(lambda: results.put(x.sum()), ()), results.get(timeout=1)] and x * 2",
    ),
    Fault(
        "forbidden in a thread of another kind",
        Kind.FORBIDDEN,
        "global done, Bare\ndone = _threading.Event()\nclass Bare(_threading.Thread):\n"
        "    def _bootstrap_inner(self):\n        self._started.set()\n"
        "        try: torch.ones(3).sum()\n        finally: done.set()",
        ("forbidden", "forbidden", ""),
        "`sum`",
        result="[Bare().start(), done.wait(1)] and x * 2",
    ),
    Fault(
        "forbidden, with the refusal swallowed",
        Kind.FORBIDDEN,
        "try: torch.ones(3).sum()\nexcept BaseException: pass",
        ("", "forbidden", ""),
        "`sum`",
    ),
    Fault(
        "threads that do nothing forbidden",
        Kind.FORBIDDEN,
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(2) as pool: list(pool.map(torch.exp, [torch.ones(2)] * 4))\n"
        "t = _threading.Thread(target=abs, args=(1,)); t.start(); t.join()",
        ("passed", "passed", "passed"),
    ),
    Fault(
        "forbidden in code that torch compiles",
        Kind.FORBIDDEN,
        "global double\nmark = torch.jit.script\n@mark\ndef summed(x: torch.Tensor) -> torch.Tensor:\n"
        "    return x.sum() * 0 + x * 2\ndef double(x): return summed(x)",
        ("forbidden", "forbidden", ""),
        "`torch.jit.script`",
    ),
    Fault(
        "forbidden in a tensor that was kept",
        Kind.FORBIDDEN,
        "global kept\nkept = torch.ones(3).sum().clone()",
        ("forbidden", "forbidden", ""),
        "`sum`",
        result="kept * 0 + x * 2",
    ),
    Fault(
        "forbidden in torch's own copy of it",
        Kind.FORBIDDEN,
        "",
        ("", "forbidden", ""),
        "`sum`",
        result="torch._refs.sum(x) * 0 + x * 2",
    ),
    Fault(
        "forbidden below torch's dispatch",
        Kind.FORBIDDEN,
        "global keys\nkeys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)",
        ("forbidden", "forbidden", ""),
        "`sum`",
        result="torch.ops.aten.sum.default.redispatch(keys, x) * 0 + x * 2",
    ),
    Fault(
        "forbidden in an operation of one's own",
        Kind.FORBIDDEN,
        "global own\n@torch.library.custom_op('mine::own', mutates_args=())\n"
        "def own(x: torch.Tensor) -> torch.Tensor: return x.sum() * 1",
        ("forbidden", "", ""),
        "`torch.library.Library.impl`",
        result="own(x) * 0 + x * 2",
    ),
    Fault(
        "forbidden in a thread that C starts",
        Kind.FORBIDDEN,
        "import ctypes\ndone = []\n"
        "call = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: done.append(torch.ones(3).sum()))\n"
        "thread, library = ctypes.c_void_p(), ctypes.CDLL(None)\n"
        "library.pthread_create(ctypes.byref(thread), None, call, None)\nlibrary.pthread_join(thread, None)",
        ("forbidden", "forbidden", ""),
        "`ctypes.pthread_create`",
    ),
    Fault("a forbidden package", Kind.FORBIDDEN, "import tiktoken", ("forbidden", "forbidden", ""), "tiktoken"),
)

UNREADABLE = ("unreadable", "unreadable", "unreadable")
READING = (
    Fault("module name of 300 letters", Kind.READING, f"from .{'a' * 300} import x", RAISED, "No module named"),
    Fault("imports from above its folder", Kind.READING, "from ..solutions import x", RAISED, "beyond top-level"),
    Fault(
        "ten thousand names of its folder",
        Kind.READING,
        f"from . import {', '.join(f'n{number}' for number in range(10_000))}",
        RAISED,
        "cannot import name",
    ),
    Fault(
        "imports itself while it is imported",
        Kind.READING,
        "import importlib\nimportlib.import_module('.' + NAME[:-3], __package__).total",
        ("raised", "passed", "passed"),
        "imports itself",
    ),
    Fault("sum of 2,000 terms", Kind.READING, " + ".join(["1"] * 2000), NOTHING),
    Fault("250 calls in a chain", Kind.READING, f"'a'{'.strip()' * 250}", NOTHING),
    Fault("brackets deeper than Python takes", Kind.READING, f"{'(' * 300}1{')' * 300}", UNREADABLE, "parentheses"),
    Fault("signs deeper than Python takes", Kind.READING, f"{'-' * 100_000}1", UNREADABLE, "too deep"),
    Fault("what only the compiler refuses", Kind.READING, "nonlocal nothing", UNREADABLE, "nonlocal"),
    Fault("a null byte", Kind.READING, "'\0'", UNREADABLE, "null bytes"),
    Fault("an escape that Python warns of", Kind.READING, r"'\d'", NOTHING),
)

FAULTS = (
    *TIME, *ENDING, *LEFT_BEHIND, *MEMORY, *OUTPUT, *PARENT, *FORGERY, *VALUE, *REFERENCE, *REPOSITORY, *FORBIDDEN,
    *READING, *SYSTEM,
)  # fmt: skip
