"""Code to paste that does what a failing check does, up to the observation that departs.

It is made of the probe's own source: what it imports and defines, `f(…)` for `subject.f(…)`, and for what it draws
the values themselves where they are few, else the very calls on the check's own seed. A run of the reference, in
which the probe takes notes, tells which values those are and how often each line runs.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from grader.course.outline import parse
from grader.course.shown import is_observe
from grader.judge.folding import folded
from grader.judge.numbers import raw
from grader.judge.recording import Note, Recorded
from grader.protocol.values import Array, Value

LONGEST_TEXT = 60
LONGEST_LIST = 12
# What is drawn from one generator comes out otherwise if one of its calls is left out.
FAMILIES = {"normal": "tensors", "uniform": "tensors", "integers": "tensors", "permutation": "tensors"}


def reproduction(probes: str, check: str, module: str, recorded: Recorded, count: int) -> str:
    """Code that does what a check does up to its observation number `count`, and prints that one.

    `module` is the learner's, as it is to be imported. An empty text for what no call of `observe` in the probe
    stands for, and where a probe is written in a way that this cannot follow.
    """
    if count >= len(recorded.observed):
        return ""
    tree = parse(probes)
    probe = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == check)
    return _Code(tree, probe, recorded, recorded.observed[count]).text(module)


@dataclass
class _Code:
    tree: ast.Module
    probe: ast.FunctionDef
    recorded: Recorded
    target: Note
    literals: dict[tuple[int, int], ast.expr] = field(default_factory=dict)

    def text(self, module: str) -> str:
        body = _up_to(self.probe.body, self.target)
        defined = list(_needed(self.tree, body))
        functions = {node.name: node for node in defined if isinstance(node, ast.FunctionDef)}
        parts = [*defined, *body]
        self.literals = _literals(parts, self.recorded)
        by_module = _wants_module(parts, functions)
        attributes = sorted(
            {node.attr for node in _walk(parts) if isinstance(node, ast.Attribute) and _is_of(node, "subject")},
            key=str.lower,
        )
        draws = any(_is_of(node, "draw") and not self._is_literal(node) for node in _walk(parts))
        dropped = {"observe"} | (set() if by_module else {"subject"}) | (set() if draws else {"draw"})
        rewrite = _Rewrite(self.target, self.recorded, self.literals, functions, dropped)
        uses_path = any(isinstance(node, ast.Name) and node.id == "tmp_path" for node in _walk(body))
        lines = [f"{name} = {value}" for name, value in self._fixtures(draws, uses_path).items()]
        lines += [f"torch.manual_seed({self.recorded.seed})"] if self.recorded.uses_torch else []
        lines += [f"random.seed({self.recorded.seed})"] if self.recorded.uses_random else []
        helpers = [statement for node in defined for statement in rewrite.statements(node)]
        own = [statement for node in body for statement in rewrite.statements(node)]
        if any(isinstance(node, ast.Return | ast.Nonlocal) for node in _outside_functions(body)):
            own = [_function("attempt", own), ast.parse("attempt()").body[0]]
        code = "\n".join([*map(_unparsed, helpers), *lines, *map(_unparsed, own)])
        owner, _, name = module.rpartition(".")
        subject = f"from {owner} import {name} as subject" if by_module else ""
        subject = subject or f"from {module} import {', '.join(attributes)}"
        imports = _imports(self.tree, code, uses_path)
        imports += ["from grader.sandbox.draw import Draw"] if draws else []
        return "\n".join(folded([*imports, subject, "", *code.strip().splitlines()]))

    def _fixtures(self, draws: bool, uses_path: bool) -> dict[str, str]:
        found = {"draw": f"Draw({self.recorded.seed})"} if draws else {}
        return found | ({"tmp_path": "Path(tempfile.mkdtemp())"} if uses_path else {})

    def _is_literal(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and _place(node.value) in self.literals


class _Rewrite(ast.NodeTransformer):
    """Turns parts of a probe file into code of their own."""

    def __init__(
        self,
        target: Note,
        recorded: Recorded,
        literals: dict[tuple[int, int], ast.expr],
        functions: dict[str, ast.FunctionDef],
        dropped: set[str],
    ) -> None:
        self._target, self._literals, self._functions, self._dropped = target, literals, functions, dropped
        self._errors: dict[tuple[int, int], list[str]] = {}
        for note in recorded.observed:
            self._errors.setdefault(note.place, []).append(str(note.value))

    def statements(self, node: ast.stmt) -> list[ast.stmt]:
        """What becomes of one statement."""
        found = self.visit(node)
        return found if isinstance(found, list) else [] if found is None else [found]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """A block of which nothing is left still wants a statement."""
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        named = node.name in self._functions
        arguments = node.args
        if named:
            arguments = ast.arguments(**{**vars(arguments), "args": self._kept_parameters(arguments.args)})
        inner = node.body[1:] if ast.get_docstring(node) is not None else node.body
        body = [statement for part in inner for statement in self.statements(part)]
        return ast.copy_location(
            ast.FunctionDef(**{**vars(node), "args": self.visit(arguments), "body": body or [ast.Pass()]}), node
        )

    def _kept_parameters(self, parameters: Sequence[ast.arg]) -> list[ast.arg]:
        return [parameter for parameter in parameters if parameter.arg not in self._dropped]

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | list[ast.stmt]:
        """`a, b = f(x), f(y)` as two lines, where that is the same."""
        node = ast.copy_location(ast.Assign(**{**vars(node), "value": self.visit(node.value)}), node)
        match node.targets, node.value:
            case [ast.Tuple(names)], ast.Tuple(values) if len(names) == len(values):
                stored = {name.id for name in names if isinstance(name, ast.Name)}
                used = {part.id for part in _walk(values) if isinstance(part, ast.Name)}
                if len(stored) == len(names) and not stored & used:
                    pairs = zip(names, values, strict=True)
                    return [ast.copy_location(ast.Assign([name], value), node) for name, value in pairs]
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | list[ast.stmt] | None:
        if not isinstance(node.value, ast.Call) or not is_observe(node.value):
            return self.generic_visit(node)  # type: ignore[return-value]
        call = node.value
        is_target, errors = _place(call) == self._target.place, self._errors.get(_place(call), [])
        name, value = self.visit(call.args[0]), self._value(call)
        if is_target:
            shown: ast.stmt = ast.Expr(_call("print", _with_colon(name), value))
            if len(errors) > 1 and any(errors):
                told = ast.Expr(_call("print", _with_colon(name), _call("repr", ast.Name("error"))))
                handler = ast.ExceptHandler(ast.Name("Exception"), "error", [told])
                shown = ast.Try([shown], [handler], [], [])
            return shown
        if not any(isinstance(part, ast.Call | ast.BinOp | ast.Subscript) for part in ast.walk(value)):
            return None
        if any(errors):
            kinds = sorted(set(filter(None, errors)))
            kind = kinds[0] if len(kinds) == 1 and hasattr(builtins, kinds[0]) else "Exception"
            return ast.With([ast.withitem(_call("suppress", ast.Name(kind)))], [ast.Expr(value)])
        return ast.Expr(value)

    def _value(self, call: ast.Call) -> ast.expr:
        """What is observed, as an expression."""
        if not isinstance(call.func, ast.Attribute):
            value: ast.expr = self.visit(call.args[1])
            return value
        function, *arguments = [self.visit(argument) for argument in call.args[1:]]
        named = [self.visit(each) for each in call.keywords if each.arg != "mentions"]
        if isinstance(function, ast.Lambda) and not arguments and not named:
            return function.body
        return ast.Call(function, arguments, named)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if _place(node) in self._literals and _is_of(node.func, "draw"):
            return self._literals[_place(node)]
        if isinstance(node.func, ast.Name) and node.func.id in self._functions:
            kept = [each for each in node.args if not (isinstance(each, ast.Name) and each.id in self._dropped)]
            named = [each for each in node.keywords if each.arg not in self._dropped]
            node = ast.copy_location(ast.Call(node.func, kept, named), node)
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if _is_of(node, "subject") and "subject" in self._dropped:
            return ast.copy_location(ast.Name(node.attr), node)
        return self.generic_visit(node)  # type: ignore[return-value]


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _walk(nodes: Sequence[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        yield from ast.walk(node)


def _is_of(node: ast.AST, name: str) -> bool:
    """`name.something`?"""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name


def _outside_functions(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of these statements and, of the functions in them, only what reaches out (`nonlocal`)."""
    for node in _walk(body):
        if isinstance(node, ast.Nonlocal):
            yield node
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield node
            waiting += ast.iter_child_nodes(node)


