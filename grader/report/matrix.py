"""The kill matrix as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from grader.judge.results import Matrix
from grader.report.console import Page


def show(page: Page, result: Matrix) -> None:
    """One line if all is well; else a line for each defect."""
    bases = f" on {result.bases} bases" if result.bases > 1 else ""
    counts = f"{len(result.mistakes)} mistakes{bases}, {result.equivalents} equivalents, seed {result.seed}"
    mark, style = ("✓", "green") if result.good else ("✗", "red")
    page.line(f"{mark} {result.exercise:<16} {counts}", style)
    for row in result.mistakes:
        if not row.is_importable:
            page.line(f"{row.name}: cannot even be imported, so no learner's code is like it", indent=2)
        elif not row.caught_by:
            page.line(f"{row.name}: no probe sees it", indent=2)
        elif row.same_as:
            page.line(f"{row.name}: looks like {', '.join(row.same_as)}, yet says something else", indent=2)
        elif not row.hang_is_marked:
            page.line(f"{row.name}: `hangs` does not say what happened", indent=2)
    for shortcoming in result.shortcomings:
        page.line(shortcoming, indent=2)
    for name, checks in result.refused.items():
        page.line(f"{name}: is right, yet fails {', '.join(checks)}", indent=2)


def as_json(results: Sequence[Matrix], problems: Mapping[str, str]) -> str:
    """One document: a list with an entry per exercise, and what is wrong with those that cannot be read."""
    entries = [{**asdict(result), "good": result.good} for result in results]
    good = all(result.good for result in results) and not problems
    document = {"version": 1, "good": good, "exercises": entries, "unreadable": dict(problems)}
    return json.dumps(document, indent=1) + "\n"
