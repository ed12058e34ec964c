"""What an exercise should have and lacks, beyond what the kill matrix finds by running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from grader.course.catalogue import exercise_ids
from grader.course.exercise import Exercise
from grader.course.outline import parse
from grader.course.promises import LESSON, docstrings, promised_in

FEWEST_MISTAKES = 12
FEWEST_EQUIVALENTS = 3
MOST_WORDS = 80
LESSON_PARTS = ("You need", "IN THE BOOK", "TWO QUESTIONS", "BEFORE YOU LOOK", "Read on")
ANSWERS = "# ANSWERS"
# What follows the core of a docstring.
AFTER_THE_CORE = re.compile(r"^\s*(Examples?\b|Fine print\b|Source\b)", re.MULTILINE)


def shortcomings(exercise: Exercise) -> Iterator[str]:
    """Each in one sentence."""
    yield from _too_few(exercise)
    yield from _unchecked(exercise)
    yield from _promises(exercise)
    yield from _words(exercise)
    yield from _lesson(exercise)
    yield from _cores(exercise)
    yield from _readme(exercise)


def _too_few(exercise: Exercise) -> Iterator[str]:
    mistakes = len({mistake.name for mistake in exercise.mistakes})
    if mistakes < FEWEST_MISTAKES:
        yield f"it has {mistakes} known mistakes, and should have {FEWEST_MISTAKES} or more"
    equivalents = len({edit.name for edit in exercise.equivalents})
    if equivalents < FEWEST_EQUIVALENTS:
        yield f"it has {equivalents} known equivalents, and should have {FEWEST_EQUIVALENTS} or more"


def _unchecked(exercise: Exercise) -> Iterator[str]:
    about = {check.function for check in exercise.checks}
    for check in exercise.checks:
        if not check.function:
            yield f"{check.name} is about nothing: it should use `subject.` and a name"
    for function in dict.fromkeys(name.partition(".")[0] for name in exercise.hints):
        if function not in about:
            yield f"no probe is about {function}"


def _promises(exercise: Exercise) -> Iterator[str]:
    """Each probe names the sentence that it holds the code to, of this exercise or of the first one's lesson."""
    first = exercise.root / "solutions" / f"{exercise_ids(exercise.root)[0]}.py"
    own, course = docstrings(exercise.stub), docstrings(first.read_text(encoding="utf-8")).get(LESSON, "")
    for check in exercise.checks:
        if not check.promise:
            yield f"{check.name} has no docstring: it should be the sentence that it holds the code to"
        elif promised_in(check.promise, check.function, own) is None and check.promise not in course:
            yield f"the docstring of {check.name} stands in no docstring of the exercise: {check.promise}"


def _words(exercise: Exercise) -> Iterator[str]:
    texts = [(f"the mistake {mistake.name}", mistake.says) for mistake in exercise.mistakes]
    texts += [(f"a hint for {name}", hint) for name, hints in exercise.hints.items() for hint in hints]
    for what, text in dict.fromkeys(texts):
        last = text.rpartition("\n")[2]
        if not last.startswith(" ") and last.rstrip("`)")[-1] not in ".?:":
            yield f"{what} does not end in a full stop: …{last[-30:]}"
        if re.search(r"\w!(\s|$)", text):
            yield f"{what} holds an exclamation mark"


def _lesson(exercise: Exercise) -> Iterator[str]:
    lesson = ast.get_docstring(parse(exercise.solution.text)) or ""
    for part in LESSON_PARTS:
        if not re.search(rf"^{part}\b", lesson, re.MULTILINE):
            yield f"the lesson lacks its part {part!r}"
    if ANSWERS not in exercise.solution.text.splitlines():
        yield f"the file should end in the answers to the two questions, after the line {ANSWERS!r}"
    if exercise.scene is None:
        yield "it has no scene"
    if not any(check.fine_print for check in exercise.checks):
        yield "no probe is about the fine print: see the line that begins it in another file of probes"
    for name in dict.fromkeys(name for names in exercise.forbidden.values() for name in names):
        if name not in lesson:
            yield f"the lesson does not say that {name} is forbidden"
    known = {name[:4] for name in exercise_ids(exercise.root)}
    named = re.findall(r"\bex(?:ercise )?(\d+)\b", exercise.solution.text)
    for name in sorted({f"ex{int(number):02d}" for number in named} - known):
        yield f"the lesson names {name}, and there is none"


def _cores(exercise: Exercise) -> Iterator[str]:
    """Docstrings of which the core is longer than anybody reads."""
    for node in ast.walk(parse(exercise.solution.text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            words = len(AFTER_THE_CORE.split(ast.get_docstring(node) or "", maxsplit=1)[0].split())
            if words > MOST_WORDS:
                yield f"the core of {node.name} has {words} words, and should have {MOST_WORDS} or fewer"


def _readme(exercise: Exercise) -> Iterator[str]:
    """The table in the README and the numbers in what it shows, where there is one."""
    readme = exercise.root / "README.md"
    if not readme.exists():
        return
    text = readme.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if f"| `{exercise.id}` |" in line]
    if not any(row.endswith(f"| {exercise.minutes} |") for row in rows):
        yield f"the README's table should have a row for it, with {exercise.minutes} minutes"
    count = len(exercise_ids(exercise.root))
    for said in sorted({*re.findall(r"of (\d+) done", text)} - {str(count)}):
        yield f"the README shows 'of {said} done', and there are {count} exercises"
