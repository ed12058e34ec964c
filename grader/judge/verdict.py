"""From what a check saw to a verdict and its words. Pure: records in, records out.

Runs are compared once, into findings. What a finding says is written once, when it is known what explains it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType

from grader.course.exercise import Check, Exercise, Mistake
from grader.course.outline import Outline
from grader.course.shown import shown
from grader.judge.compare import Departure, first_departure
from grader.judge.errors_explained import look_alike, meaning
from grader.judge.picture import draw
from grader.judge.relations.find import find_relation
from grader.judge.results import CheckResult, Difference, Judged, Status, first_open
from grader.judge.surroundings import explanation
from grader.protocol.job import OUT_OF_SIGHT, UNKNOWN
from grader.protocol.runs import ENDLESS, IMPORT_CHECK, LACKING, CheckRun, Ending, Failure, Place, SubjectRun
from grader.protocol.values import Array
from grader.text import COMMAND, sentence, shorten

UNSTABLE = "Two runs of your code on the same input gave different results, so something in it is left to chance. "
# How Python says that a call does not fit the parameters.
NO_SUCH_CALL = re.compile(r"\(\) (takes|missing|got (an unexpected|multiple|some positional))|takes no arguments")
STATUSES = {
    Ending.RETURNED: Status.PASSED,
    Ending.RAISED: Status.RAISED,
    Ending.UNFINISHED: Status.UNFINISHED,
    Ending.FORBIDDEN: Status.FORBIDDEN,
    Ending.TIMEOUT: Status.TIMEOUT,
    Ending.CRASHED: Status.CRASHED,
    Ending.LIMIT: Status.LIMIT,
}


# What a class has once it is made: whatever else it does, `__init__` is where this comes from.
STRUCTURE = frozenset({"named_parameters", "named_buffers", "parameters", "buffers", "state_dict"})
VALUES = frozenset({"grad", "data"})


@dataclass(frozen=True)
class Submitted:
    """The learner's file as the judge needs it: where it is, what it defines, and its text where that is known."""

    file: str
    outline: Outline
    text: str = ""

    def line(self, number: int) -> str:
        """A line of the text, without the white space around it."""
        return dict(enumerate(self.text.splitlines(), start=1)).get(number, "").strip()

    def place_of(self, function: str) -> Place | None:
        """Where the learner defines a function, or the class that holds a method."""
        found = self._defined(function)
        if found:
            return self._place(found)
        owner = function.rpartition(".")[0]
        line = self.outline.line_of(owner) if owner else None
        return None if line is None else Place(self.file, line, function)

    def place_of_check(self, check: Check, probes: str, observation: str | None = None) -> Place | None:
        """Where to look for what a check is about: of a class, at the method that led to what it observed last.

        `probes` is the text of the file that the check is in.
        """
        if check.function not in self.outline.classes:
            return self.place_of(check.function)
        every = shown(probes).get(check.name, ())
        matching = [
            each for each in every if observation is None or re.fullmatch(each.name, observation, re.DOTALL)
        ]
        for each in matching[:1] if observation else matching[-1:]:
            if STRUCTURE.intersection(each.parts) and not VALUES.intersection(each.parts):
                return self._place(self._defined(f"{check.function}.__init__") or check.function)
            for part in reversed((*each.before, *each.parts)):
                found = self._defined(f"{check.function}.{part}")
                if found:
                    return self._place(found)
        return self._place(self._defined(f"{check.function}.forward") or check.function)

    def place_of_mistake(self, mistake: Mistake, place: Place | None) -> Place | None:
        """The function that a mistake is about, where the learner has it; else `place`, which the check suggests,
        if that is not less exact."""
        owner = mistake.function.rpartition(".")[0]
        found = self._defined(mistake.function)
        if not found and place and owner and place.function.startswith(f"{owner}."):
            return place
        return self.place_of(mistake.function) or place

    def _place(self, name: str) -> Place | None:
        line = self.outline.line_of(name)
        return None if line is None else Place(self.file, line, name)

    def _defined(self, function: str) -> str | None:
        """The function itself; for a method that its class lacks, the one method of that name in another class of
        the file, from which it is inherited."""
        owner, _, method = function.rpartition(".")
        if function in self.outline.functions or not owner:
            return function if self.outline.line_of(function) else None
        others = [name for name in self.outline.functions if name.endswith(f".{method}")]
        return others[0] if owner in self.outline.classes and len(others) == 1 and method[:2] != "__" else None