def _up_to(body: Sequence[ast.stmt], target: Note) -> list[ast.stmt]:
    """The statements of a body up to the one from which the target is reached; of `with` and `if`, likewise within.

    A loop stays whole: what is at its end comes before the target in the next round.
    """
    kept: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if node.lineno <= target.top <= (node.end_lineno or node.lineno):
            if isinstance(node, ast.With) and target.top >= node.body[0].lineno:
                node = ast.copy_location(ast.With(node.items, _up_to(node.body, target)), node)
            return [*kept, node]
        kept.append(node)
    return kept


def _needed(tree: ast.Module, body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The functions, classes and constants of a probe file that these statements use, in the file's order."""
    defined: dict[str, ast.stmt] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef(name) | ast.ClassDef(name):
                defined[name] = node
            case ast.Assign(targets):
                names = [part.id for part in _walk(targets) if isinstance(part, ast.Name)]
                defined |= dict.fromkeys(names, node)
    found: dict[ast.stmt, None] = {}
    waiting: list[ast.AST] = list(body)
    while waiting:
        user = waiting.pop()
        own = {part.arg for part in ast.walk(user) if isinstance(part, ast.arg)}
        used = {part.id for part in ast.walk(user) if isinstance(part, ast.Name)} - own
        new = [defined[name] for name in used if name in defined and defined[name] not in found]
        found |= dict.fromkeys(new)
        waiting += new
    yield from sorted(found, key=lambda node: node.lineno)


def _wants_module(parts: Sequence[ast.AST], functions: dict[str, ast.FunctionDef]) -> bool:
    """Is `subject` used in a way that wants the module, or would a function's bare name mean something else?"""
    bound: set[str] = set()
    passed = owners = subjects = 0
    attributes = set()
    for node in _walk(parts):
        match node:
            case ast.Name(name, ast.Store()) | ast.arg(name) | ast.ClassDef(name) | ast.FunctionDef(name):
                bound.add(name)
            case ast.Name("subject"):
                subjects += 1
            case ast.Attribute(ast.Name("subject"), attribute, context):
                owners += isinstance(context, ast.Load)
                attributes.add(attribute)
            case ast.Call(ast.Name(name), arguments) if name in functions:
                taken = [parameter.arg for parameter in functions[name].args.args]
                given = [position for position, each in enumerate(arguments) if _is_subject(each)]
                passed += sum(position < len(taken) and taken[position] == "subject" for position in given)
    return subjects != passed + owners or bool(bound & attributes) or bool(attributes & set(dir(builtins)))


def _is_subject(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "subject"


def _literals(parts: Sequence[ast.AST], recorded: Recorded) -> dict[tuple[int, int], ast.expr]:
    """The calls of `draw` for which their value can stand: all of one generator, or none."""
    draws = [note for note in recorded.notes if note.what not in ("observe", "fill")]
    times = Counter(note.place for note in draws)
    values = {note.place: _literal(note.value) for note in draws}
    calls = [node for node in _walk(parts) if isinstance(node, ast.Call) and _is_of(node.func, "draw")]
    found: dict[tuple[int, int], ast.expr] = {}
    by_family: dict[str, list[ast.Call]] = {}
    attributes = sum(_is_of(node, "draw") for node in _walk(parts))
    if attributes != len(calls):  # one of its methods is passed on
        return {}
    for call in calls:
        method = getattr(call.func, "attr", "")
        by_family.setdefault(FAMILIES.get(method, method if method == "fill" else "others"), []).append(call)
    for family, members in by_family.items():
        texts = [values.get(_place(call), "") for call in members]
        if family != "fill" and all(texts) and all(times[_place(call)] == 1 for call in members):
            found |= {
                _place(call): ast.parse(text, mode="eval").body
                for call, text in zip(members, texts, strict=True)
                if text
            }
    return found


def _literal(value: Value) -> str:
    """A value as Python writes it, or nothing if it is too long for that."""
    match value:
        case Array(dtype, shape) if dtype in ("float32", "int64") and 0 not in shape:
            numbers = _nested(raw(value))
            return f"torch.tensor({numbers})"
        case bool() | int() | float():
            return repr(value)
        case str() if len(repr(value)) <= LONGEST_TEXT:
            return repr(value)
        case list() | tuple() if len(value) <= LONGEST_LIST and all(
            isinstance(i, int | float | str) for i in value
        ):
            text = repr(value)
            return text if len(text) <= LONGEST_TEXT else ""
    return ""


def _nested(values: npt.NDArray[Any]) -> str:
    """The shortest digits that give the same float32 again."""
    if values.ndim:
        return f"[{', '.join(_nested(part) for part in values)}]"
    return str(values[()])


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name), list(arguments), [])


