"""What things are called in the store: a repository's namespace, a file's lease, its name in every worktree."""

from __future__ import annotations

import os
import sys

from comity_guard import repository

LONGEST = 512
"""Bytes of UTF-8 that a name may have (contract, rule X6)."""
FILE, TREE = "file:", "tree:"
"""What the names of files' leases, and of their names across working trees, begin with."""
_MARK = 18
"""Bytes of what ends the name of something that was changed or cut, and of a ``/``."""
ELSEWHERE = "files"
"""The namespace of files that are in no repository."""
_FOLDS_CASE = sys.platform in {"darwin", "win32"}


def fitted(text: str) -> str:
    """Return `text` as a name that the store takes, the same for the same text and no other.

    Control characters, and ``%`` where it could be mistaken for one of ours, are percent-encoded; what was changed or
    is too long ends in a hash of the whole.
    """
    escaped = _escaped_all(text)
    if escaped == text and len(text.encode()) <= LONGEST and not text.endswith("/"):
        return text
    import hashlib

    mark = "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    kept = escaped.encode("utf-8", "replace")[: LONGEST - len(mark)].decode("utf-8", "ignore")
    return kept.rstrip("/") + mark


def _escaped_all(text: str) -> str:
    return text if text.isprintable() else "".join(_escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x20 or code == 0x7F or 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:  # noqa: PLR2004 - C0, C1, surrogates
        return f"%{code:02X}"
    return char


def host_name() -> str:
    """Return this machine's name."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def _folded(path: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", path).casefold()


def real_path(path: str, cwd: str = "") -> str:
    """Return the one spelling of a file's path: its folder's links resolved, its own name as it stands.

    Where the file system does not tell case apart, neither does this.
    """
    whole = os.path.abspath(os.path.join(cwd, os.path.expanduser(path)))
    folder, name = os.path.split(whole)
    found = os.path.join(os.path.realpath(folder), name)
    return _folded(found) if _FOLDS_CASE else found


def namespace(checkout: repository.Checkout | None, *, shared: bool) -> str:
    """Return the namespace of a repository.

    On a store of this machine it is the repository's common folder. On one that machines share (`shared`) it is the
    origin, so that clones on two machines meet; without an origin that others can reach, it is the folder on this host.
    """
    if checkout is None:
        return ELSEWHERE
    if shared:
        address = repository.normalised(repository.origin(checkout))
        return fitted(address or f"{host_name()}:{checkout.common_dir}")
    return fitted(checkout.common_dir)


def file_lease(path: str) -> str:
    """Return the name of the lease of a physical file on this host; `path` is a `real_path`.

    Each part of the path that needs it is escaped by itself, so that the name begins with that of its folder.
    """
    return fitted("/".join(part if _escaped_all(part) == part else fitted(part) for part in _named(path).split("/")))


def _named(path: str) -> str:
    return f"{FILE}{host_name()}:{path}"


def path_of(name: str) -> str:
    """Return the path in a file's lease, or the name itself of any other."""
    return name.split(":", 2)[2] if name.startswith(FILE) and name.count(":") > 1 else name


def area_lease(path: str) -> str:
    """Return the name of the lease of a folder and everything below it.

    Raises `InvalidArgument` for a path so long that the names of the files below it would not begin with it.
    """
    name = file_lease(path.rstrip("/")) + "/"
    if len(name.encode()) > LONGEST - _MARK:
        from comity import InvalidArgument  # a hook never comes here

        raise InvalidArgument("path", path, "it is too long to be leased as a whole; claim the files in it")
    return name


def logical_name(checkout: repository.Checkout, path: str) -> str:
    """Return the name that a file has in every working tree of its repository: held shared, it only warns."""
    return fitted(f"{TREE}{shown(checkout, path)}")


def shown(checkout: repository.Checkout | None, path: str) -> str:
    """Return a path as people know it: relative to its checkout, else as it is."""
    root = checkout.root if checkout is not None else ""
    if root and _FOLDS_CASE:
        root = _folded(root)
    if root and path.startswith(root.rstrip(os.sep) + os.sep):
        return path[len(root.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
    return path
