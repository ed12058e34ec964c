"""The control: the same cheating against plain pytest, which imports the code under test and trusts the process.

If it did not succeed there, surviving it here would prove nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.faults.harness.table import Fault, tampering

# What an ordinary course hands out: the reference beside the test, and asserts that compare with it.
REFERENCE = "def double(x):\n    return x * 2\n"
TEST = """
import pytest
import torch
from mine import double
from reference import double as expected_double

def test_double():
    x = torch.tensor([1.0, 2.0, 3.0])
    expected = expected_double(x)
    assert torch.allclose(double(x), expected)

def test_double_exactly():
    x = torch.tensor([[0.5], [4.0]])
    expected = expected_double(x)
    assert torch.equal(double(x), expected)
"""
NEVER_PASSED = ("wrong|raised|crashed|limit|blocked",) * 3
TAMPERINGS: tuple[Fault, ...] = (
    tampering("ends the process with exit code 0", "import os; os._exit(0)", NEVER_PASSED),
    tampering("ends it at exit", "import atexit, os; atexit.register(os._exit, 0)", NEVER_PASSED),
    tampering(
        "makes every comparison true",
        "torch.allclose = torch.equal = lambda *a, **k: True",
        NEVER_PASSED,
    ),
    tampering(
        "takes the reference from memory",
        "import sys\nglobal double\ndouble = lambda x: sys.modules['reference'].double(x)",
        NEVER_PASSED,
    ),
    tampering(
        "takes the reference from disk",
        "import importlib\nglobal double\ndouble = importlib.import_module('reference').double",
        NEVER_PASSED,
    ),
    tampering(
        "takes the expected value from the caller",
        "import sys\nglobal double\ndouble = lambda x: sys._getframe(1).f_locals['expected']",
        NEVER_PASSED,
    ),
    tampering(
        "patches the reference",
        "import reference\nreference.double.__code__ = (lambda x: x).__code__",
        NEVER_PASSED,
    ),
    tampering(
        "has every test skipped",
        "import pytest\nglobal double\ndef double(x): pytest.skip()",
        NEVER_PASSED,
    ),
    tampering(
        "makes pytest report what it likes",
        "import _pytest.runner\nreal = _pytest.runner.TestReport.from_item_and_call\n"
        "def report(item, call):\n    found = real(item, call)\n    found.outcome = 'passed'\n    return found\n"
        "_pytest.runner.TestReport.from_item_and_call = report",
        NEVER_PASSED,
    ),
    tampering(
        "returns an object that agrees with everything",
        "global double\nclass Agrees(torch.Tensor):\n"
        "    @classmethod\n    def __torch_function__(cls, *a, **k): return True\n"
        "def double(x): return x.as_subclass(Agrees)",
        NEVER_PASSED,
    ),
)


def against_pytest(folder: Path, fault: Fault) -> int:
    """The exit code of plain pytest on wrong code that does this: 0 where the cheating succeeds."""
    code = "\n".join("    " + line for line in fault.code.splitlines())
    mine = f"import torch\n\ndef double(x):\n    return x\n\ndef _cheat():\n{code}\n\n_cheat()\n"
    folder.mkdir()
    (folder / "mine.py").write_text(mine, encoding="utf-8")
    (folder / "reference.py").write_text(REFERENCE, encoding="utf-8")
    (folder / "test_double.py").write_text(TEST, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_double.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode
