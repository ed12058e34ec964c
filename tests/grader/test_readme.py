"""What the README shows is what one sees: its transcripts, its table of exercises, its numbers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from grader.course.catalogue import exercise_ids
from tests.mini import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
Command = Callable[..., subprocess.CompletedProcess[str]]
STUB = "raise NotImplementedError"


def test_the_first_ten_minutes_are_as_shown(command: Command, checkout: Path) -> None:
    transcripts = re.findall(r"```\n\$ python3 -m grader\n(.*?)```", README, re.DOTALL)
    (first_try,) = re.findall(r"```python\n    (return torch\.exp.*?)\n```", README)
    path = checkout / "exercises" / "ex00_tensors.py"
    stub = path.read_text(encoding="utf-8")
    at = stub.index(STUB, stub.index("def softmax"))
    bodies = (STUB, first_try, f"x = x - x.amax(dim=dim, keepdim=True)\n    {first_try}")
    try:
        for body, transcript in zip(bodies, transcripts, strict=True):
            path.write_text(stub[:at] + body + stub[at + len(STUB) :], encoding="utf-8")
            seed = re.search(r"seed (\d+)", transcript)
            assert seed is not None
            assert command("--seed", seed[1], COLUMNS="80").stdout == transcript
    finally:
        path.write_text(stub, encoding="utf-8")


def test_the_table_lists_every_exercise_in_order() -> None:
    assert re.findall(r"^\| `(ex\d\d_\w+)` \|", README, re.MULTILINE) == list(exercise_ids(ROOT))


def test_every_command_is_listed(command: Command) -> None:
    listed = command("--help").stdout.partition("Commands:")[2].partition("For instance:")[0]
    known = re.findall(r"^  (\w+) ", listed, re.MULTILINE)
    assert {"check", "show", "update"} <= set(known)
    unlisted = {name for name in known if f"python3 -m grader {name}" not in README}
    assert unlisted == {"stubs", "matrix"}  # those are the authors', in CONTRIBUTING
