"""Completion for shells: a script that makes `grader` short for the whole command, and completes what follows.

A shell completes after the name of a command, and would complete `python3` for every other program too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from grader.text import COMMAND


class Shell(StrEnum):
    bash = "bash"
    zsh = "zsh"
    fish = "fish"


Words = Mapping[str, Sequence[str]]
"""What may follow each command: its options, and the names of exercises where it takes any."""


def script(shell: Shell, words: Words) -> str:
    """What the shell has to read. `words` are plain: letters, digits, dashes and underscores."""
    return _fish(words) if shell is Shell.fish else _bash(words, is_zsh=shell is Shell.zsh)


def _bash(words: Words, is_zsh: bool) -> str:
    cases = [f'        *:{command}) words="{" ".join(some)}" ;;' for command, some in words.items()]
    lines = [
        *(["autoload -Uz compinit bashcompinit", "compinit", "bashcompinit"] if is_zsh else []),
        f'grader() {{ {COMMAND} "$@"; }}',
        "_grader() {",
        '    local words=""',
        '    case "$COMP_CWORD:${COMP_WORDS[1]}" in',
        f'        1:*) words="{" ".join(words)}" ;;',
        *cases,
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
        "}",
        "complete -o default -F _grader grader",
    ]
    return "\n".join(lines) + "\n"


def _fish(words: Words) -> str:
    commands = " ".join(words)
    lines = [
        f"function grader; {COMMAND} $argv; end",
        f'complete -c grader -f -n "not __fish_seen_subcommand_from {commands}" -a "{commands}"',
        *(
            f'complete -c grader -n "__fish_seen_subcommand_from {command}" -a "{" ".join(some)}"'
            for command, some in words.items()
        ),
    ]
    return "\n".join(lines) + "\n"
