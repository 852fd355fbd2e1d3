"""Where hook processes and the session host of a namespace meet: a Unix socket that only this user can reach.

The folder is 0700 and this user's own, the socket 0600. Which host it is follows from the store's address and the
namespace; the address comes from the environment or the user's configuration, never from a repository.
"""

from __future__ import annotations

import os
import stat
import sys

LONGEST_ADDRESS = 100
"""Bytes of a socket's path: 108 on Linux, 104 on macOS, with the closing zero."""
_DEFAULT = ""


class Meeting:
    """One namespace of one store, and the files of its host."""

    __slots__ = ("folder", "key", "namespace", "socket", "url")

    def __init__(self, url: str, namespace: str, folder: str, key: str) -> None:
        self.url = url
        """The store's address, "" for this user's SQLite file."""
        self.namespace, self.folder, self.key = namespace, folder, key
        self.socket = os.path.join(folder, key + ".sock")
        """Where the host listens."""
        if len(os.fsencode(self.socket)) > LONGEST_ADDRESS:
            short = _private(f"/tmp/comity-{_user()}")  # noqa: S108 - it is made for this user alone, or refused
            self.socket = os.path.join(short, f"{key}-{_fnv(folder.encode()):016x}.sock")

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
    key = f"{_fnv(f'{url}{chr(0)}{namespace}'.encode()):016x}"
    return Meeting(url, namespace, _folder(), key)


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


def _fnv(data: bytes) -> int:
    """Hash as FNV-1a does, to 64 bits. hashlib would cost 4 ms here; the host compares the namespace itself."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
