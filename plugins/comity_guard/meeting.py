"""Where hook processes and the session host of a namespace meet: a Unix socket that only this user can reach.

The folder is 0700 and this user's own, the socket 0600. Which host it is follows from the store's address and the
namespace; the address comes from the environment or the user's configuration, never from a repository.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from typing import NamedTuple

LONGEST_ADDRESS = 100
"""Bytes of a socket's path: 108 on Linux, 104 on macOS, with the closing zero."""
_DEFAULT = ""


class Meeting(NamedTuple):
    """One namespace of one store, and the files of its host."""

    url: str
    """The store's address, "" for this user's SQLite file."""
    namespace: str
    folder: str
    key: str

    @property
    def socket(self) -> str:
        """Where the host listens."""
        return os.path.join(self.folder, self.key + ".sock")

    @property
    def registry(self) -> str:
        """Where the host keeps who it acts for, with their secret handles."""
        return os.path.join(self.folder, self.key + ".json")

    @property
    def lock(self) -> str:
        """What the living host holds."""
        return os.path.join(self.folder, self.key + ".lock")

    @property
    def log(self) -> str:
        """Where host and hooks say what went wrong."""
        return os.path.join(self.folder, "host.log")


def store_url(environ: dict[str, str] | os._Environ[str] = os.environ) -> str:
    """Return the address of the store, "" for this user's SQLite file."""
    return environ.get("COMITY_URL", _DEFAULT)


def is_shared(url: str) -> bool:
    """Tell whether machines share the store, so that a repository is named by its origin."""
    return bool(url) and not url.startswith(("sqlite:", "fakeredis:", "model:"))


def meeting(url: str, namespace: str) -> Meeting:
    """Return where the host of a namespace is met. Raises `PermissionError` when somebody else owns the folder."""
    import hashlib

    key = hashlib.sha256(f"{url}\0{namespace}".encode()).hexdigest()[:16]
    folder = _folder()
    if len(os.fsencode(os.path.join(folder, key + ".sock"))) > LONGEST_ADDRESS:
        folder = _private(os.path.join(tempfile.gettempdir(), f"comity-{_user()}"))
    return Meeting(url, namespace, folder, key)


def _folder() -> str:
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        state = os.path.join(home, "Library", "Application Support")
    else:
        state = os.environ.get("XDG_STATE_HOME", "")
        state = state if os.path.isabs(state) else os.path.join(home, ".local", "state")
    return _private(os.path.join(state, "comity", "hosts"))


def _private(folder: str) -> str:
    """Make the folder for this user alone; refuse one that is another's, a link, or open to others."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != _user():
        raise PermissionError(f"{folder} is not a folder of this user's; remove it, or set XDG_STATE_HOME")
    if found.st_mode & 0o077:
        os.chmod(folder, 0o700)
    return folder


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