@dataclass(frozen=True)
class Finding:
    """A check on the learner's code beside the same check on the reference.

    `run` is None where time was up before. `place` is what the learner should look at; `trace` holds the frames of
    theirs on the way to an error; `cause` names what is wrong and not what the check is about. `wanted` is what the
    reference shows.
    """

    check: Check
    status: Status
    place: Place | None
    run: CheckRun | None = None
    departure: Departure | None = None
    trace: tuple[Place, ...] = ()
    cause: str = ""
    wanted: CheckRun | None = None

    @property
    def optional(self) -> bool:
        return self.check.optional


def compare_runs(
    exercise: Exercise,
    submitted: Submitted,
    reference: SubjectRun,
    actual: SubjectRun,
    causes: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """One finding per check. If the import failed, or ended the process, its finding is the only one.

    `causes` says of checks what they wait for: they pass once that is right.
    """
    runs, expected = actual.by_name(), reference.by_name()
    imported = runs[IMPORT_CHECK]
    if IMPORT_CHECK in causes:
        return (Finding(Check(IMPORT_CHECK, ""), Status.BLOCKED, None, cause=causes[IMPORT_CHECK]),)
    if imported.ending is not Ending.RETURNED:
        return (_find_ending(Check(IMPORT_CHECK, ""), submitted, imported, None),)
    findings = []
    for check in exercise.checks:
        run, wanted = runs.get(check.name), expected.get(check.name)
        if check.name in causes:
            place = submitted.place_of_check(check, exercise.probes.text)
            findings.append(Finding(check, Status.BLOCKED, place, cause=causes[check.name]))
        elif run is None:
            findings.append(Finding(check, Status.BLOCKED, None))
        elif run.ending is not Ending.RETURNED:
            place = submitted.place_of_check(check, exercise.probes.text)
            findings.append(replace(_find_ending(check, submitted, run, place), wanted=wanted))
        else:
            departure = first_departure(expected[check.name], run)
            if departure is None:
                findings.append(Finding(check, Status.PASSED, None, run))
                continue
            observation = departure.difference.observation
            place = submitted.place_of_check(check, exercise.probes.text, observation)
            findings.append(Finding(check, Status.WRONG, place, run, departure, wanted=wanted))
    return tuple(findings)


def _find_ending(check: Check, submitted: Submitted, run: CheckRun, usual: Place | None) -> Finding:
    """The finding of a check that did not return. `usual` is where to look where nothing says more."""
    trace = _learners_places(run.failure.trace if run.failure else (), submitted)
    said = run.failure.message if run.failure else ""
    status = STATUSES[run.ending]
    if status is Status.UNFINISHED and said.startswith(ENDLESS):
        function = shorten(said.removeprefix(ENDLESS).strip())
        return Finding(check, Status.BLOCKED, usual, cause=f"`{function}`")
    place = trace[-1] if trace else usual
    own = [place for place in trace if place.file == submitted.file]
    if status is not Status.UNFINISHED and own:
        place = own[-1]  # what another exercise raised was called from here, and here is what can be mended
    elif status is Status.UNFINISHED and place and place.file != submitted.file:
        status = Status.BLOCKED
    elif status is Status.UNFINISHED and said == LACKING and trace:
        place = submitted.place_of(trace[-1].function)
    if status is Status.RAISED and check.name == IMPORT_CHECK and _error(run) in SYNTAX_ERRORS:
        status = Status.UNREADABLE
    return Finding(check, status, place, run, trace=trace)


def result(
    finding: Finding, submitted: Submitted, mistakes: Sequence[Mistake] = (), unstable: bool = False
) -> CheckResult:
    """The verdict on one check, in words: those of the mistakes that explain it, if any do.

    `unstable` says that a second run saw something else.
    """
    check, place = finding.check, finding.place
    plain = CheckResult(
        check.name, finding.status, check.function, fine_print=check.fine_print, optional=check.optional
    )
    if finding.status is Status.PASSED:
        return plain
    message = (UNSTABLE if unstable else "") + _message(finding)
    if finding.status is Status.RAISED and finding.run and finding.run.failure:
        message = "\n".join(filter(None, [message, look_alike(finding.run.failure.message, submitted.text)]))
    if mistakes:
        words = [mistake.says for mistake in mistakes]
        if finding.status is Status.WRONG:
            # A line that raised or hung is more exact than the beginning of the function.
            place = submitted.place_of_mistake(mistakes[0], place)
        elif finding.status is Status.RAISED:
            words.append(f"({message})")
        message = "\n".join(words)
    names = tuple(mistake.name for mistake in mistakes)
    difference = _difference(finding, is_explained=bool(mistakes))
    return replace(plain, message=message, place=place, mistakes=names, difference=difference)


def _difference(finding: Finding, is_explained: bool) -> Difference | None:
    """With two matrices as a picture, and, unless something better is known, how the one comes out of the other."""
    departure = finding.departure
    if departure is None or departure.expected is None or departure.actual is None or finding.run is None:
        return departure.difference if departure else None
    wanted, got, difference = departure.expected, departure.actual.value, departure.difference
    before = takewhile(lambda observation: observation is not departure.actual, finding.run.observations)
    relation = None if is_explained else find_relation(wanted, got, tuple(before))
    if relation:
        difference = replace(difference, relation=relation.name, relation_in_words=relation.says)
    if isinstance(wanted.value, Array) and isinstance(got, Array):
        difference = replace(difference, picture=draw(wanted.value, got, wanted.tolerance))
    return difference


def _learners_places(trace: tuple[Place, ...], submitted: Submitted) -> tuple[Place, ...]:
    """Those in the learner's folder: no other is theirs to mend, and the process could name any.

    In the file that is graded, methods go by their whole names.
    """
    folder = Path(submitted.file).parent
    ours = [place for place in trace if Path(place.file).parent == folder and Path(place.file).stem.isidentifier()]
    return tuple(replace(place, function=shorten(_whole_name(place, submitted))) for place in ours)


def _whole_name(place: Place, submitted: Submitted) -> str:
    """`GPTModel.forward` for `forward`, where the file says so. A function within a function keeps its own name."""
    name = submitted.outline.function_at(place.line) if place.file == submitted.file else ""
    return name if name.endswith(f".{place.function}") else place.function


SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")


def _error(run: CheckRun) -> str:
    """The type of the error that ended a run."""
    return shorten(run.failure.types[0]) if run.failure else "Exception"


def _message(finding: Finding) -> str:
    """What is said where no known mistake explains it."""
    check, place, run = finding.check, finding.place, finding.run
    if finding.cause:
        return f"Builds on {finding.cause}. Once that is right, this check passes."
    if run is None:
        return "Not run: the checks before took all the time that an exercise has."
    if finding.departure:
        difference = finding.departure.difference
        return f"{shorten(difference.observation)}: {difference.summary}."
    failure = run.failure or Failure(("Exception",), "")
    what = shorten(failure.message, 300)
    match finding.status:
        case Status.BLOCKED if place:
            return f"Builds on `{place.function}` of {Path(place.file).name}, still to be written."
        case Status.UNFINISHED:
            name = finding.trace[-1].function if finding.trace else check.function
            if what == LACKING:
                return f"`{name}` is not in your file. `{COMMAND} update` puts its stub there and keeps all else."
            return f"`{name}` is still to be written."
        case Status.FORBIDDEN:
            why = "That is the part you are to write here yourself."
            if what.startswith(OUT_OF_SIGHT):
                why = "Some of torch's parts may not be used here, and what runs there could not be seen."
            elif what.startswith(UNKNOWN):
                why = "Some of torch's parts may not be used here, and whether this is one of them is not known."
            return f"Your code uses `{what}`. {why}"
        case Status.TIMEOUT:
            hung = " It hung on this line." if finding.trace else ""
            return f"The code was stopped: {what}.{hung} Look for a loop that does not end."
        case Status.LIMIT:
            return f"The code was stopped: it {what}."
        case Status.CRASHED:
            during = "while your file was imported" if check.name == IMPORT_CHECK else "during this check"
            return f"The Python process died {during}: {what}."
        case Status.UNREADABLE:
            return f"Syntax error: {sentence(what)}"
    kind = _error(run)
    if not finding.trace and kind == "TypeError" and NO_SUCH_CALL.search(what):
        return f"The test makes a call that the original takes, and yours does not ({what})."
    if not finding.trace:
        return f"The test cannot go on with what `{check.function}` gave back ({kind}: {what})."
    said = f"{kind}: {what}" if what else kind
    return "\n".join(filter(None, [said, explanation(kind, what) or meaning(kind, what)]))


def overall(findings: Sequence[Judged]) -> Status:
    """That of the finding to look at first; PASSED if there is none such, and never for no findings at all."""
    if not findings:
        return Status.GRADER_ERROR
    first = first_open(findings)
    return Status.PASSED if first is None else first.status
