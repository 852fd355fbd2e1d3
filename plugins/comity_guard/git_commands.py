"""Git commands that act on a whole checkout: on the work of every session in it, not only of the one that calls.

Sessions that share a checkout share its index, HEAD, stash and untracked files. Each finding names the safe form.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from comity_guard.commands import commands

if TYPE_CHECKING:
    from collections.abc import Callable

_GLOBAL_WITH_VALUE = frozenset({"-C", "-c", "--exec-path", "--git-dir", "--work-tree", "--namespace", "--config-env"})
_WHOLE = frozenset({".", "./", ":/", ":", "*", ":(top)", ":/*"})


class Sweeping(NamedTuple):
    """A command that acts on a whole checkout."""

    command: str
    """As given, shortened."""
    cwd: str
    """In which folder git would work."""
    why: str
    """What it does to other sessions' work."""
    safe: str
    """The form that acts on one's own files only."""


class Staging(NamedTuple):
    """A commit of whatever is staged: harmless unless another session's files are."""

    command: str
    cwd: str


class _Call(NamedTuple):
    cwd: str
    options: tuple[str, ...]
    paths: tuple[str, ...]
    """Positional arguments before ``--``: revisions or paths."""
    after: tuple[str, ...] | None
    """What stands after ``--``, which are paths; None without one."""

    def has(self, *names: str) -> bool:
        """Tell whether one of these options is given; a short one also within a cluster, before one with a value."""
        return any(_is(option, name) for option in self.options for name in names)

    @property
    def positional(self) -> tuple[str, ...]:
        return self.paths + (self.after or ())

    @property
    def is_whole(self) -> bool:
        """Whether it names no path, or one that stands for all of them."""
        return not self.positional or any(path in _WHOLE for path in self.positional)

    @property
    def names_files(self) -> bool:
        """Whether what stands before ``--``, perhaps but for one revision, are files that exist."""
        rest = self.paths[1:] or self.paths
        return bool(rest) and all(path not in _WHOLE and os.path.lexists(os.path.join(self.cwd, path)) for path in rest)


def _is(option: str, name: str) -> bool:
    if name.startswith("--"):
        return option.partition("=")[0] == name
    return not option.startswith("--") and name[1] in option[1:]


def sweeping(line: str, cwd: str) -> Sweeping | Staging | None:
    """Return the first command of a shell command line that acts on the whole checkout, None without one.

    `cwd`: the folder the line starts in.
    """
    staging: Staging | None = None
    for command in commands(line, cwd):
        if os.path.basename(command.words[0]) not in {"git", "git.exe"}:
            continue
        found = _judged(command.words, command.cwd)
        if isinstance(found, Sweeping):
            return found
        staging = staging or found
    return staging


def _judged(words: tuple[str, ...], cwd: str) -> Sweeping | Staging | None:
    at = 1
    while at < len(words) and words[at].startswith("-"):
        option = words[at]
        if option == "-C" and at + 1 < len(words):
            cwd = os.path.normpath(os.path.join(cwd, words[at + 1]))
        at += 2 if option in _GLOBAL_WITH_VALUE else 1
    if at >= len(words):
        return None
    verb = words[at]
    judge = _JUDGES.get(verb)
    if judge is None:
        return None
    shown = " ".join(words)
    shown = shown if len(shown) <= 120 else shown[:117] + "..."  # noqa: PLR2004 - one line of a message
    found = judge(_call(words[at + 1 :], _WITH_VALUE.get(verb, ""), cwd))
    if found is None:
        return None
    if found == _STAGED:
        return Staging(shown, cwd)
    why, safe = found
    return Sweeping(shown, cwd, why, safe)


_WITH_VALUE = {
    "commit": "mFCctS",
    "stash": "m",
    "clean": "e",
    "checkout": "bB",
    "switch": "cC",
    "rebase": "sXx",
    "push": "o",
}
"""Per verb, the short options that take a value, which may be the rest of the cluster or the next word."""


