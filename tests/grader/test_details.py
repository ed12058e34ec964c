"""What a failure shows when no known mistake explains it: the sentence, the line, what should come, the place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest

from grader.course.catalogue import load, read_checks
from grader.course.exercise import Check, Exercise, Mistake
from grader.course.outline import outline
from grader.course.promises import LESSON, docstrings, promised_in
from grader.course.shortcomings import shortcomings
from grader.course.shown import shown
from grader.judge.details import details
from grader.judge.errors_explained import look_alike
from grader.judge.folding import WIDTH, folded
from grader.judge.results import CheckResult, Details, ExerciseResult, Status, most_telling
from grader.judge.verdict import Finding, Submitted
from grader.protocol.runs import CheckRun, Ending, Failure, Observation, Place
from grader.sandbox.draw import Draw, derive
from tests.mini import PROBES, SOLUTION, with_body, write_exercise

Grade = Callable[[str], ExerciseResult]
Command = Callable[..., subprocess.CompletedProcess[str]]
FILE = "/learner/ex00_mini.py"


def details_of(result: ExerciseResult) -> Details:
    assert result.first_open is not None and result.first_open.details is not None
    return result.first_open.details


def test_an_unknown_mistake_comes_with_code_that_reproduces_it(grade: Grade) -> None:
    code = details_of(grade(with_body("return x * 2 + 1"))).code
    assert code.startswith("import torch\nfrom exercises.ex00_mini import double\n\n")
    printed: list[tuple[str, object]] = []
    package, module = ModuleType("exercises"), ModuleType("exercises.ex00_mini")
    module.double = lambda x: x.tolist()  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"exercises": package, "exercises.ex00_mini": module}):
        exec(code, {"print": lambda *shown: printed.append(shown)})
    draw = Draw(derive(17, "ex00_mini", "test_double"))
    assert printed == [("doubled:", draw.normal(2, 3).tolist())]


def test_a_known_one_does_not(grade: Grade) -> None:
    first = grade(with_body("return x * 3")).first_open
    assert first is not None and first.mistakes and first.details is None


def test_an_error_shows_the_line_and_what_should_have_come(grade: Grade) -> None:
    result = grade(with_body("y = x * 2\n    return y[5, 5]"))
    found = details_of(result)
    assert (found.line, found.wanted) == ("return y[5, 5]", "doubled: a float32 tensor of shape (2, 3)")
    assert result.first_open is not None and "Counting begins at 0" in result.first_open.message


def test_what_agreed_before_is_named(grade: Grade) -> None:
    found = details_of(grade(SOLUTION.replace("raise ValueError", "return 0 or ValueError")))
    assert found.agreed == ("counts",)
    assert found.code.splitlines()[-2:] == [
        "[counter.add(), counter.add(5)]",
        "print('negative:', counter.add(-3))",
    ]


def seen(*values: tuple[str, int], failure: Failure | None = None) -> CheckRun:
    observations = tuple(Observation(name, value) for name, value in values)
    return CheckRun("test_total", Ending.RAISED if failure else Ending.RETURNED, observations, failure)


def found_for(
    exercise: Exercise, check: Check, text: str = SOLUTION, others: tuple[tuple[str, Status], ...] = ()
) -> Details:
    """The details of a check that observed 2 for 1 and then raised."""
    run = seen(("a", 1), ("b", 2), failure=Failure(("ValueError",), "no"))
    wanted = seen(("a", 1), ("b", 1), ("c", 3), ("inputs that your code changed", 0))
    finding = Finding(check, Status.RAISED, None, run, wanted=wanted)
    every = [finding, *(Finding(Check("test_other", name), status, None) for name, status in others)]
    found = details(finding, exercise, Submitted(FILE, outline(text), text), every)
    assert found is not None
    return found


def test_what_was_off_before_an_error_is_told(exercise: Exercise) -> None:
    found = found_for(exercise, Check("test_total", "total"))
    assert (found.agreed, found.off, found.wanted) == (("a",), "b: differs", "c: an int, 3")


@pytest.mark.parametrize(
    ("promise", "owner"), [("Twice x.", "double"), ("A small exercise.", ""), ("Counts.", "Counter"), ("", "")]
)
def test_the_sentence_is_shown_with_its_owner(exercise: Exercise, promise: str, owner: str) -> None:
    found = found_for(exercise, Check("test_total", "total", promise=promise))
    assert (found.promise, found.promised_in) == (promise, owner)


CALLING = SOLUTION.replace("return x.sum(dim=-1)", "return double(x).sum(dim=-1) / 2")


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (Status.WRONG, CALLING, "`double`, which it calls, is wrong on its own too"),
        (Status.PASSED, CALLING, "`double`, which it calls, is right on its own"),
        (Status.BLOCKED, CALLING, ""),
        (Status.PASSED, SOLUTION, ""),  # the learner's does not call it
    ],
)
def test_of_the_steps_the_first_that_is_wrong_is_named(
    exercise: Exercise, status: Status, text: str, said: str
) -> None:
    changed = replace(exercise, solution=replace(exercise.solution, text=CALLING))
    found = found_for(changed, Check("test_total", "total"), text, (("double", status),))
    assert found.steps.startswith(said) and bool(found.steps) is bool(said)


def test_a_probe_names_its_sentence_in_one_line() -> None:
    text = PROBES.replace(
        'observe):\n    observe("total"', 'observe):\n    """Sums,\n    of   x."""\n    observe("total"'
    )
    assert [check.promise for check in read_checks(text)] == ["", "Sums, of x.", ""]


def test_the_owner_of_a_sentence_is_rather_what_the_probe_is_about() -> None:
    texts = docstrings(
        '"""One. Two."""\ndef f():\n    """One."""\nclass C:\n    def m(self):\n        """One.\n        Two."""\n'
    )
    assert texts == {LESSON: "One. Two.", "f": "One.", "C.m": "One. Two."}
    assert promised_in("One.", "C", texts) == "C.m"
    assert promised_in("One.", "g", texts) == "f"
    assert promised_in("One. Two.", "f", texts) == "C.m"
    assert promised_in("Three.", "f", texts) is None


CLASSES = """
class Base:
    def step(self): pass

