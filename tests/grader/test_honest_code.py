"""Right code passes with whatever habits its author has, and nothing is held against it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from grader.judge.results import ExerciseResult, Status
from tests.mini import SOLUTION

Grade = Callable[[str], ExerciseResult]
HABITS = """\
# a progress bar
from tqdm import tqdm
for _ in tqdm(range(3)): pass

# logging
import logging
logging.basicConfig(level=logging.INFO)
logging.info('begun')

# asyncio
import asyncio
async def one(): return 1
asyncio.run(one())

# a pool of threads
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as pool: list(pool.map(torch.exp, [torch.ones(2)] * 4))

# a timer
import threading
later = threading.Timer(10, print)
later.start()
later.cancel()

# a DataLoader
list(torch.utils.data.DataLoader(torch.arange(6), batch_size=2, shuffle=True))

# temporary files
import tempfile
with tempfile.TemporaryDirectory() as folder: open(folder + '/x', 'w').close()

# caches of libraries
import os
caches = [os.environ[name] for name in ('MPLCONFIGDIR', 'TORCHINDUCTOR_CACHE_DIR', 'XDG_CACHE_HOME')]
for folder in caches: open(folder + '/x', 'w').close()

# torch.save
torch.save({'weight': torch.ones(2)}, 'a.pt')
torch.load('a.pt')

# safetensors
from safetensors.torch import load_file, save_file
save_file({'a': torch.ones(2)}, 'a')
load_file('a')

# numpy on disk
import numpy as np
ids = np.memmap('ids', dtype='uint16', mode='w+', shape=(9,))
ids[:] = 1
ids.flush()

# a database
import sqlite3
sqlite3.connect('a.db').execute('create table a(b)')

# folders
from pathlib import Path
Path('d').mkdir(exist_ok=True)
Path('d/x').write_text('x')
list(Path().iterdir())

# looking for files
import os
os.path.exists('../data'), os.path.expanduser('~'), os.getcwd(), list(os.walk('.'))

# touching what is there and what is not
import os
from pathlib import Path
Path('new').touch()
Path('new').touch()
assert Path('new').exists()
for change in (os.utime, lambda path: os.chmod(path, 0o600), lambda path: Path(path).chmod(0o600)):
    change('new')
    try: change('missing')
    except FileNotFoundError: pass
    else: raise AssertionError

# archives
import tarfile, zipfile
open('a', 'w').close()
with tarfile.open('a.tar', 'w') as t: t.add('a')
with tarfile.open('a.tar') as t: t.extractall('out', filter='data')
with zipfile.ZipFile('a.zip', 'w') as z: z.write('a')
with zipfile.ZipFile('a.zip') as z: z.extractall('out')

# links of its own
import os
open('a', 'w').close()
os.symlink('.', 'loop')
os.symlink('/usr', 'far')
os.rename('far', 'farther')
os.unlink('loop'), os.unlink('farther'), os.makedirs('.', exist_ok=True)

# room on the disk
import os
with open('a', 'wb') as f: os.posix_fallocate(f.fileno(), 0, 4096)
os.truncate('a', 10)

# a pair of sockets
import socket
one, other = socket.socketpair()
one.setblocking(True), one.sendall(b'x'), other.recv(1)

# copies
import shutil
open('a', 'w').close()
shutil.copy2('a', 'b')
shutil.move('b', 'c')

# pickle
import copy, pickle
pickle.loads(pickle.dumps(torch.ones(2)))
copy.deepcopy(torch.nn.Linear(2, 2))

# several threads in torch
torch.set_num_threads(2)
torch.ones(300, 300) @ torch.ones(300, 300)

# one thread in torch
torch.set_num_threads(1)

# numbers out of tensors and back
import numpy
numpy.asarray(x.detach().cpu()), x.tolist(), x[0, 0].item(), torch.from_numpy(x.numpy())
x.data_ptr(), x.untyped_storage()

# odd ways to compute
torch.einsum('ij,kj->ik', x, x), torch.func.jacrev(torch.exp)(x), torch.nn.utils.parameters_to_vector([x])
torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2))(torch.ones(1, 2))
x.clone().requires_grad_().mul(2).mean().backward()

# seeds
import random, numpy
random.seed(1)
numpy.random.seed(1)
torch.manual_seed(1)

# deterministic algorithms
torch.use_deterministic_algorithms(True)

# options for printing
torch.set_printoptions(precision=3, sci_mode=False)
print(torch.ones(3))

# another device
torch.device('cuda' if torch.cuda.is_available() else 'cpu')
torch.backends.mps.is_available()

