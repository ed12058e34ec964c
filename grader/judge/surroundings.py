"""Errors that come from being graded in a sandbox, not from a mistake, and what to say about them."""

from __future__ import annotations

import re

IN_ITS_FOLDER = (
    "While it is graded, your code can read Python's libraries and write to its working folder. "
    "Nothing else is needed: a file name without a folder is in the working folder."
)
EMPTY_FOLDER = "Your code is graded in an empty working folder: what lies beside your file is not there."
BESIDE_YOURS = (
    "This folder cannot be opened while your code is graded. To import from the file beside yours, put a dot "
    "before its name: `from .ex00_tensors import …`."
)
ONE_PROCESS = (
    "That takes a second process, as `multiprocessing` does, and a DataLoader with num_workers above 0. "
    "An exercise has one: num_workers=0 gives the same batches."
)
NOBODY_TYPES = (
    "Nobody can type while your code is graded. To look into it while it runs, start its test with "
    "`pytest tests/test_… --pdb`."
)
# The name of the error's type, and how its message ends; the first that fits.
EXPLANATIONS = (
    ("PermissionError", r"exercises([/\\]+\w+\.py)?'", BESIDE_YOURS),
    ("ModuleNotFoundError", r"'exercises'", BESIDE_YOURS),
    ("PermissionError", r"Permission denied", ONE_PROCESS),
    ("RuntimeError", r"unable to open shared memory object .*", ONE_PROCESS),
    ("PermissionError", r".*", IN_ITS_FOLDER),
    ("FileNotFoundError", r".*", EMPTY_FOLDER),
    ("EOFError", r"EOF when reading a line", NOBODY_TYPES),
    ("BdbQuit", r"", NOBODY_TYPES),
)


def explanation(error: str, message: str) -> str:
    """For an error of this type with this message: what is behind it, or an empty text."""
    for name, end, text in EXPLANATIONS:
        if name == error and re.search(f"{end}$", message, re.DOTALL):
            return text
    return ""