class Adam(Base):
    def __init__(self): pass
    def reset(self): pass

class Layer:
    def __init__(self): pass
    def forward(self, x): pass
"""
WATCHING = """
def stepped(optimizer):
    optimizer.step()
    return optimizer

def watch(observe, optimizer):
    observe("watched", optimizer.reset())

def test_adam(subject, draw, observe):
    adam = subject.Adam()
    observe("made", list(adam.named_parameters()))
    stepped(adam)
    observe(f"after {1} step", adam.state)
    watch(observe, adam)

def test_layer(subject, draw, observe):
    layer = subject.Layer()
    observe("names", sorted(name for name, _ in layer.named_parameters()))
    observe("gradients", [value.grad for value in layer.parameters()])
    observe("output", layer(draw.normal(2)))
"""


@pytest.mark.parametrize(
    ("check", "about", "observation", "function"),
    [
        ("test_adam", "Adam", "made", "Adam.__init__"),
        ("test_adam", "Adam", "after 1 step", "Base.step"),
        ("test_adam", "Adam", "watched", "Adam.reset"),
        ("test_adam", "Adam", None, "Adam.reset"),
        ("test_layer", "Layer", "names", "Layer.__init__"),
        ("test_layer", "Layer", "gradients", "Layer.forward"),
        ("test_layer", "Layer", "output", "Layer.forward"),
        ("test_layer", "Layer", "inputs that your code changed", "Layer.forward"),
    ],
)
def test_a_finding_of_a_class_names_the_method(
    check: str, about: str, observation: str | None, function: str
) -> None:
    place = Submitted(FILE, outline(CLASSES)).place_of_check(Check(check, about), WATCHING, observation)
    assert place is not None and place.function == function
    assert CLASSES.splitlines()[place.line - 1].split()[1].startswith(function.rpartition(".")[2])


def test_a_mistake_is_placed_where_the_learner_has_its_function() -> None:
    submitted = Submitted(FILE, outline(CLASSES))

    def place_of(function: str, place: Place | None = None) -> str:
        found = submitted.place_of_mistake(Mistake("m", function, "a", "b", "Says."), place)
        return found.function if found else ""

    elsewhere = Place(FILE, 3, "Adam.reset")
    assert place_of("Adam.step") == "Base.step"
    assert place_of("Layer.forward", elsewhere) == "Layer.forward"
    assert place_of("Adam._update", elsewhere) == "Adam.reset"
    assert place_of("Layer._mask", elsewhere) == "Layer._mask"  # at the class
    assert place_of("gone", elsewhere) == "Adam.reset"


def test_what_a_probe_observes_is_read_through_its_helpers() -> None:
    names = [each.name for each in shown(WATCHING)["test_adam"]]
    assert names == ["made", "after\\ .*\\ step", "watched"]


def test_the_check_shown_first_is_one_of_which_it_is_known_why() -> None:
    blocked = CheckResult("blocked", Status.BLOCKED)
    unnamed, named = CheckResult("unnamed", Status.WRONG), CheckResult("named", Status.WRONG, mistakes=("m",))
    fine = replace(named, name="fine", fine_print=True)
    assert most_telling([blocked, unnamed, fine, named]) is named
    assert most_telling([blocked, unnamed, fine]) is fine
    assert most_telling([blocked, unnamed]) is unnamed
    assert most_telling([CheckResult("passed", Status.PASSED), blocked]) is blocked
    assert most_telling([CheckResult("passed", Status.PASSED)]) is None


def test_a_name_that_looks_much_alike_is_told(grade: Grade) -> None:
    assert "`self.w_query`" in look_alike("'A' object has no attribute 'W_query'", "self.w_query = 1")
    assert look_alike("'A' object has no attribute 'mask'", "self.w_query = 1") == ""

    result = grade(SOLUTION.replace("return self.count\n", "return self.cuont\n"))
    assert result.first_open is not None and "`self.count`" in result.first_open.message


def test_a_name_much_like_a_missing_one_is_told() -> None:
    text = "def weigh(scores):\n    # Scoers\n    return softmax(scoers)\n"
    assert "`scores`" in look_alike("name 'scoers' is not defined", text)
    assert look_alike("name 'mask' is not defined", text) == ""


def test_a_name_of_torch_much_like_a_missing_one_is_told(grade: Grade) -> None:
    result = grade(SOLUTION.replace("return self.count\n", "return self.count + torch.argmaxx(torch.ones(2))\n"))
    assert result.first_open is not None and "Did you mean `argmax`?" in result.first_open.message


@pytest.mark.parametrize(
    "line",
    [
        "x = function(" + ", ".join(f"argument_{number}" for number in range(12)) + ")",
        "    y = [item_of(element, of=None) for element in every_element if element and len(element) > 3]",
        "z = f'{a}, b' + str({'one': [1, 2, 3], 'two': ['(', ')', 4, 5, 6], 'three': (7, 8, 9), 'four': 10})",
    ],
)
def test_a_long_line_is_broken_and_stays_the_same(line: str) -> None:
    lines = list(folded([line]))
    assert len(lines) > 1 and max(map(len, lines)) <= WIDTH
    together = "".join(part.strip() for part in lines).replace(",", ", ").split()
    assert "".join(together) == "".join(line.split())


def test_the_code_is_shown_and_lies_in_a_file_to_run(command: Command, checkout: Path) -> None:
    path = checkout / "exercises" / "ex00_tensors.py"
    stub = path.read_text(encoding="utf-8")
    solution = (checkout / "solutions" / "ex00_tensors.py").read_text(encoding="utf-8")
    wrong = "parameter -= learning_rate * parameter.grad.abs()"
    try:
        path.write_text(solution.replace("parameter -= learning_rate * parameter.grad", wrong), encoding="utf-8")
        shown_first = command("check", "ex00", "--seed", "17", COLUMNS="80").stdout
        (exercise,) = json.loads(command("check", "ex00", "--seed", "17", "--format", "json").stdout)["exercises"]
    finally:
        path.write_text(stub, encoding="utf-8")
    code = next(
        check["details"]["code"] for check in exercise["checks"] if check["details"] and check["details"]["code"]
    )
    written = checkout / ".grader" / "try_ex00.py"
    assert f"try     python3 {written.relative_to(checkout)}" in shown_first.replace("python ", "python3 ")
    assert written.read_text(encoding="utf-8").endswith(f"{code}\n")
    path.write_text(solution, encoding="utf-8")
    try:
        ran = subprocess.run(
            [sys.executable, str(written)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "PYTHONUTF8": "1"},
            check=False,
        )
    finally:
        path.write_text(stub, encoding="utf-8")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("parameters after a step")


def test_a_sentence_that_stands_nowhere_is_a_shortcoming(repository: Path) -> None:
    write_exercise(repository, probes=PROBES.replace("observe):\n", 'observe):\n    """Twice\n    x."""\n', 1))
    assert not [line for line in shortcomings(load(repository)[0]) if "docstring of" in line]
    write_exercise(repository, probes=PROBES.replace("observe):\n", 'observe):\n    """Thrice x."""\n', 1))
    assert [line for line in shortcomings(load(repository)[0]) if "docstring of" in line] == [
        "the docstring of test_double stands in no docstring of the exercise: Thrice x."
    ]


def test_a_probe_without_a_sentence_is_a_shortcoming(exercise: Exercise) -> None:
    assert [line for line in shortcomings(exercise) if "has no docstring" in line] == [
        f"{check.name} has no docstring: it should be the sentence that it holds the code to"
        for check in exercise.checks
    ]