def _with_colon(name: ast.expr) -> ast.expr:
    match name:
        case ast.Constant(str(text)):
            return ast.Constant(f"{text}:")
        case ast.JoinedStr(parts):
            return ast.JoinedStr([*parts, ast.Constant(":")])
    return name


def _function(name: str, body: list[ast.stmt]) -> ast.stmt:
    function = ast.parse(f"def {name}(): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = body
    return function


def _unparsed(node: ast.stmt) -> str:
    text = ast.unparse(ast.fix_missing_locations(node))
    return f"{text}\n" if hasattr(node, "body") else text  # at a prompt an empty line ends a block


def _imports(tree: ast.Module, code: str, uses_path: bool) -> list[str]:
    """The probe file's own imports, of what the code names, and those that it has got besides."""
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    found = []
    there: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias for alias in node.names if (alias.asname or alias.name).partition(".")[0] in used]
            there |= {alias.asname or alias.name for alias in names}
            if names and isinstance(node, ast.Import):
                found += [ast.unparse(ast.Import([alias])) for alias in names]
            elif names and isinstance(node, ast.ImportFrom):
                found.append(ast.unparse(ast.ImportFrom(node.module, names, node.level)))
    besides = {"random": "import random", "tempfile": "import tempfile", "torch": "import torch"}
    besides |= {"Path": "from pathlib import Path", "suppress": "from contextlib import suppress"}
    found += [line for name, line in besides.items() if name in used and name not in there]
    return sorted(found, key=lambda line: (line.startswith("from"), line))
