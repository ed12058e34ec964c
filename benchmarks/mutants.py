"""Which changes that only a machine would make do the probes not see?

    python benchmarks/mutants.py [EXERCISE]… [--most 200] [--seed 17]

Known mistakes (`tutor/`) are what a person writes; `python3 -m grader matrix` proves that each is seen. This is the
other half: every number, comparison and operator of a solution is changed, one at a time, and every statement left
out. A mutant that no probe sees is printed, with its line: it is right all the same, or a probe is missing.
Exit code 0, whatever is found: a person has to look.
"""

from __future__ import annotations

import argparse
import ast
import copy
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from grader.course.catalogue import choose, load  # noqa: E402
from grader.course.exercise import Exercise, Mistake  # noqa: E402
from grader.course.outline import body_after_docstring  # noqa: E402
from grader.grading.bench import Bench, Processes  # noqa: E402
from grader.grading.matrix import checks_that_see, find_reach  # noqa: E402
from grader.judge.compare import departures  # noqa: E402
from grader.protocol.runs import IMPORT_CHECK  # noqa: E402
from grader.supervisor.start import start_launcher  # noqa: E402

OTHERS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or,
    ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: the line it is on, what stood there, and what stands there now."""

    line: int
    before: str
    after: str
    edit: Mistake


def mutants(exercise: Exercise) -> Iterator[Mutant]:
    """Every change of every statement in the functions of a solution, the nested ones included."""
    text = exercise.solution.text
    for name, function in exercise.solution_outline.functions.items():
        for statement in statements(body_after_docstring(function.node)):
            before = ast.get_source_segment(text, statement) or ""
            if text.count(before) != 1:
                continue
            for after in changed(statement):
                # Some never end: none is waited for long.
                edit = Mistake("mutant", name, before, indented(after, statement), says="", hangs=True)
                yield Mutant(statement.lineno, before, after, edit)


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Simple statements, and those within compound ones."""
    for statement in body:
        inner = [part for field in ("body", "orelse", "finalbody") for part in getattr(statement, field, [])]
        inner += [part for handler in getattr(statement, "handlers", []) for part in handler.body]
        yield statement
        yield from statements([part for part in inner if isinstance(part, ast.stmt)])


def changed(statement: ast.stmt) -> Iterator[str]:
    """The statement with one thing in it changed; a simple one also left out."""
    simple = not hasattr(statement, "body")
    if simple and not isinstance(statement, ast.Return | ast.Pass):
        yield "pass"
    nodes = list(ast.walk(statement)) if simple else [part for test in head(statement) for part in ast.walk(test)]
    for place in nodes:
        for attribute, value in replacements(place):
            mutated = copy.deepcopy(statement)
            twin = counterpart(statement, mutated, place)
            setattr(twin, attribute, value)
            yield ast.unparse(mutated)


def head(statement: ast.stmt) -> list[ast.expr]:
    """What a compound statement decides by."""
    parts = (getattr(statement, field, None) for field in ("test", "iter"))
    return [part for part in parts if part is not None]


def replacements(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Attributes of a node, and what may stand there instead."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "value", node.value + 1
        yield "value", node.value - 1
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "value", not node.value
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in OTHERS:
        yield "op", OTHERS[type(node.op)]()
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OTHERS:
        yield "ops", [OTHERS[type(node.ops[0])]()]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "op", ast.UAdd()


def counterpart(original: ast.AST, twin: ast.AST, node: ast.AST) -> ast.AST:
    """The node of a deep copy that stands where `node` stands in the original."""
    pairs = zip(ast.walk(original), ast.walk(twin), strict=True)
    return next(other for one, other in pairs if one is node)


def indented(text: str, statement: ast.stmt) -> str:
    """Several lines, moved to where the statement begins."""
    return text.replace("\n", "\n" + " " * statement.col_offset)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exercises", nargs="*", help="for instance ex06; all by default")
    parser.add_argument("--most", type=int, default=200, help="of an exercise, drawn at random")
    parser.add_argument("--seed", type=int, default=17, help="of the inputs, and of the drawing")
    arguments = parser.parse_args()
    chosen = choose(ROOT, arguments.exercises) if arguments.exercises else load(ROOT)
    launcher = start_launcher(arguments.seed)
    try:
        for exercise in chosen:
            found = list(mutants(exercise))
            some = random.Random(arguments.seed).sample(found, min(arguments.most, len(found)))
            unseen = unseen_of(Bench(exercise, arguments.seed, Processes(launcher)), some)
            print(f"{exercise.id}: {len(some) - len(unseen)} of {len(some)} mutants seen ({len(found)} there are)")
            for mutant in sorted(unseen, key=lambda mutant: mutant.line):
                print(f"  line {mutant.line}: {mutant.before.splitlines()[0]}  ->  {mutant.after.splitlines()[0]}")
    finally:
        launcher.close()
    return 0


def unseen_of(bench: Bench, some: list[Mutant]) -> list[Mutant]:
    """Those that no probe sees."""
    reach = find_reach(bench)
    checks = [checks_that_see(mutant.edit, bench.exercise, reach) for mutant in some]
    runs = bench.run_variants([(mutant.edit, names) for mutant, names in zip(some, checks, strict=True)])
    seen = [
        departures(bench.reference(), run, (IMPORT_CHECK, *names)) for run, names in zip(runs, checks, strict=True)
    ]
    return [mutant for mutant, by in zip(some, seen, strict=True) if not by]


if __name__ == "__main__":
    sys.exit(main())