# mixed precision
with torch.autocast('cpu', dtype=torch.bfloat16): torch.ones(2, 2) @ torch.ones(2, 2)

# anomaly detection
with torch.autograd.detect_anomaly(): torch.ones(1, requires_grad=True).exp().backward()

# torch.func
torch.vmap(torch.exp)(torch.ones(3))
torch.func.grad(torch.exp)(torch.ones(()))

# checkpointing
from torch.utils.checkpoint import checkpoint
checkpoint(torch.nn.Linear(2, 2), torch.ones(1, 2, requires_grad=True), use_reentrant=False)

# warnings
import warnings
warnings.filterwarnings('ignore')
warnings.warn('careful')

# source code
import inspect
inspect.getsource(torch.nn.Linear)
inspect.getsource(total)

# its own tests
import doctest, sys
doctest.testmod(sys.modules[__name__])

# pytest
import pytest
with pytest.raises(ValueError): int('x')

# measuring
import cProfile, timeit, tracemalloc
timeit.timeit('1', number=9)
cProfile.run('1')
tracemalloc.start()

# memory
import psutil, resource
psutil.Process().memory_info()
resource.getrusage(resource.RUSAGE_SELF)

# the machine
import os, platform, socket
platform.platform(), platform.processor(), os.cpu_count(), socket.gethostname()

# time
import datetime, time, zoneinfo
time.sleep(0.01)
time.strftime('%c')
datetime.datetime.now(zoneinfo.ZoneInfo('UTC'))

# signals
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)

# settings
import locale, sys
locale.setlocale(locale.LC_ALL, '')
sys.setrecursionlimit(10_000)
sys.path.append('.')

# much output
for number in range(3000): print(number)

# output elsewhere
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()): print('quiet')

# a handler at exit
import atexit
atexit.register(print, 'bye')

# curves
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.savefig('loss.png')
plt.show()

# colours
from rich import print as show
show('[red]loss')

# another optimizer
torch.optim.SGD([torch.ones(2, requires_grad=True)], lr=0.1).step()

# the text of what torch has
import inspect
assert 'max_norm' in inspect.getsource(torch.nn.utils.clip_grad_norm_)
inspect.getsource(torch.optim.AdamW), inspect.signature(torch.optim.AdamW)

# many tensors at once
torch._foreach_mul([x, x], 2), torch._foreach_norm([x])

# a derivative of its own
class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x * 2
    @staticmethod
    def backward(ctx, gradient): return gradient * 2
Double.apply(torch.ones(2, requires_grad=True)).mean().backward()

# traced layers
import torch.fx
torch.fx.symbolic_trace(torch.nn.Linear(2, 2))(torch.ones(1, 2))

# derivatives forward
torch.func.jacfwd(torch.tanh)(torch.ones(2))

# a C library
import ctypes
ctypes.pythonapi.Py_GetVersion()
"""
HABITS += f"""
# a sum of many terms
{" + ".join(["1"] * 600)}

# a long chain of calls
"a"{".replace('a', 'b')" * 250}
"""


each_habit = pytest.mark.parametrize(
    "habit", HABITS.split("\n\n"), ids=lambda habit: habit.partition("\n")[0].removeprefix("# ")
)


@each_habit
def test_habits_change_nothing(grade: Grade, habit: str) -> None:
    body = "return x * 2"
    result = grade(SOLUTION.replace(body, textwrap.indent(f"{habit}\n{body}", "    ").strip()))
    assert result.status is Status.PASSED, result.first_open
    assert result.refused == ()


@pytest.mark.slow
@each_habit
def test_nor_do_they_at_import(grade: Grade, habit: str) -> None:
    result = grade(f"{SOLUTION}\nx = torch.ones(2, 3)\n{habit}\n")
    assert result.status is Status.PASSED, result.first_open
    assert result.refused == ()


def test_at_import_it_may_compare_with_what_a_function_may_not_use(grade: Grade) -> None:
    """Here `double` may not call sum, clip_grad_norm_ or AdamW. Its author tries them at import all the same."""
    compared = """
x = torch.ones(2, 3, requires_grad=True)
print(total(x), x.sum(), torch.ones(3).sum().item())
assert torch.allclose(total(x), x.sum(dim=-1))
x.sum().backward()
torch.nn.utils.clip_grad_norm_([x], 1.0)
torch.optim.AdamW([x]).step()
EXPECTED = {"total": total(x), "sums": [x.sum(dim=0), x.sum(dim=1)]}
"""
    result = grade(SOLUTION + compared)
    assert result.status is Status.PASSED, result.first_open
