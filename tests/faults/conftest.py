"""The small exercise of the grader's own tests serves here too."""

from tests.grader.conftest import checkout, command, exercise, grade, repository, subject_processes

__all__ = ["checkout", "command", "exercise", "grade", "repository", "subject_processes"]
