"""Every verdict, end to end: real processes, a small exercise, a learner's text."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from grader.course.catalogue import load
from grader.course.exercise import Exercise
from grader.grading.restarts import LATER, TOTAL
from grader.grading.session import Session
from grader.judge.results import CheckResult, ExerciseResult, Report, Status
from grader.learner.history import Store
from grader.report import junit
from grader.supervisor import watch
from grader.supervisor.launcher import Launcher
from tests.mini import HINTS, ID, PROBES, SOLUTION, TITLE, with_body, write_exercise

Grade = Callable[[str], ExerciseResult]


def first(result: ExerciseResult) -> CheckResult:
    assert result.first_open is not None
    return result.first_open


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_the_reference_passes(grade: Grade) -> None:
    result = grade(SOLUTION)
    assert result.status is Status.PASSED
    assert [check.status for check in result.checks] == [Status.PASSED] * 3


def test_a_stub_is_unfinished_and_says_where_to_begin(grade: Grade, exercise: Exercise) -> None:
    result = grade(exercise.stub)
    assert result.status is Status.UNFINISHED
    assert {check.status for check in result.checks} == {Status.UNFINISHED}
    place = first(result).place
    assert place is not None
    assert place.function == "double"
    assert exercise.stub.splitlines()[place.line - 1].strip() == "raise NotImplementedError"


def test_a_half_written_file_is_judged_function_by_function(grade: Grade) -> None:
    result = grade(with_body("raise NotImplementedError"))
    assert result.status is Status.UNFINISHED
    assert [check.status for check in result.checks] == [Status.UNFINISHED, Status.PASSED, Status.PASSED]


def test_a_known_mistake_is_told(grade: Grade) -> None:
    result = grade(with_body("return 3.0 * x"))
    assert result.status is Status.WRONG
    check = first(result)
    assert (check.mistakes, check.message) == (("tripled",), "You triple.")
    assert check.place is not None and check.place.line == line_of(SOLUTION, "def double")


def test_an_unknown_mistake_is_described(grade: Grade) -> None:
    check = first(grade(with_body("return x * 2 + 1")))
    assert check.status is Status.WRONG
    assert check.mistakes == ()
    assert "6 of 6 values are off, by up to 1" in check.message
    assert check.difference is not None and check.difference.actual


def test_an_endless_loop_is_a_timeout_with_its_line(grade: Grade) -> None:
    text = with_body("while True:\n        x = x + 0")
    result = grade(text)
    assert result.status is Status.TIMEOUT
    check = first(result)
    assert check.place is not None
    assert check.place.line in (line_of(text, "while True"), line_of(text, "x = x + 0"))
    assert check.mistakes == ("endless",)
    assert [check.status for check in result.checks] == [Status.TIMEOUT, Status.PASSED, Status.PASSED]


def test_an_endless_loop_that_swallows_everything_is_a_timeout(grade: Grade) -> None:
    body = "while True:\n        try:\n            while True: pass\n        except BaseException: pass"
    assert grade(with_body(body)).status is Status.TIMEOUT


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "import os; os.abort()"])
def test_a_process_that_ends_itself_is_a_crash(grade: Grade, code: str) -> None:
    result = grade(with_body(code))
    assert result.status is Status.CRASHED
    assert "exit code 0" in first(result).message or "SIGABRT" in first(result).message
    assert grade(code + "\n" + SOLUTION).status is Status.CRASHED


def test_a_segmentation_fault_is_a_crash_with_its_line(grade: Grade) -> None:
    text = with_body("import ctypes; ctypes.string_at(0)")
    check = first(grade(text))
    assert check.status is Status.CRASHED
    assert check.place is not None and check.place.line == line_of(text, "string_at")


def test_an_error_is_told_with_the_learners_line(grade: Grade) -> None:
    text = with_body("y = x * 2\n    return y[5, 5]")
    check = first(grade(text))
    assert check.status is Status.RAISED
    assert check.message.startswith("IndexError")
    assert check.place is not None and check.place.line == line_of(text, "y[5, 5]")


def test_what_torch_has_not_implemented_is_not_unfinished(grade: Grade) -> None:
    result = grade(with_body("return torch.nn.Module()(x)"))
    assert result.status is Status.RAISED
    assert "forward" in first(result).message


def test_a_reference_that_fails_is_our_fault(grade: Grade, repository: Path, subject_processes: Launcher) -> None:
    probes = repository / "tests" / f"test_{ID}.py"
    probes.write_text(probes.read_text() + "\n\ndef test_broken(subject):\n    subject.nothing()\n")
    grade(SOLUTION)
    (exercise,) = load(repository)
    result = Session((exercise,), repository / "exercises", 17, subject_processes, None).grade(exercise)
    assert result.status is Status.GRADER_ERROR
    assert "test_broken" in result.message and "not your fault" in result.message


@pytest.mark.parametrize("error", ["SystemExit(0)", "KeyboardInterrupt()", "RecursionError('deep')"])
def test_no_error_escapes(grade: Grade, error: str) -> None:
    assert grade(with_body(f"raise {error}")).status is Status.RAISED


def test_an_error_at_import_is_told(grade: Grade) -> None:
    check = first(grade("import no_such_module\n" + SOLUTION))
    assert check.status is Status.RAISED
    assert "no_such_module" in check.message
    assert check.place is not None and check.place.line == 1


def test_a_file_that_is_out_of_reach_is_explained(grade: Grade) -> None:
    check = first(grade(with_body("open('/x.txt', 'w')")))
    assert check.status is Status.RAISED
    assert "may not write or change /x.txt" in check.message and "working folder" in check.message
    assert grade(with_body("open('x.txt', 'w').write('x'); return x * 2")).status is Status.PASSED


def test_an_import_by_the_name_of_the_folder_is_explained(grade: Grade) -> None:
    check = first(grade("from exercises.ex00_mini import total\n" + SOLUTION))
    assert check.status is Status.RAISED
    assert "put a dot before its name" in check.message


@pytest.mark.parametrize(
    ("body", "explained"),
    [
        ("open(__file__).read()", "cannot be opened while your code is graded"),
        ("open('story.txt').read()", "in an empty working folder"),
        ("open('/etc/passwd').read()", "can read Python's libraries and write to its working folder"),
        ("import multiprocessing; multiprocessing.Queue()", "num_workers=0"),
        ("x.share_memory_()", "num_workers=0"),
        ("list(torch.utils.data.DataLoader(x, num_workers=2))", "num_workers=0"),
        ("breakpoint()\n    x = x * 1", "--pdb"),
        ("input('Go on? ')", "--pdb"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")
def test_what_comes_from_being_graded_is_explained(grade: Grade, body: str, explained: str) -> None:
    check = first(grade(with_body(f"{body}\n    return x * 2")))
    assert check.status is Status.RAISED
    assert explained in check.message
    assert check.place is not None


def test_too_much_memory_is_a_limit(grade: Grade) -> None:
    assert grade(with_body("return bytearray(3 * 2**30)")).status is Status.LIMIT
    assert grade(with_body("return torch.zeros(2**30)")).status is Status.LIMIT


def test_too_much_output_is_a_limit_and_its_head_is_kept(grade: Grade) -> None:
    result = grade(with_body("print('begin')\n    while True: print('x' * 10_000)"))
    assert result.status is Status.LIMIT
    assert result.output.startswith("begin")
    assert len(result.output) < 20_000


def test_what_the_code_prints_is_kept(grade: Grade) -> None:
    result = grade(with_body("print('hello'); return x * 2"))
    assert (result.status, result.output) == (Status.PASSED, "hello\n")


@pytest.mark.parametrize("code", ["sys.stdout.close()", "del sys.stdout", "sys.stdout = None"])
def test_code_that_breaks_its_output_is_judged_by_what_it_returns(grade: Grade, code: str) -> None:
    assert grade(with_body(f"import sys; {code}; return x * 2")).status is Status.PASSED


def test_a_forbidden_operation_is_named_however_it_is_reached(grade: Grade) -> None:
    for body in ("return torch.sum(x)", "return x.sum()", "return torch.ops.aten.sum.default(x)"):
        check = first(grade(with_body(body)))
        assert check.status is Status.FORBIDDEN
        assert "`sum`" in check.message


ALIASES = """
import sys
import torch
from torch.nn.utils import clip_grad_norm_ as shorten
from torch.optim import AdamW as Optimizer

