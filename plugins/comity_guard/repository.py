"""Which checkout and repository a path is of, read from the files git keeps, without starting git.

Starting git costs more than the rest of a hook together. What is read is documented in gitrepository-layout(5):
``.git`` as a folder, or as a file that names one (worktrees, submodules), ``commondir``, ``HEAD`` and ``config``.
"""

from __future__ import annotations

import os

_DEFAULT_PORTS = {"ssh": 22, "git": 9418, "http": 80, "https": 443}


class Checkout:
    """One working tree: the main one of a repository, a linked worktree, or a submodule's."""

    __slots__ = ("common_dir", "git_dir", "root")

    def __init__(self, root: str, git_dir: str, common_dir: str) -> None:
        self.root = root
        """The folder of the working tree, links resolved."""
        self.git_dir = git_dir
        """Where its own HEAD and index are."""
        self.common_dir = common_dir
        """What all working trees of the repository share: it names the repository on this machine."""


def find(path: str) -> Checkout | None:
    """Return the checkout that holds `path`, which need not exist; None outside of any."""
    folder = os.path.realpath(path)
    while True:
        found = _checkout(folder)
        if found is not None:
            return found
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _checkout(root: str) -> Checkout | None:
    dot_git = os.path.join(root, ".git")
    if os.path.isdir(dot_git):
        git_dir = dot_git
    else:
        text = _first_line(dot_git)
        if not text.startswith("gitdir:"):
            return None
        git_dir = os.path.realpath(os.path.join(root, text[len("gitdir:") :].strip()))
    if not os.path.isfile(os.path.join(git_dir, "HEAD")):
        return None
    common = _first_line(os.path.join(git_dir, "commondir"))
    return Checkout(root, git_dir, os.path.realpath(os.path.join(git_dir, common)) if common else git_dir)


def branch(checkout: Checkout) -> str:
    """Return the branch that is checked out, or the beginning of the commit while HEAD is detached."""
    head = _first_line(os.path.join(checkout.git_dir, "HEAD"))
    reference = head.removeprefix("ref:").strip()
    return reference.removeprefix("refs/heads/") if head.startswith("ref:") else reference[:12]


def origin(checkout: Checkout) -> str:
    """Return the URL of the remote ``origin`` as the repository's configuration has it; "" without one."""
    try:
        with open(os.path.join(checkout.common_dir, "config"), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    within, url = False, ""
    for line in lines:
        words = line.strip()
        if words.startswith("["):
            name, _, rest = words[1:].partition("]")[0].partition('"')
            within = name.strip().lower() == "remote" and rest.partition('"')[0] == "origin"
            continue
        key, equals, value = words.partition("=")
        if within and equals and key.strip().lower() == "url":
            url = value.partition(" #")[0].partition(" ;")[0].strip().strip('"')
    return url


def normalised(url: str) -> str:
    """Return an origin URL in the one form that all spellings of it share: ``host/owner/name``, no credentials.

    "" for what only means something on this machine: a path, or a ``file:`` URL.
    """
    scheme, is_url, rest = url.partition("://")
    if is_url:
        scheme = scheme.lower().rpartition("+")[2]
        place, _, path = rest.partition("/")
        host, port = _host(place.rpartition("@")[2])
        if scheme == "file" or not scheme.isalnum() or not host or not (port.isdecimal() or not port):
            return ""
        if port and int(port) != _DEFAULT_PORTS.get(scheme):
            host = f"{host}:{int(port)}"
        path = path.partition("?")[0].partition("#")[0]
        if "%" in path:
            from urllib.parse import unquote  # it costs a hook process, and is hardly ever needed

            path = unquote(path)
    else:
        host, path = _of_scp(url)
        if not host:
            return ""
    name = path.strip("/").removesuffix(".git").rstrip("/").removeprefix("~/")
    return f"{host.lower()}/{name}" if name else ""


def _host(place: str) -> tuple[str, str]:
    """Part ``host:port``, the host of which may be an address in brackets."""
    if place.startswith("["):
        address, _, rest = place[1:].partition("]")
        return address, rest.removeprefix(":")
    host, _, port = place.partition(":")
    return host, port


def _of_scp(url: str) -> tuple[str, str]:
    """Part ``user@host:path`` as scp has it; nothing for a path on this machine, also one with a drive's letter."""
    place, _, path = url.rpartition("]:") if "]:" in url else url.partition(":")
    host = place.rpartition("@")[2]
    if not path or path.startswith("//") or "/" in place or (len(place) == 1 and path[0] in "\\/"):
        return "", ""
    return (f"{host}]", path) if host.startswith("[") else (host, path)


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline(4096).strip()
    except OSError:
        return ""
