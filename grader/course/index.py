"""The index of the diagnosis: which checks each known mistake breaks, as the kill matrix found it.

`tutor/ex06_attention/index.json` is written by `python3 -m grader matrix` and checked by `matrix --check`. It only
says what to try first; what is said of a learner's code is decided by running. Where it was made of other texts
than those that are there now, it is not used at all.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from grader.course.exercise import Exercise, Mistake

# Which checks a mistake breaks depends on the code, and hardly on the seed: it is found out on this one.
INDEX_SEED = 17
VERSION = 1

CaughtBy = Mapping[Mistake, frozenset[str]]
"""For each mistake, in each base, the checks that it breaks."""


def index_path(exercise: Exercise) -> Path:
    return exercise.root / "tutor" / exercise.id / "index.json"


def read_index(exercise: Exercise) -> CaughtBy:
    """What the index says; nothing where there is none, or none of these texts."""
    try:
        document = json.loads(index_path(exercise).read_text(encoding="utf-8"))
        if document["version"] != VERSION or document["digest"] != _digest(exercise):
            return {}
        checks: list[str] = document["checks"]
        return {
            mistake: frozenset(checks[number] for number in _numbers(document["caught"][key]))
            for mistake, key in zip(exercise.mistakes, _keys(exercise), strict=True)
        }
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return {}


def spell_index(exercise: Exercise, caught_by: Sequence[Sequence[str]]) -> str:
    """The text of the index, from the checks that break for each of the exercise's mistakes, in their order."""
    checks = [check.name for check in exercise.checks]
    numbers = {name: number for number, name in enumerate(checks)}
    caught = {
        key: _spelled(sorted(numbers[name] for name in names if name in numbers))
        for key, names in zip(_keys(exercise), caught_by, strict=True)
    }
    document = {"version": VERSION, "digest": _digest(exercise), "checks": checks, "caught": caught}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _keys(exercise: Exercise) -> list[str]:
    """A key for each mistake: its base and its name, and a number where several edits have both."""
    seen = Counter[str]()
    keys = []
    for mistake in exercise.mistakes:
        key = f"{mistake.base}/{mistake.name}" if mistake.base else mistake.name
        seen[key] += 1
        keys.append(key if seen[key] == 1 else f"{key}#{seen[key]}")
    return keys


def _digest(exercise: Exercise) -> str:
    """Of all that the result depends on, but for what torch does."""
    parts = [exercise.solution.text, exercise.probes.text]
    parts += [part for name, source in sorted(exercise.imported.items()) for part in (name, source.text)]
    parts += [part for base in exercise.bases for part in (base.name, base.text)]
    parts += [part for each in exercise.mistakes for part in (each.base, each.name, each.find, each.replacement)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _spelled(numbers: Sequence[int]) -> str:
    """`0-3 7` for 0, 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _numbers(text: str) -> list[int]:
    """0, 1, 2, 3, 7 for `0-3 7`."""
    numbers: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
