"""What one check leaves behind does not reach the next, and no error of the code's own making hides the cause."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from grader.judge.results import ExerciseResult, Status
from grader.protocol.values import MAX_MESSAGE
from grader.sandbox.observe import message_of
from tests.mini import SOLUTION, with_body

Grade = Callable[[str], ExerciseResult]

LEFT_BEHIND = {
    "a folder that is gone": "import os, tempfile\nwith tempfile.TemporaryDirectory() as folder: os.chdir(folder)",
    "a working folder": "import os\nos.mkdir('deeper'); os.chdir('deeper')",
    "environment variables": "import os\nos.environ.clear()",
    "a default device": "torch.set_default_device('meta')",
    "a default dtype": "torch.set_default_dtype(torch.float64)",
    "no gradients": "torch.set_grad_enabled(False)",
    "deterministic algorithms": "torch.use_deterministic_algorithms(True)",
    "anomaly detection": "torch.autograd.set_detect_anomaly(True)",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')",
    "a low recursion limit": "import sys\nsys.setrecursionlimit(200)",
    "many threads": "torch.set_num_threads(4)",
    "another output": "import io, sys\nsys.stdout = sys.stderr = io.StringIO()",
    "closed output": "import sys\nsys.stdout.close()",
}
# In the check that follows: each of these would fail there if what was left behind still held.
NEXT = """
import os, sys, warnings
    os.getcwd()
    warnings.warn("nothing to worry about")
    assert os.environ["OMP_NUM_THREADS"] == "1" == str(torch.get_num_threads())
    assert torch.zeros(1).device.type == "cpu" and torch.zeros(1).dtype == torch.float32
    assert torch.is_grad_enabled() and not torch.is_anomaly_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert sys.getrecursionlimit() >= 1000
    return x.sum(dim=-1)
""".strip()


@pytest.mark.parametrize("code", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_what_a_check_leaves_behind_does_not_reach_the_next(grade: Grade, code: str) -> None:
    first = with_body(textwrap.indent(f"{code}\nreturn x * 2", "    ").strip())
    result = grade(first.replace("return x.sum(dim=-1)", NEXT))
    assert result.status is Status.PASSED, result.first_open


@pytest.mark.slow
@pytest.mark.parametrize("code", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_nor_does_what_the_import_leaves_behind(grade: Grade, code: str) -> None:
    result = grade(
        SOLUTION.replace("import torch\n", f"import torch\n{code}\n").replace("return x.sum(dim=-1)", NEXT)
    )
    assert result.status is Status.PASSED, result.first_open


HOSTILE = {
    "raises": "def __str__(self): raise ValueError('no')",
    "ends the process": "def __str__(self): raise SystemExit(0)",
    "recurses": "def __str__(self): return str(self)",
    "is no text": "def __str__(self): return 3",
    "is a text that cannot be cut": "def __str__(self): return Text('x' * 20000)",
    "has no number": "errno = property(lambda self: 1 / 0)",
    "has no trace": "__traceback__ = property(lambda self: 1 / 0)",
    "has no class": "__class__ = property(lambda self: 1 / 0)",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("base", ["Exception", "OSError"])
def test_an_error_that_resists_being_read_is_told_by_its_name(grade: Grade, body: str, base: str) -> None:
    text = "class Text(str):\n        def __getitem__(self, key): raise KeyError(key)\n    "
    result = grade(with_body(f"{text}class Oops({base}):\n        {body}\n    raise Oops('it broke')"))
    assert result.status is Status.RAISED
    assert result.first_open
    # Some versions of Python look at the trace themselves: then it is what the code raises there that is told.
    told = ("Oops", "ZeroDivisionError") if "__traceback__" in body else ("Oops",)
    assert any(name in result.first_open.message for name in told)


def test_so_is_one_whose_class_lies_about_its_name(grade: Grade) -> None:
    body = (
        "class Kind(type):\n        __name__ = __mro__ = __module__ = property(lambda cls: 1 / 0)\n"
        "    class Oops(Exception, metaclass=Kind): pass\n    raise Oops('it broke')"
    )
    result = grade(with_body(body))
    assert result.status is Status.RAISED
    assert result.first_open and "Oops" in result.first_open.message


def test_a_long_message_says_that_it_is_cut() -> None:
    assert message_of(ValueError("x" * MAX_MESSAGE)) == "x" * MAX_MESSAGE
    cut = message_of(ValueError("x" * (MAX_MESSAGE + 1)))
    assert len(cut) == MAX_MESSAGE and cut.endswith("(cut)")


CALLED_FIRST = {
    "an optimizer": "torch.optim.SGD([torch.nn.Parameter(torch.ones(1))]).zero_grad()",
    "a copy on the device meta": "torch.empty(2, 3, device='meta').copy_(torch.ones(3))",
}


@pytest.mark.parametrize("code", CALLED_FIRST.values(), ids=CALLED_FIRST)
def test_nothing_waits_for_the_import_of_a_compiler(grade: Grade, code: str) -> None:
    looks = "import sys\n    assert 'torch._dynamo' not in sys.modules"
    result = grade(with_body(f"{code}\n    {looks}\n    return x * 2"))
    assert result.status is Status.PASSED, result.first_open
