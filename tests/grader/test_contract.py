"""Which names a learner's file has to keep: those that something calls by name, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.course.catalogue import choose, load
from grader.course.keywords import is_by_name, keywords, read_keywords
from grader.course.outline import outline
from grader.learner.contract import accepts, check_contract, lacking, read_outline
from grader.learner.submission import Submission, Unreadable
from grader.protocol.job import Source
from tests.mini import ROOT, SOLUTION

PROBES = """
def test_it(subject, observe):
    subject.double(3, factor=2)
    observe.outcome("it", subject.total, 3, dim=1)
    subject.Counter(start=0)(x=3)
    save, load = subject.save_it, subject.load_it
    save(1, extra=2)
    subject.all_of(**settings)
    partial(subject.half, by=1)
"""


@pytest.mark.parametrize(
    ("function", "parameter", "expected"),
    [
        ("double", "factor", True),
        ("double", "x", False),
        ("total", "dim", True),
        ("half", "by", True),
        ("save_it", "extra", True),
        ("load_it", "extra", False),
        ("all_of", "anything", True),
        ("Counter.__init__", "start", True),
        ("Counter.__init__", "x", False),
        ("Counter.forward", "x", True),
        ("Counter.forward", "start", False),
        ("Counter.forward", "factor", False),
    ],
)
def test_what_is_passed_by_name_is_found(function: str, parameter: str, expected: bool) -> None:
    asked = ["double", "total", "half", "save_it", "load_it", "all_of", "Counter.__init__", "Counter.forward"]
    assert is_by_name(parameter, function, asked, keywords([PROBES])) is expected


def test_reading_only_what_may_pass_a_parameter_finds_the_same() -> None:
    patterns = ("tests/test_ex*.py", "solutions/*.py", "scripts/**/*.py")
    everything = keywords(path.read_text(encoding="utf-8") for pattern in patterns for path in ROOT.glob(pattern))
    seen = set()
    for exercise in choose(ROOT, ["ex04", "ex10", "ex17"]):
        asked = outline(exercise.stub).functions
        for function, found in asked.items():
            parameters = list(found.signature.parameters)
            passed = read_keywords(ROOT, {function: parameters})
            for parameter in parameters:
                wanted = is_by_name(parameter, function, asked, everything)
                assert is_by_name(parameter, function, asked, passed) is wanted, (function, parameter)
                seen.add(wanted)
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("got", "by_name", "expected"),
    [
        ("x, dim=-1", {"dim"}, True),
        ("y, dim=0", {"dim"}, True),
        ("y, axis=0", {"dim"}, False),
        ("y, axis=0", set(), True),
        ("dim=-1, x=None", {"dim"}, False),  # by position it comes second
        ("x, **more", {"dim"}, False),  # it is passed by position too
        ("x, dim=-1, *, more=1", {"dim"}, True),
        ("x, dim=-1, more=1", {"dim"}, True),
        ("x, dim, more", {"dim"}, False),
        ("x, dim", {"dim"}, False),  # it may be left out
        ("*all, **named", {"dim"}, True),
        ("x, dim=-1, /", {"dim"}, False),
        ("x", set(), False),
    ],
)
def test_a_function_is_accepted_if_every_call_fits(got: str, by_name: set[str], expected: bool) -> None:
    wanted = outline("def f(x, dim=-1): ...").functions["f"].signature
    assert accepts(outline(f"def f({got}): ...").functions["f"].signature, wanted, by_name) is expected


def test_the_books_own_names_are_accepted() -> None:
    """`__getitem__(self, idx)` and `forward(self, in_idx)`, and a configuration by its own name."""
    for name, old, new in (
        ("ex04_data", "__getitem__(self, index", "__getitem__(self, idx"),
        ("ex09_gpt", "forward(self, ids", "forward(self, in_idx"),
        ("ex09_gpt", "__init__(self, cfg", "__init__(self, config"),
        ("ex08_block", "__init__(self, emb_dim", "__init__(self, width"),
    ):
        (exercise,) = load(ROOT, [name])
        text = exercise.solution.text
        assert old in text
        source = Source(exercise.solution.path, text.replace(old, new))
        check_contract(Submission(name, {name: source}), exercise)


def test_a_name_that_is_called_by_is_asked_for() -> None:
    (exercise,) = load(ROOT, ["ex00_tensors"])
    source = Source("ex00_tensors.py", exercise.solution.text.replace("dim: int", "axis: int", 1))
    with pytest.raises(Unreadable, match=r"`softmax` takes \(x, axis\) .* called as \(x, dim\)"):
        check_contract(Submission(exercise.id, {exercise.id: source}), exercise)


@pytest.mark.parametrize(
    "text",
    [
        SOLUTION,
        "from somewhere import double, total, Counter",
        "if True:\n    def double(): ...\ntotal = double\nclass Counter:\n    for add in (1,): __init__ = add",
        "double: int = 1\n(total, *_) = 1, 2\nCounter = print",
    ],
)
def test_whatever_binds_a_name_counts(text: str) -> None:
    assert lacking(outline(text), outline(SOLUTION.partition("def _helper")[0])) == []


def test_names_within_functions_do_not_count() -> None:
    text = "def f():\n    double = total = 1\n    class Counter: ...\n"
    assert lacking(outline(text), outline(SOLUTION.partition("def _helper")[0])) == ["Counter", "double", "total"]


def test_a_contract_is_read_from_a_path(tmp_path: Path) -> None:
    (exercise,) = load(ROOT, ["ex00_tensors"])
    for broken, line in (("def f(:\n", 1), ("x = 1\n\ny = (\n", 3)):
        submission = Submission(exercise.id, {exercise.id: Source(str(tmp_path / "ex00_tensors.py"), broken)})
        with pytest.raises(Unreadable) as caught:
            check_contract(submission, exercise)
        assert caught.value.line == line


CONFLICT = "<<<<<<< HEAD\n    return x * 2\n=======\n    return 2 * x\n>>>>>>> theirs\n"


@pytest.mark.parametrize(
    ("text", "line", "mark"),
    [
        (f"def f(x):\n{CONFLICT}", 2, "<<<<<<< HEAD"),
        (f"y = 1\ndef f(x):\n    return (\n{CONFLICT}", 4, "<<<<<<< HEAD"),
        (f"def f(x):\n    return (x\n\n{CONFLICT}".replace("theirs", ""), 4, "<<<<<<< HEAD"),
        ("def f(x):\n    return x * 2\n>>>>>>> theirs\n", 3, ">>>>>>> theirs"),
        ("def f(x):\n    return x * 2\n=======\n", 3, "======="),
        ("def f(x):\n    return x * 2\n||||||| base\n", 3, "||||||| base"),
    ],
)
def test_a_mark_of_a_merge_is_named_as_what_it_is(text: str, line: int, mark: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_outline(text, Path("it.py"))
    assert str(refused.value).startswith(f"`{mark}` is a mark of git's.")
    assert refused.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        '"""\nExample\n=======\n"""\nx = = 1\n',
        '"""\n<<<<<<< a mark alone\n"""\nx = = 1\n',
        "x = 1 <<<<<<< 2\n",
        "========\n",
    ],
)
def test_what_only_looks_like_one_is_not(text: str) -> None:
    with pytest.raises(Unreadable, match=r"^Syntax error: "):
        read_outline(text, Path("it.py"))


def test_a_mark_in_a_string_is_no_error() -> None:
    assert read_outline(f'x = """\n{CONFLICT}"""\n', Path("it.py")).bound == {"x"}


def test_many_marks_take_no_time() -> None:
    with pytest.raises(Unreadable, match=r"Syntax error|mark of git"):
        read_outline("x = (\n" + "<<<<<<< a\n" * 90_000, Path("it.py"))
