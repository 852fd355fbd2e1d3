"""Shell command lines, taken apart far enough to find the programs they start.

Not a shell: substitutions are not performed and what cannot be read gives no command. Used to warn, so what it misses
goes ahead as it would without it.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import NamedTuple

_SEPARATORS = ";<>|&()\n"
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1[^\n]*\n.*?^\s*\2\s*$", re.DOTALL | re.MULTILINE)
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")
_WRAPPERS = frozenset(
    {"command", "exec", "nohup", "sudo", "time", "then", "do", "else", "if", "while", "until", "!", "{"}
)
_SHELLS = frozenset({"bash", "dash", "sh", "zsh"})
_DEEPEST = 4
LONGEST = 50_000
"""Characters of a command line that are taken apart, which is done character by character: for a tenth of a second."""
_LONG_TEXT = re.compile(r"""'[^']{1000,}'|"(?:[^"\\]|\\.){1000,}\"""", re.DOTALL)


class Command(NamedTuple):
    """One program with its arguments, and the folder it would start in."""

    words: tuple[str, ...]
    cwd: str


def shortened(line: str) -> str:
    """Return a command line without long texts in it (a file's content, a message), if it is too long with them.

    Raises `ValueError` when it is too long without them, too.
    """
    if len(line) > LONGEST:
        line = _LONG_TEXT.sub("''", _HEREDOC.sub("\n", line))
    if len(line) > LONGEST:
        raise ValueError(f"a command line of {len(line)} characters is too long to be looked at")
    return line


def commands(line: str, cwd: str, depth: int = 0) -> list[Command]:
    """Return the simple commands of a command line, in order; [] for one that cannot be read.

    Follows ``cd``, assignments and ``env`` before a program, and ``sh -c``. `cwd`: the folder the line starts in.
    """
    try:
        lexer = shlex.shlex(_HEREDOC.sub("\n", line), posix=True, punctuation_chars=_SEPARATORS)
        lexer.whitespace = " \t\r"
        lexer.whitespace_split = True
        lexer.commenters = ""
        words = list(lexer)
    except ValueError:
        return []
    found: list[Command] = []
    part: list[str] = []
    for word in [*words, ";"]:
        if not set(word) <= set(_SEPARATORS) or not word:
            part.append(word)
            continue
        if set(word) & set("<>"):
            if part and part[-1].isdigit():
                part.pop()  # which of its files is redirected
            part.append("\0")  # what follows is a file's name
            continue
        command = _simple(part, cwd)
        part = []
        if command is None:
            continue
        program = os.path.basename(command.words[0])
        if program == "cd":
            cwd = _changed(command, cwd)
        elif program in _SHELLS and depth < _DEEPEST:
            found += _nested(command, depth)
        else:
            found.append(command)
    return found


def _simple(part: list[str], cwd: str) -> Command | None:
    words: list[str] = []
    skip = False
    for word in part:
        if word == "\0":
            skip = True
        elif skip:
            skip = False
        else:
            words.append(word)
    while words and (_ASSIGNMENT.match(words[0]) or words[0] in _WRAPPERS or os.path.basename(words[0]) == "env"):
        words.pop(0)
    if not words or words[0].startswith("#"):
        return None
    return Command(tuple(words), cwd)


def _changed(command: Command, cwd: str) -> str:
    targets = [word for word in command.words[1:] if not word.startswith("-")]
    return os.path.normpath(os.path.join(cwd, os.path.expanduser(targets[0]))) if targets else os.path.expanduser("~")


def _nested(command: Command, depth: int) -> list[Command]:
    words = command.words
    for at, word in enumerate(words[1:-1], 1):
        if word.startswith("-") and not word.startswith("--") and "c" in word:
            return commands(words[at + 1], command.cwd, depth + 1)
    return []