class Mine(torch.optim.AdamW):
    def __init__(self, parameters):
        Optimizer.__init__(self, parameters)

weight = torch.nn.Parameter(torch.ones(3))
ready = Optimizer([weight])
"""


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("Optimizer([weight])", "AdamW"),
        ("Mine([weight])", "AdamW"),
        ("getattr(sys.modules['torch.optim.adamw'], 'Adam' + 'W')([weight])", "AdamW"),
        ("shorten([weight], 1.0)", "clip_grad_norm_"),
        ("shorten.__wrapped__([weight], 1.0)", "clip_grad_norm_"),
        ("torch.nn.utils.clip_grad.clip_grad_norm_([weight], 1.0)", "clip_grad_norm_"),
    ],
)
def test_what_torch_writes_in_python_is_forbidden_by_whatever_alias(grade: Grade, call: str, name: str) -> None:
    check = first(grade(ALIASES + with_body(f"{call}; return x * 2")))
    assert check.status is Status.FORBIDDEN
    assert f"`{name}`" in check.message
    assert grade(ALIASES + with_body("ready.zero_grad(); return x * 2")).status is Status.PASSED


def test_catching_exceptions_does_not_hide_a_forbidden_operation(grade: Grade) -> None:
    body = "try:\n        return x.sum()\n    except Exception:\n        return x * 2"
    assert first(grade(with_body(body))).status is Status.FORBIDDEN


def test_a_forbidden_package_is_named(grade: Grade) -> None:
    assert first(grade("import tiktoken\n" + SOLUTION)).status is Status.FORBIDDEN
    assert first(grade(with_body("import tiktoken; return x * 2"))).status is Status.FORBIDDEN


@pytest.mark.parametrize(
    "text, line, said",
    [
        (with_body("return = 3"), line_of(with_body("return = 3"), "return = 3"), "Syntax error"),
        (SOLUTION.replace("def double(x)", "def double()"), line_of(SOLUTION, "def double"), "takes ()"),
        (SOLUTION.replace("def double(x)", "def double(x, y)"), line_of(SOLUTION, "def double"), "takes (x, y)"),
        (SOLUTION.replace("amount=1", "amount"), line_of(SOLUTION, "def add"), "called as (self, amount=1)"),
        ("x = 1\0", 1, "null bytes"),
    ],
)
def test_an_unreadable_file_is_named_with_its_line(grade: Grade, text: str, line: int, said: str) -> None:
    result = grade(text)
    assert result.status is Status.UNREADABLE
    assert said in result.message
    assert result.place is not None and result.place.line == line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{SOLUTION}\nreturn 3\n", "outside function"),
        (with_body("nonlocal x"), "nonlocal"),
        (
            with_body("".join(" " * depth + "while x:\n" for depth in range(4, 30)).lstrip() + " " * 30 + "x"),
            "too many",
        ),
    ],
)
def test_what_only_the_compiler_refuses_is_named_with_its_line(grade: Grade, text: str, said: str) -> None:
    with pytest.raises(SyntaxError) as refused:
        compile(text, "it.py", "exec")
    check = first(grade(text))
    assert check.status is Status.UNREADABLE and said in check.message
    assert check.place is not None and check.place.line == refused.value.lineno


def test_a_file_that_is_not_utf8_is_unreadable(grade: Grade, repository: Path, exercise: Exercise) -> None:
    grade(SOLUTION)
    path = repository / "exercises" / exercise.file_name
    path.write_bytes(b"# ok\n# caf\xe9\n")
    session_result = grade_bytes_again(repository, exercise)
    assert session_result.status is Status.UNREADABLE
    assert session_result.place is not None and session_result.place.line == 2


def grade_bytes_again(repository: Path, exercise: Exercise) -> ExerciseResult:
    class NoLauncher:
        def start(self, work: object) -> object:
            raise AssertionError("an unreadable file needs no process")

        def close(self) -> None: ...

    return Session((exercise,), repository / "exercises", 17, NoLauncher(), None).grade(exercise)  # type: ignore[arg-type]


PARTIAL = "\n\nfrom functools import partial\n\ndouble = partial(_times, 2)\n"
GETATTR = "\n\nCounter.__getattr__ = lambda self, name: self._more if name == 'add' else None\n"
DATACLASS = "import dataclasses\n\n\n@dataclasses.dataclass\nclass Counter(Base):\n    count: int = 0\n\n\n"


def test_a_missing_file_is_unreadable_and_says_how_to_get_it_back(repository: Path, exercise: Exercise) -> None:
    (repository / "exercises" / exercise.file_name).unlink()
    result = grade_bytes_again(repository, exercise)
    assert result.status is Status.UNREADABLE
    assert f"reset {ID}" in result.message


@pytest.mark.parametrize(
    "text",
    [
        SOLUTION.replace("def double(x):", "def double(x, factor=2):"),
        SOLUTION.replace("def total(x):", "def helper(x):\n    return x\n\n\ndef total(x):"),
        SOLUTION.replace("def double(x):", "def _double(x):") + "\n\ndouble = _double\n",
        SOLUTION.replace("class Counter:", "class Base:\n    pass\n\n\nclass Counter(Base):"),
        SOLUTION.replace("def double(x)", "def double(y)").replace("x * 2", "y * 2"),
        SOLUTION.replace(
            "def add(self, amount=1):",
            "def add(me, by=1):\n        return me._add(by)\n\n    def _add(self, amount):",
        ),
        SOLUTION.replace("def double(x):", "def _twice(x):") + "\n\ndouble = lambda x: _twice(x)\n",
        SOLUTION.replace("def double(x):", "def _times(n, x):").replace("x * 2", "x * n") + PARTIAL,
        SOLUTION.replace("    def add(", "    def _more(") + "\n\nCounter.add = Counter._more\n",
        SOLUTION.replace("    def add(", "    def _more(").replace(
            "return self.count\n", "return self.count\n\n    add = _more\n"
        ),
        SOLUTION.replace("class Counter:", "class Base:").replace("def _helper", DATACLASS + "def _helper"),
        SOLUTION.replace("    def add(", "    def _more(") + GETATTR,
        SOLUTION.replace("    def __init__(self):", "    def __new__(cls):")
        .replace("super().__init__()", "self = super().__new__(cls)")
        .replace("self.count = 0", "self.count = 0\n        return self"),
        SOLUTION.replace("def double(x):", "def double(x: torch.Tensor) -> torch.Tensor:"),
        "\ufeff" + SOLUTION,
        SOLUTION.replace("\n", "\r\n"),
    ],
)
def test_right_code_in_another_shape_passes(grade: Grade, text: str) -> None:
    assert grade(text).status is Status.PASSED


def test_changing_an_input_is_wrong(grade: Grade) -> None:
    check = first(grade(with_body("x *= 2\n    return x")))
    assert check.status is Status.WRONG
    assert "inputs that your code changed" in check.message


def test_chance_is_named(grade: Grade) -> None:
    check = first(grade(with_body("import os\n    return x * 2 + int.from_bytes(os.urandom(4), 'big')")))
    assert check.status is Status.WRONG
    assert "Two runs of your code" in check.message


def test_patching_the_means_of_comparison_changes_nothing(grade: Grade) -> None:
    patch = (
        "import torch\ntorch.allclose = lambda *a, **k: True\ntorch.equal = lambda *a, **k: True\n"
        "torch.testing.assert_close = lambda *a, **k: None\nprint('3 passed')\n"
    )
    assert grade(patch + with_body("return x")).status is Status.WRONG


def test_starting_a_process_is_over_a_limit_and_reported(grade: Grade) -> None:
    text = with_body("import subprocess, sys\n    subprocess.Popen([sys.executable, '-c', ''])\n    return x * 2")
    result = grade(text)
    assert result.status is Status.LIMIT
    assert "start another process" in first(result).message
    assert result.refused == (f"start another process (line {line_of(text, 'Popen')})",)


def test_nothing_is_left_in_the_temporary_folder(
    grade: Grade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    grade(SOLUTION)
    grade(with_body("import os; os._exit(3)"))
    assert list(temporary.iterdir()) == []


def test_a_change_between_two_runs_is_seen_even_within_a_second(grade: Grade) -> None:
    assert grade(with_body("return x * 2")).status is Status.PASSED
    assert grade(with_body("return x * 3")).status is Status.WRONG
    assert grade(with_body("return x * 2")).status is Status.PASSED


def test_what_builds_on_an_unfinished_exercise_is_blocked(
    repository: Path, exercise: Exercise, subject_processes: Launcher
) -> None:
    second = "ex01_more"
    solution = (
        "from .ex00_mini import double\n\n\n"
        'def quadruple(x):\n    """Four times x."""\n    return double(double(x))\n'
    )
    probes = "def test_it(subject, draw, observe):\n    observe('x4', subject.quadruple(draw.normal(2, 3)))\n"
    write_exercise(repository, second, solution, probes, {"exercise": TITLE, "quadruple": HINTS})
    both = load(repository)
    mine = repository / "exercises"
    (mine / f"{second}.py").write_text(solution)

    def grade_second() -> ExerciseResult:
        return Session(both, mine, 17, subject_processes, None).grade(both[1])

    result = grade_second()
    assert result.status is Status.BLOCKED
    assert "double" in first(result).message
    (mine / exercise.file_name).write_text(with_body("return x * 3"))
    result = grade_second()
    assert result.status is Status.BLOCKED
    assert ID in first(result).message
    (mine / exercise.file_name).write_text(SOLUTION)
    assert grade_second().status is Status.PASSED


def test_a_text_is_kept_before_it_is_graded(repository: Path, exercise: Exercise) -> None:
    store = Store(repository / ".grader" / "progress.sqlite3")
    (repository / "exercises" / exercise.file_name).write_text(SOLUTION)

    class Killed(BaseException):
        pass

    class DyingLauncher:
        scratch = repository
        idle: ClassVar[list[object]] = []
        worth_a_process = 1

        def start(self, work: object) -> object:
            raise Killed

        def close(self) -> None: ...

    session = Session((exercise,), repository / "exercises", 17, DyingLauncher(), store)  # type: ignore[arg-type]
    with pytest.raises(Killed):
        session.grade(exercise)
    (attempt,) = store.attempts()
    assert attempt.status is None
    found = store.text_of(attempt.id)
    assert found is not None and found[1] == SOLUTION
    store.close()


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ("while True: pass", Status.TIMEOUT),
        ("import os; os._exit(0)", Status.CRASHED),
        ("return bytearray(3 * 2**30)", Status.LIMIT),
        ("while True: print('x' * 10_000)", Status.LIMIT),
    ],
)
def test_a_function_that_ends_the_process_costs_its_own_check_only(grade: Grade, ends: str, status: Status) -> None:
    text = with_body(ends).replace("return x.sum(dim=-1)", "return x.sum(dim=-1) + 1")
    result = grade(text)
    assert [check.status for check in result.checks] == [status, Status.WRONG, Status.PASSED]


@pytest.mark.slow
def test_all_hangs_together_have_a_bound(repository: Path, subject_processes: Launcher) -> None:
    probe = (
        "def test_double_{0}(subject, draw, observe):\n    observe('twice', subject.double(draw.normal(2, 3)))\n"
    )
    write_exercise(repository, probes=PROBES + "".join(probe.format(number) for number in range(20)))
    (exercise,) = load(repository)
    (repository / "exercises" / exercise.file_name).write_text(with_body("while True: pass"))
    result = Session((exercise,), repository / "exercises", 17, subject_processes, None).grade(exercise)
    statuses = [check.status for check in result.checks]
    assert statuses[:3] == [Status.TIMEOUT, Status.PASSED, Status.PASSED]
    assert set(statuses[3:]) <= {Status.TIMEOUT, Status.BLOCKED}
    assert statuses.count(Status.TIMEOUT) <= 1 + LATER * (TOTAL - 1)
    assert "took all the time" in result.checks[-1].message


def test_a_wrong_method_is_pointed_at_and_not_its_class(grade: Grade) -> None:
    text = SOLUTION.replace("self.count += amount", "self.count += 2 * amount")
    place = first(grade(text)).place
    assert place is not None
    assert (place.line, place.function) == (line_of(text, "def add"), "Counter.add")


def test_a_call_that_does_not_fit_is_told_as_such(grade: Grade) -> None:
    text = SOLUTION.replace("def double(x):", "def _twice(x):") + "\n\ndouble = lambda: _twice(1)\n"
    check = first(grade(text))
    assert check.status is Status.RAISED
    assert "makes a call that the original takes, and yours does not" in check.message


@pytest.mark.parametrize("body", ["bytearray(3 * 2**30)", "[open(f'{n}', 'w').close() for n in range(3000)]"])
def test_a_limit_costs_the_check_it_fell_in_however_slowly_results_are_read(
    grade: Grade, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """As on a busy machine, where a process is checks ahead of what has been read of it."""
    read = watch._read_frames

    def read_late(*arguments: Any) -> None:
        time.sleep(1.0)
        read(*arguments)

    monkeypatch.setattr(watch, "_read_frames", read_late)
    text = SOLUTION.replace("return x.sum(dim=-1)", f"{body}; import time; time.sleep(2); return x.sum(dim=-1)")
    assert [check.status for check in grade(text).checks] == [Status.PASSED, Status.LIMIT, Status.PASSED]


def with_optional_total(repository: Path, subject_processes: Launcher) -> Callable[[str], ExerciseResult]:
    """Grade a text where the function `total` is optional."""
    write_exercise(repository, solution=SOLUTION.replace("def total(x):", "def total(x):  # optional"))
    (exercise,) = load(repository)

    def graded(text: str) -> ExerciseResult:
        (repository / "exercises" / exercise.file_name).write_text(text)
        return Session((exercise,), repository / "exercises", 17, subject_processes, None).grade(exercise)

    return graded


def test_an_optional_function_may_be_left_but_not_be_wrong(repository: Path, subject_processes: Launcher) -> None:
    graded = with_optional_total(repository, subject_processes)
    left = graded(SOLUTION.replace("return x.sum(dim=-1)", "raise NotImplementedError"))
    assert left.status is Status.PASSED
    assert [check.status for check in left.checks] == [Status.PASSED, Status.UNFINISHED, Status.PASSED]
    assert "skipped" in junit.render(Report(17, "", {}, (left,), 1))
    assert graded(SOLUTION.replace("return x.sum(dim=-1)", "return x.sum(dim=0)")).status is Status.WRONG
    assert graded(SOLUTION).status is Status.PASSED
    others_left = graded(with_body("raise NotImplementedError"))
    assert others_left.status is Status.UNFINISHED


def test_a_check_knows_its_part_of_the_docstring(repository: Path, subject_processes: Launcher) -> None:
    write_exercise(repository, probes=PROBES.replace("def test_counter", "# The fine print.\n\n\ndef test_counter"))
    (exercise,) = load(repository)
    assert [check.fine_print for check in exercise.checks] == [False, False, True]
    (repository / "exercises" / exercise.file_name).write_text(SOLUTION.replace("return self.count", "return 0"))
    result = Session((exercise,), repository / "exercises", 17, subject_processes, None).grade(exercise)
    assert [check.fine_print for check in result.checks] == [False, False, True]