def _call(words: tuple[str, ...], with_value: str, cwd: str) -> _Call:
    options: list[str] = []
    paths: list[str] = []
    after: tuple[str, ...] | None = None
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            after = words[at:]
            break
        if not word.startswith("-") or word == "-":
            paths.append(word)
            continue
        if not word.startswith("--"):
            valued = [place for place, letter in enumerate(word[1:], 1) if letter in with_value]
            if valued:
                if valued[0] == len(word) - 1:
                    at += 1  # the value is the next word
                word = word[: valued[0] + 1]
        elif word in {"--message", "--file", "--author", "--onto", "--exclude"}:
            at += 1
        options.append(word)
    return _Call(cwd, tuple(options), tuple(paths), after)


_STAGED = ("", "")


def _add(call: _Call) -> tuple[str, str] | None:
    everything = call.has("-A", "--all", "-u", "--update") and not call.positional
    if everything or any(path in _WHOLE for path in call.positional):
        return "it stages the files that other sessions are working on", "git add -- FILE ... with your own files"
    return None


def _commit(call: _Call) -> tuple[str, str] | None:
    if call.has("-a", "--all"):
        return "it commits the unfinished work of other sessions", "git commit --only -- FILE ... with your own files"
    if call.positional or call.has("--only", "-o", "--dry-run"):
        return None
    return _STAGED


def _stash(call: _Call) -> tuple[str, str] | None:
    action = call.paths[0] if call.paths else "push"
    if action in {"list", "show", "create", "store"}:
        return None
    if action == "push" and (call.after or len(call.paths) > 1):
        return None
    if action in {"pop", "apply", "drop", "clear", "branch"}:
        return "all worktrees share one stash: it may be another session's", "git diff > FILE and git apply FILE"
    return "it takes away the uncommitted work of every session here", "git stash push -- FILE ... with your own files"


def _reset(call: _Call) -> tuple[str, str] | None:
    if call.has("--hard", "--merge", "--keep"):
        return (
            "it throws away the uncommitted work of every session here",
            "git restore -- FILE ... with your own files",
        )
    if call.has("--soft", "--patch", "-p") or call.names_files:
        return None
    if call.is_whole or not (call.after or call.paths[1:]):
        return "it unstages what other sessions have staged", "git restore --staged -- FILE ... with your own files"
    return None


def _checkout(call: _Call) -> tuple[str, str] | None:
    if call.after:
        if any(path in _WHOLE for path in call.after):
            return "it throws away the uncommitted work of every session here", "git checkout -- FILE ..."
        return None
    if any(path in _WHOLE for path in call.paths):
        return "it throws away the uncommitted work of every session here", "git checkout -- FILE ..."
    if call.names_files and not call.has("-b", "-B", "--orphan", "--detach"):
        return None
    return "it changes the branch and the files under every session here", "git worktree add ../NAME BRANCH"


def _switch(_: _Call) -> tuple[str, str] | None:
    return "it changes the branch and the files under every session here", "git worktree add ../NAME BRANCH"


def _restore(call: _Call) -> tuple[str, str] | None:
    if any(path in _WHOLE for path in call.positional):
        return (
            "it throws away the uncommitted work of every session here",
            "git restore -- FILE ... with your own files",
        )
    return None


def _clean(call: _Call) -> tuple[str, str] | None:
    if call.has("-n", "--dry-run") or not call.has("-f", "--force"):
        return None
    if call.is_whole:
        return "it deletes the new files of other sessions", "git clean -n to see, then rm FILE ... with your own files"
    return None


def _rebase(call: _Call) -> tuple[str, str] | None:
    if call.has("--show-current-patch"):
        return None
    return "it rewrites the branch and the files under every session here", "git worktree add ../NAME BRANCH, and there"


def _pull(call: _Call) -> tuple[str, str] | None:
    if call.has("-r", "--rebase", "--autostash"):
        return "it rewrites the branch and stashes the work of every session here", "git fetch, and merge when alone"
    return None


def _push(call: _Call) -> tuple[str, str] | None:
    if call.has("-f", "--force"):
        return "it discards commits that other sessions may have pushed", "git push --force-with-lease"
    return None


_JUDGES: dict[str, Callable[[_Call], tuple[str, str] | None]] = {
    "add": _add,
    "stage": _add,
    "commit": _commit,
    "stash": _stash,
    "reset": _reset,
    "checkout": _checkout,
    "switch": _switch,
    "restore": _restore,
    "clean": _clean,
    "rebase": _rebase,
    "pull": _pull,
    "push": _push,
}
