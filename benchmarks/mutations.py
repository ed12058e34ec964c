"""Every change that a machine makes to a solution, one at a time. Pure: texts in, texts out.

The operators are mutmut's, and two more: a number becomes one less as well as one more, and a statement that does
something is left out. Only what runs is changed: no annotation, no docstring, no word of an error's message.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import libcst
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

from grader.course.exercise import Exercise, Mistake
from grader.course.outline import places_in_code, without_docstrings


@dataclass(frozen=True)
class Mutant:
    """One change: the line it is on, the lines that stood there, and those that stand there now, stripped."""

    line: int
    before: str
    after: str
    edit: Mistake


def one_less(node: libcst.Integer | libcst.Float) -> Iterator[libcst.CSTNode]:
    value = node.evaluated_value - 1
    number = libcst.parse_expression(repr(abs(value)))
    yield libcst.UnaryOperation(libcst.Minus(), number) if value < 0 else number


def left_out(
    node: libcst.Expr | libcst.AugAssign | libcst.Assign | libcst.Raise | libcst.Del,
) -> Iterator[libcst.CSTNode]:
    """A statement that only gives a value a name is set to None instead, by mutmut."""
    names = isinstance(node, libcst.Assign) and all(isinstance(part.target, libcst.Name) for part in node.targets)
    speaks = isinstance(node, libcst.Expr) and not isinstance(node.value, libcst.Call | libcst.Yield)
    if not names and not speaks:
        yield libcst.Pass()


STATEMENTS = (libcst.Expr, libcst.AugAssign, libcst.Assign, libcst.Raise, libcst.Del)
OPERATORS = [
    *mutation_operators,
    (libcst.Integer, one_less),
    (libcst.Float, one_less),
    *((kind, left_out) for kind in STATEMENTS),
]


def mutants(exercise: Exercise) -> Iterator[Mutant]:
    """The changes of a solution that are valid Python and differ from it, and from each other."""
    text = exercise.solution.text
    code = without_docstrings(text)
    seen = {meaning(text)}
    for changed in mutated_texts(text):
        try:
            what = meaning(changed)
        except SyntaxError:
            continue
        if what not in seen:
            seen.add(what)
            yield mutant_between(text, changed, code)


def mutated_texts(text: str) -> Iterator[str]:
    """What mutmut makes of a text, one text for each change."""
    visitor = MutationVisitor(OPERATORS, IgnoredCode(set(), set(), set()))
    module = MetadataWrapper(libcst.parse_module(text)).visit(visitor)
    for mutation in visitor.mutations:
        changed = module.deep_replace(mutation.original_node, mutation.mutated_node)
        assert isinstance(changed, libcst.Module)
        yield changed.code


def meaning(text: str) -> str:
    """The same for two texts that do the same by their form: without comments, and without an error's words.

    Raises SyntaxError where a text is no Python.
    """
    return ast.dump(WithoutWords().visit(ast.parse(text)))


class WithoutWords(ast.NodeTransformer):
    """Empties the words with which an error is raised: which they are is up to whoever writes them."""

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                part.value = ""
        return node


def mutant_between(text: str, changed: str, code: str) -> Mutant:
    """The lines in which two texts differ, as an edit whose `find` stands once outside of docstrings (`code`)."""
    old, new = text.splitlines(keepends=True), changed.splitlines(keepends=True)
    first = common(old, new)
    last = common(old[first:][::-1], new[first:][::-1])
    before, after = old[first : len(old) - last], new[first : len(new) - last]
    begin, end = first, len(old) - last
    while len(places_in_code("".join(old[begin:end]), text, code)) != 1:
        begin, end = begin - 1, end + 1
    replacement = "".join([*old[begin:first], *after, *old[len(old) - last : end]])
    edit = Mistake("mutant", "", "".join(old[begin:end]), replacement, says="", hangs=True)  # some never end
    return Mutant(first + 1, stripped(before), stripped(after), edit)


def common(one: list[str], other: list[str]) -> int:
    """How many lines two lists have in common at their beginning."""
    differ = (at for at, (mine, yours) in enumerate(zip(one, other, strict=False)) if mine != yours)
    return next(differ, min(len(one), len(other)))


def stripped(lines: list[str]) -> str:
    """Lines as one, with single blanks."""
    return " ".join(" ".join(lines).split())
