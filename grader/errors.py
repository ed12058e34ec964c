"""Errors that end a command with one clear line. Anything else that escapes is a defect of the grader."""


class UsageError(Exception):
    """The input of a command is wrong: an unknown exercise, a broken tutor file. Exit code 2."""


class GraderError(Exception):
    """The grader cannot do its work here: no interpreter, no reference. Exit code 3."""
